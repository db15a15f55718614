// Softmax cross-entropy, cell by cell: from the logits over the probabilities to the loss, and dlogits = p − target.

import { classPlaces, softmaxRule } from "./explain_softmax.js";
import { MINUS, part, range, rule, share, term } from "./terms.js";

const LOSS_PARTS = {
  losses: (t, at) => {
    const terms = classPlaces(t, at).map((place) => term(MINUS, t.of("target", ...place), t.of("log_p", ...place)));
    return rule("− sum of target × log_p", terms);
  },
  y: (t) => {
    const terms = range(t.shape("x")[0]).map((n) => term(t.of("losses", n), share(t.settings.counted)));
    return rule("the mean of the rows' losses", terms);
  },
};

/** Any number on the way from the logits x to the loss y. */
const lossForward = (t, name, at) => softmaxRule(t, name, at, "row") ?? LOSS_PARTS[name](t, at);

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
export const CROSS_ENTROPY = {
  CrossEntropy: { forward: lossForward, backward: lossBackward },
};
