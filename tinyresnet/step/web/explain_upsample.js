// Upsampling, cell by cell: which pixels a number of y was made of, and what each of them gets back; and the shares of bilinear.

import { constant, MINUS, range, rule, term } from "./terms.js";

const ONE = constant("1", 1);

/** The pixel that is repeated here. */
function nearestForward(t, name, [n, c, i, j]) {
  const [SH, SW] = t.settings.scale;
  return rule("x of the pixel that is repeated here", [term(t.of("x", n, c, Math.floor(i / SH), Math.floor(j / SW)))]);
}

/** The sum over the pixel's block. */
function nearestBackward(t, name, [n, c, h, w]) {
  const [SH, SW] = t.settings.scale;
  const terms = range(SH).flatMap((i) => range(SW).map((j) => term(t.of("dy", n, c, h * SH + i, w * SW + j))));
  return rule("sum of dy over the block that repeats this pixel", terms);
}

/** The pixels around this place, each times its share along the rows and its share along the columns. */
function bilinearForward(t, name, at) {
  if (name !== "y") return shareOf(t.shape(name), at);
  const [n, c, i, j] = at;
  const [, , H, W] = t.shape("x");
  const rows = range(H).filter((h) => t.value("rows", [i, h]));
  const columns = range(W).filter((w) => t.value("columns", [j, w]));
  const terms = rows.flatMap((h) =>
    columns.map((w) => term(t.of("rows", i, h), t.of("columns", j, w), t.of("x", n, c, h, w))),
  );
  return rule("sum of rows × columns × x over the nearest pixels", terms);
}

/** From every number of y that this pixel had a share in, this share of its dy. */
function bilinearBackward(t, name, [n, c, h, w]) {
  const [, , OH, OW] = t.shape("dy");
  const rows = range(OH).filter((i) => t.value("rows", [i, h]));
  const columns = range(OW).filter((j) => t.value("columns", [j, w]));
  const terms = rows.flatMap((i) =>
    columns.map((j) => term(t.of("rows", i, h), t.of("columns", j, w), t.of("dy", n, c, i, j))),
  );
  return rule("sum of rows × columns × dy over the outputs that this pixel has a share in", terms);
}

/** 1 − the distance, in pixels of x, between row i of y and row h of x; all in parts of 1/(2 scale). */
function shareOf([large, small], [i, h]) {
  const scale = large / small;
  const place = Math.min(Math.max(2 * i + 1 - scale, 0), 2 * scale * (small - 1));
  const [distance, whole] = [Math.abs(place - 2 * scale * h), 2 * scale];
  if (distance >= whole) return rule("a pixel or more away: nothing", []);
  const common = gcd(distance, whole);
  const away = constant(`${distance / common}/${whole / common}`, distance / whole);
  return rule("1 − the distance in pixels", distance ? [term(ONE), term(MINUS, away)] : [term(ONE)]);
}

const gcd = (a, b) => (b ? gcd(b, a % b) : a);

/** How these kinds are explained, both ways. */
export const UPSAMPLE = {
  UpsampleNearest: { forward: nearestForward, backward: nearestBackward },
  UpsampleBilinear: { forward: bilinearForward, backward: bilinearBackward },
};
