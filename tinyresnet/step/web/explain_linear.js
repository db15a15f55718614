// The linear layer, cell by cell.

import { part, range, rule, term } from "./terms.js";

/** The sum of x × weight, and the bias. */
function linearForward(t, name, [n, o]) {
  const terms = range(t.shape("x")[1]).map((i) => term(t.of("x", n, i), t.of("weight", o, i)));
  return rule("sum of x × weight + bias", [...terms, part("bias", t.of("bias", o))]);
}

/** dx, dweight or dbias. */
function linearBackward(t, name, at) {
  const [N, O] = t.shape("dy");
  const [first, i] = at;
  if (name === "dx") {
    const terms = range(O).map((o) => term(t.of("dy", first, o), t.of("weight", o, i)));
    return rule("sum over the outputs of dy × weight", terms);
  }
  if (name === "dweight") {
    const terms = range(N).map((n) => term(t.of("dy", n, first), t.of("x", n, i)));
    return rule("sum over the pictures of dy × x", terms);
  }
  return rule("sum over the pictures of dy", range(N).map((n) => term(t.of("dy", n, first))));
}

/** How it is explained, both ways. */
export const LINEAR = {
  Linear: { forward: linearForward, backward: linearBackward },
};
