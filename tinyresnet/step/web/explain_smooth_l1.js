// Smooth L1, cell by cell: from the error over its slope to the loss, and back along the slope.

import { constant, MINUS, places, rule, term } from "./terms.js";

const ONE = constant("1", 1);
const perCount = (t) => constant("1/count", 1 / t.settings.counted);

const SMOOTH_L1_PARTS = {
  error: (t, at) => rule("x − target", [term(t.of("x", ...at)), term(MINUS, t.of("target", ...at))]),
  slope: (t, at) => {
    const [error, { beta }] = [t.of("error", ...at), t.settings];
    if (Math.abs(error.value) >= beta) {
      return rule("the sign of the error, which is large", [term(error.value > 0 ? ONE : MINUS)]);
    }
    return rule("error / beta", [term(error, constant("1/beta", 1 / beta))]);
  },
  losses: (t, at) => {
    const slope = t.of("slope", ...at);
    const square = term(MINUS, constant("beta/2", t.settings.beta / 2), slope, slope);
    return rule("slope × error − beta/2 × slope²", [term(slope, t.of("error", ...at)), square]);
  },
  y: (t) => {
    const terms = places(t.shape("x")).map((place) => term(t.of("losses", ...place), perCount(t)));
    return rule("the sum of the losses / count", terms);
  },
};

/** Any number on the way from x to the loss y. */
const smoothL1Forward = (t, name, at) => SMOOTH_L1_PARTS[name](t, at);

/** dx = dy × slope / count. */
const smoothL1Backward = (t, name, at) =>
  rule("dy × slope / count", [term(t.of("dy"), t.of("slope", ...at), perCount(t))]);

/** How it is explained, both ways. */
export const SMOOTH_L1 = {
  SmoothL1: { forward: smoothL1Forward, backward: smoothL1Backward },
};
