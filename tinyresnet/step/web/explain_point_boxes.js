// Boxes of points, cell by cell: a raw number becomes a distance, the distance an edge, and dx is dy times the distance.

import { constant, MINUS, rule, term } from "./terms.js";

const limitOf = (t) => constant("limit", t.settings.limit);
const strideOf = (t) => constant("stride", t.settings.stride);

const BOX_PARTS = {
  mask: (t, at) => {
    const terms = [term(limitOf(t)), term(MINUS, t.of("x", ...at))];
    return rule("1 if x < limit, else 0", terms, { function: "> 0" });
  },
  clipped: (t, at) => {
    const x = t.of("x", ...at);
    return rule("x, at most the limit", [term(x.value < t.settings.limit ? x : limitOf(t))]);
  },
  exp: (t, at) => rule("exp(clipped)", [term(t.of("clipped", ...at))], { function: "exp" }),
  ltrb: (t, at) => rule("stride × exp", [term(strideOf(t), t.of("exp", ...at))]),
  y: (t, at) => {
    const [, side, row, column] = at;
    const along = side % 2 ? constant("row + ½", row + 0.5) : constant("column + ½", column + 0.5);
    const [point, reach] = [term(along, strideOf(t)), t.of("ltrb", ...at)];
    if (side > 1) return rule("the point + distance", [point, term(reach)]);
    return rule("the point − distance", [point, term(MINUS, reach)]);
  },
};

/** Any number on the way from x to the box's edges y. */
const pointBoxesForward = (t, name, at) => BOX_PARTS[name](t, at);

/** dx = ± mask × dy × ltrb: exp is its own derivative. */
function pointBoxesBackward(t, name, at) {
  const factors = ["mask", "dy", "ltrb"].map((read) => t.of(read, ...at));
  if (at[1] > 1) return rule("mask × dy × distance", [term(...factors)]);
  return rule("− mask × dy × distance", [term(MINUS, ...factors)]);
}

/** How it is explained, both ways. */
export const POINT_BOXES = {
  PointBoxes: { forward: pointBoxesForward, backward: pointBoxesBackward },
};
