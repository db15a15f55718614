// Transposed convolution, cell by cell: which inputs reach a pixel of y, and the outputs that an input has reached.

import { channelPlaces, part, range, rule, term } from "./terms.js";

/** y: one term for each input that reaches this pixel, in each channel. */
function convTransposeForward(t, name, [n, o, oh, ow]) {
  const [rows, columns] = [reaching(t, 0, oh), reaching(t, 1, ow)];
  const terms = [];
  for (let c = 0; c < t.shape("weight")[0]; c++)
    for (const [h, i] of rows)
      for (const [w, j] of columns) terms.push(term(t.of("weight", c, o, i, j), t.of("x", n, c, h, w)));
  const bias = t.has("bias");
  if (bias) terms.push(part("bias", t.of("bias", o)));
  return rule(`sum of weight × x over the inputs that reach this pixel${bias ? " + bias" : ""}`, terms);
}

/** dx, dweight or dbias. */
function convTransposeBackward(t, name, at) {
  return { dx: laidGradient, dweight: laidWeightGradient, dbias: laidBiasGradient }[name](t, at);
}

/** The convolution of dy, one term a weight. */
function laidGradient(t, [n, c, h, w]) {
  const [, O, KH, KW] = t.shape("weight");
  const [rows, columns] = [laid(t, 0, h), laid(t, 1, w)];
  const terms = [];
  for (let o = 0; o < O; o++)
    for (const [i, oh] of rows)
      for (const [j, ow] of columns) terms.push(term(t.of("weight", c, o, i, j), t.of("dy", n, o, oh, ow)));
  return rule("sum of weight × dy under the kernel", terms, { padding: O * KH * KW - terms.length });
}

function laidWeightGradient(t, [c, o, i, j]) {
  const [, , OH, OW] = t.shape("dy");
  const terms = [];
  const places = channelPlaces(t.shape("x"), c);
  for (const [n, , h, w] of places) {
    const [oh, ow] = [liesOn(t, 0, h, i), liesOn(t, 1, w, j)];
    if (0 <= oh && oh < OH && 0 <= ow && ow < OW) terms.push(term(t.of("x", n, c, h, w), t.of("dy", n, o, oh, ow)));
  }
  const padding = places.length - terms.length;
  return rule("sum over pictures and inputs of x × dy under this weight", terms, { padding });
}

function laidBiasGradient(t, [o]) {
  const places = channelPlaces(t.shape("dy"), o);
  return rule("sum of dy over pictures and places", places.map((place) => term(t.of("dy", ...place))));
}

/** The row (axis 0) or column (axis 1) of y onto which kernel row or column k lays the input at `pixel`. */
const liesOn = (t, axis, pixel, k) => pixel * t.settings.stride[axis] + k - t.settings.pad[axis];

/** [pixel, k]: the rows or columns of x that reach row or column `out` of y, and the kernel's through which they do. */
function reaching(t, axis, out) {
  const { stride, pad } = t.settings;
  const pairs = range(t.shape("weight")[2 + axis]).map((k) => [(out + pad[axis] - k) / stride[axis], k]);
  return pairs.filter(([pixel]) => Number.isInteger(pixel) && 0 <= pixel && pixel < t.shape("x")[2 + axis]);
}

/** [k, out]: the kernel's rows or columns, and y's onto which they lay this input, without those that were cut off. */
function laid(t, axis, pixel) {
  const pairs = range(t.shape("weight")[2 + axis]).map((k) => [k, liesOn(t, axis, pixel, k)]);
  return pairs.filter(([, out]) => 0 <= out && out < t.shape("dy")[2 + axis]);
}

/** How it is explained, both ways. */
export const CONV_TRANSPOSE = {
  ConvTranspose2d: { forward: convTransposeForward, backward: convTransposeBackward },
};
