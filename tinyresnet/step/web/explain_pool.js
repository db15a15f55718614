// Pooling, cell by cell: who won a window, and what a pixel gets back from the windows that it won or shared.

import { channelPlaces, PADDING, range, rule, share, term } from "./terms.js";

/** The winner's place in the window, counted row by row from 0, or its number. */
function maxForward(t, name, at) {
  const [n, c] = at;
  const [, , H, W] = t.shape("x");
  if (name === "y") {
    const won = windowPlace(t, at, t.value("winner", at));
    return rule("the largest x of the window", [term(t.of("x", n, c, ...won))]);
  }
  const candidates = windowPlaces(t, at).map(([h, w]) => (within(h, w, H, W) ? t.of("x", n, c, h, w) : PADDING));
  const terms = candidates.map((one) => term(one));
  return rule("place of the largest x", terms, { function: "place of the largest" });
}

/** The dy of each window that this pixel won. */
function maxBackward(t, name, [n, c, h, w]) {
  const won = windowsOf(t, h, w).filter(([oh, ow]) => {
    const [row, column] = windowPlace(t, [n, c, oh, ow], t.value("winner", [n, c, oh, ow]));
    return row === h && column === w;
  });
  return rule("the dy of each window that this pixel won", won.map((out) => term(t.of("dy", n, c, ...out))));
}

/** The mean over the window; padding counts as zeros. */
function averageForward(t, name, at) {
  const [n, c] = at;
  const [, , H, W] = t.shape("x");
  const places = windowPlaces(t, at);
  const terms = places
    .filter(([h, w]) => within(h, w, H, W))
    .map((place) => term(t.of("x", n, c, ...place), share(places.length)));
  return rule("the mean of x over the window", terms, { padding: places.length - terms.length });
}

/** From each window that held this pixel, its share of dy. */
function averageBackward(t, name, [n, c, h, w]) {
  const [KH, KW] = t.settings.kernel;
  const terms = windowsOf(t, h, w).map((out) => term(t.of("dy", n, c, ...out), share(KH * KW)));
  return rule("the sum of dy / (KH KW) over the windows that held this pixel", terms);
}

/** The mean over the picture. */
function globalForward(t, name, [n, c]) {
  const [, , H, W] = t.shape("x");
  const places = channelPlaces([1, 1, H, W], c).map(([, , h, w]) => [n, c, h, w]);
  return rule("the mean of x over the picture", places.map((place) => term(t.of("x", ...place), share(H * W))));
}

/** Every pixel gets its share of dy. */
function globalBackward(t, name, [n, c]) {
  const [, , H, W] = t.settings.x_shape;
  return rule("dy / (H W)", [term(t.of("dy", n, c, 0, 0), share(H * W))]);
}

const within = (h, w, H, W) => 0 <= h && h < H && 0 <= w && w < W;

/** Row and column of x at place k of this window [n, c, oh, ow], which is counted row by row. */
function windowPlace(t, window, k) {
  const { kernel, stride, pad } = t.settings;
  const [i, j] = [Math.floor(k / kernel[1]), k % kernel[1]];
  return [window[2] * stride[0] + i - pad[0], window[3] * stride[1] + j - pad[1]];
}

const windowPlaces = (t, at) =>
  range(t.settings.kernel[0] * t.settings.kernel[1]).map((k) => windowPlace(t, at, k));

/** [oh, ow] of the windows that hold this pixel. */
function windowsOf(t, h, w) {
  const { kernel, stride, pad } = t.settings;
  const sizes = t.shape("dy").slice(2);
  const [rows, columns] = [h, w].map((pixel, axis) => {
    const first = Math.max(0, Math.ceil((pixel + pad[axis] - kernel[axis] + 1) / stride[axis]));
    const end = Math.min(sizes[axis], Math.floor((pixel + pad[axis]) / stride[axis]) + 1);
    return range(Math.max(0, end - first)).map((i) => first + i);
  });
  return rows.flatMap((oh) => columns.map((ow) => [oh, ow]));
}

/** How these kinds are explained, both ways. */
export const POOL = {
  MaxPool2d: { forward: maxForward, backward: maxBackward },
  AvgPool2d: { forward: averageForward, backward: averageBackward },
  GlobalAvgPool: { forward: globalForward, backward: globalBackward },
};
