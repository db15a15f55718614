// Softmax cross-entropy, cell by cell: from the logits over the probabilities to the loss, and dlogits = p − target.

import { MINUS, part, range, rule, share, term } from "./terms.js";

const LOSS_PARTS = {
  largest: (t, [n]) => {
    const row = lossRow(t, n).map((place) => t.of("x", ...place));
    const winner = row.reduce((best, one) => (one.value > best.value ? one : best));
    return rule("the largest logit of the row", [term(winner)]);
  },
  shifted: (t, [n, k]) => rule("x − largest", [term(t.of("x", n, k)), term(MINUS, t.of("largest", n))]),
  exp: (t, at) => rule("exp(shifted)", [term(t.of("shifted", ...at))], { function: "exp" }),
  total: (t, [n]) => rule("sum of exp over the classes", lossRow(t, n).map((place) => term(t.of("exp", ...place)))),
  inverse_total: (t, [n]) => rule("1 / total", [term(t.of("total", n))], { function: "1/" }),
  p: (t, [n, k]) => rule("exp / total", [term(t.of("exp", n, k), t.of("inverse_total", n))]),
  log_total: (t, [n]) => rule("log(total)", [term(t.of("total", n))], { function: "log" }),
  log_p: (t, [n, k]) => rule("shifted − log_total", [term(t.of("shifted", n, k)), term(MINUS, t.of("log_total", n))]),
  losses: (t, [n]) => {
    const terms = lossRow(t, n).map((place) => term(MINUS, t.of("target", ...place), t.of("log_p", ...place)));
    return rule("− sum of target × log_p", terms);
  },
  y: (t) => {
    const terms = range(t.shape("x")[0]).map((n) => term(t.of("losses", n), share(t.settings.counted)));
    return rule("the mean of the rows' losses", terms);
  },
};

const lossRow = (t, n) => range(t.shape("x")[1]).map((k) => [n, k]);

/** Any number on the way from the logits x to the loss y. */
const lossForward = (t, name, at) => LOSS_PARTS[name](t, at);

/** dx = dy (p − target) / counted; 0 in rows that do not count. */
function lossBackward(t, name, at) {
  const [n] = at;
  if (range(t.shape("target")[1]).every((k) => t.value("target", [n, k]) === 0)) {
    return rule("this row does not count", []);
  }
  const scale = [t.of("dy"), share(t.settings.counted)];
  const terms = [part("p", ...scale, t.of("p", ...at)), part("target", MINUS, ...scale, t.of("target", ...at))];
  return rule("dy × (p − target) / rows", terms);
}

/** How it is explained, both ways. */
export const LOSS = {
  CrossEntropy: { forward: lossForward, backward: lossBackward },
};
