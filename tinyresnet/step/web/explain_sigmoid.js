// Sigmoid, cell by cell: one number becomes one, and its gradient needs that one alone.

import { MINUS, rule, term } from "./terms.js";

const sigmoidForward = (t, name, at) =>
  rule("1 / (1 + exp(−x))", [term(t.of("x", ...at))], { function: "sigmoid" });

function sigmoidBackward(t, name, at) {
  const [dy, y] = [t.of("dy", ...at), t.of("y", ...at)];
  return rule("dy × y × (1 − y)", [term(dy, y), term(MINUS, dy, y, y)]);
}

/** How it is explained, both ways. */
export const SIGMOID = {
  Sigmoid: { forward: sigmoidForward, backward: sigmoidBackward },
};
