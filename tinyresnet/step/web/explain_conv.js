// Convolution, cell by cell: y, dx as seen from the pixel, dweight, dbias.

import { channelPlaces, part, range, rule, term } from "./terms.js";

/** y: the window under the kernel, one term a weight. */
function convForward(t, name, [n, o, oh, ow]) {
  const [, CG, KH, KW] = t.shape("weight");
  const first = firstChannel(t, o);
  const [rows, columns] = [inside(t, 0, oh), inside(t, 1, ow)];
  const terms = [];
  for (let c = 0; c < CG; c++)
    for (const [i, h] of rows)
      for (const [j, w] of columns) terms.push(term(t.of("weight", o, c, i, j), t.of("x", n, first + c, h, w)));
  const padding = CG * KH * KW - terms.length;
  const bias = t.has("bias");
  if (bias) terms.push(part("bias", t.of("bias", o)));
  return rule(`sum of weight × x under the kernel${bias ? " + bias" : ""}`, terms, { padding });
}

/** dx, dweight or dbias. */
function convBackward(t, name, at) {
  return { dx: convInputGradient, dweight: convWeightGradient, dbias: convBiasGradient }[name](t, at);
}

/** From the pixel: every output that saw it. */
function convInputGradient(t, [n, c, h, w]) {
  const [O, CG, KH, KW] = t.shape("weight");
  const outputs = O / t.settings.groups;
  const group = Math.floor(c / CG);
  const [rows, columns] = [seenBy(t, 0, h, KH), seenBy(t, 1, w, KW)];
  const terms = [];
  for (let o = group * outputs; o < (group + 1) * outputs; o++)
    for (const [oh, i] of rows)
      for (const [ow, j] of columns) terms.push(term(t.of("dy", n, o, oh, ow), t.of("weight", o, c % CG, i, j)));
  return rule("sum over the outputs that saw this pixel of dy × weight", terms);
}

function convWeightGradient(t, [o, c, i, j]) {
  const [, , H, W] = t.shape("x");
  const channel = firstChannel(t, o) + c;
  const terms = [];
  const places = outputs(t, o);
  for (const [n, , oh, ow] of places) {
    const [h, w] = [meets(t, 0, oh, i), meets(t, 1, ow, j)];
    if (0 <= h && h < H && 0 <= w && w < W) terms.push(term(t.of("dy", n, o, oh, ow), t.of("x", n, channel, h, w)));
  }
  const padding = places.length - terms.length;
  return rule("sum over pictures and places of dy × x under this weight", terms, { padding });
}

function convBiasGradient(t, [o]) {
  return rule("sum of dy over pictures and places", outputs(t, o).map((place) => term(t.of("dy", ...place))));
}

/** The first input channel that output channel o sees: the beginning of its group. */
function firstChannel(t, o) {
  const [O, CG] = t.shape("weight");
  return Math.floor(o / (O / t.settings.groups)) * CG;
}

/** The row (axis 0) or column (axis 1) of x that kernel row or column k meets at output `out`. */
function meets(t, axis, out, k) {
  const { stride, dilation, pad } = t.settings;
  return out * stride[axis] + k * dilation[axis] - pad[axis];
}

/** [k, place] of the kernel rows or columns that lie inside the picture at output `out`. */
function inside(t, axis, out) {
  const pairs = range(t.shape("weight")[2 + axis]).map((k) => [k, meets(t, axis, out, k)]);
  return pairs.filter(([, place]) => 0 <= place && place < t.shape("x")[2 + axis]);
}

/** [out, k]: the outputs whose window holds this pixel, and the kernel row or column that lies on it there. */
function seenBy(t, axis, pixel, kernel) {
  const { stride, dilation, pad } = t.settings;
  const pairs = range(kernel).map((k) => [(pixel + pad[axis] - k * dilation[axis]) / stride[axis], k]);
  return pairs.filter(([out]) => Number.isInteger(out) && 0 <= out && out < t.shape("dy")[2 + axis]);
}

/** [n, c, h, w] of all of dy's places in this channel. */
const outputs = (t, channel) => channelPlaces(t.shape("dy"), channel);

/** How it is explained, both ways. */
export const CONV = {
  Conv2d: { forward: convForward, backward: convBackward },
};
