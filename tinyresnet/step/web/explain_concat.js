// Concatenation, cell by cell: every number is the same number in another place.

import { range, rule, term } from "./terms.js";

/** The number of the array that has this channel. */
function concatForward(t, name, [n, c, h, w]) {
  let [arm, channel] = [0, c];
  while (channel >= t.shape(`x${arm}`)[1]) channel -= t.shape(`x${arm++}`)[1];
  return rule("the same number", [term(t.of(`x${arm}`, n, channel, h, w))]);
}

/** dy of the channel that this one became, behind those of the arrays before. */
function concatBackward(t, name, [n, c, h, w]) {
  const before = range(Number(name.slice("dx".length))).reduce((sum, arm) => sum + t.shape(`dx${arm}`)[1], 0);
  return rule("the same number", [term(t.of("dy", n, before + c, h, w))]);
}

/** How it is explained, both ways. */
export const CONCAT = {
  Concat: { forward: concatForward, backward: concatBackward },
};
