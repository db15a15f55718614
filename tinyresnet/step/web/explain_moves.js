// Ops that copy, drop, gate and join numbers: ReLU, dropout, identity, flatten, fork, add, shortcut A.

import { part, rule, term } from "./terms.js";

function reluForward(t, name, at) {
  if (name === "mask") return rule("1 if x > 0, else 0", [term(t.of("x", ...at))], { function: "> 0" });
  return rule("mask × x", [term(t.of("mask", ...at), t.of("x", ...at))]);
}

const reluBackward = (t, name, at) => rule("mask × dy", [term(t.of("mask", ...at), t.of("dy", ...at))]);

const dropout = (read) => (t, name, at) => {
  if (!t.has("scale")) return rule(read, [term(t.of(read, ...at))]);
  return rule(`scale × ${read}`, [term(t.of("scale", ...at), t.of(read, ...at))]);
};

const identity = (read) => (t, name, at) => rule("the same number", [term(t.of(read, ...at))]);

const flattenForward = (t, name, [n, i]) => rule("the same number", [term(t.inPicture("x", n, i))]);
const flattenBackward = (t, name, at) =>
  rule("the same number", [term(t.of("dy", at[0], t.placeInPicture("dx", at)))]);

const forkForward = (t, name, at) => rule("x, for both ways", [term(t.of("x", ...at))]);
const forkBackward = (t, name, at) =>
  rule("da + db", [part("branch", t.of("da", ...at)), part("shortcut", t.of("db", ...at))]);
const addForward = (t, name, at) =>
  rule("a + b", [part("branch", t.of("a", ...at)), part("shortcut", t.of("b", ...at))]);
const addBackward = (t, name, at) => rule("dy, for both ways", [term(t.of("dy", ...at))]);

function shortcutForward(t, name, [n, c, oh, ow]) {
  const { front, stride } = t.settings;
  const channel = c - front;
  if (channel < 0 || channel >= t.shape("x")[1]) return rule("a channel of zeros", []);
  return rule("every stride-th pixel", [term(t.of("x", n, channel, oh * stride, ow * stride))]);
}

function shortcutBackward(t, name, [n, c, h, w]) {
  const { front, stride } = t.settings;
  if (h % stride || w % stride) return rule("skipped by the stride: nothing comes back", []);
  return rule("dy of the kept pixel", [term(t.of("dy", n, c + front, h / stride, w / stride))]);
}

/** How these kinds are explained, both ways. */
export const MOVES = {
  ReLU: { forward: reluForward, backward: reluBackward },
  Dropout: { forward: dropout("x"), backward: dropout("dy") },
  Identity: { forward: identity("x"), backward: identity("dy") },
  Flatten: { forward: flattenForward, backward: flattenBackward },
  Fork: { forward: forkForward, backward: forkBackward },
  Add: { forward: addForward, backward: addBackward },
  ShortcutA: { forward: shortcutForward, backward: shortcutBackward },
};
