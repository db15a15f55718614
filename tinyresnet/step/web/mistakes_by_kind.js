// Mistakes that one kind of step invites, each computed as somebody who makes it would.

import { flat } from "./explain.js";
import { averagedOver, inTensor, instead, partOf, total, without, written } from "./some_terms.js";
import { sum } from "./terms.js";

const MANY = 16; // terms, beyond which one of them would too often be met by chance

function* convForwardMistakes(about) {
  const [, , KH, KW] = about.t.shape("weight");
  yield ["conv_flipped", instead(about, flipped(KH, KW))];
  for (const channel of new Set(about.terms.map((one) => one.factors[1]?.cell.at[1]))) {
    const own = about.terms.filter((one) => one.factors[1]?.cell.at[1] === channel);
    if (channel !== undefined) yield ["conv_one_channel", total(own), { channel }];
  }
}

function* convInputMistakes(about) {
  const [, , KH, KW] = about.t.shape("weight");
  yield ["conv_not_flipped", instead(about, flipped(KH, KW))];
  const single = about.terms.length > 1 && about.terms.length <= MANY ? about.terms : [];
  for (const one of single) yield ["conv_one_output", one.value, { term: written(one) }];
}

const flipped = (KH, KW) => (name, [o, c, i, j]) => name === "weight" ? [name, [o, c, KH - 1 - i, KW - 1 - j]] : null;

function* weightMistakes({ t, value }) {
  const count = t.shape("dy")[0];
  yield ["dweight_averaged", value / count, { count }];
}

function* normInputMistakes({ t, terms }) {
  const [direct, mean, variance] = ["direct", "mean", "variance"].map((part) => partOf(terms, part));
  if (t.step.train) {
    yield ["bn_no_variance", direct + mean];
    yield ["bn_no_mean", direct + variance];
    yield ["bn_direct", direct];
  }
  yield ["bn_no_weight", without(terms, "weight")];
  yield ["bn_no_inverse_std", without(terms, "inverse_std")];
  yield ["bn_no_scale", without(terms, "weight", "inverse_std")];
  if (!t.step.train) return;
  const [N, , H, W] = t.shape("x");
  yield ["bn_sums", direct + N * H * W * (mean + variance)];
}

function* varianceMistakes({ t, terms, value }) {
  const M = terms.length;
  if (M > 1) yield ["var_unbiased", (value * M) / (M - 1)];
  yield ["var_root", Math.sqrt(value)];
  yield ["var_not_centred", sum(terms.map((one) => t.value("x", one.factors[0].cell.at) ** 2)) / M];
}

function* inverseMistakes({ terms }) {
  yield ["inverse_no_root", 1 / total(terms)];
  yield ["inverse_not_inverted", Math.sqrt(total(terms))];
}

function* normedMistakes({ t, at, terms }) {
  const inverse = t.value("inverse_std", [at[1]]);
  yield ["xhat_not_centred", t.value("x", at) * inverse];
  yield ["xhat_by_variance", total(terms) * inverse];
}

function* scaledMistakes({ t, at }) {
  yield ["bn_only_xhat", t.value("xhat", at)];
}

function* normWeightMistakes(about) {
  yield ["bn_dweight_x", instead(about, (name, at) => (name === "xhat" ? ["x", at] : null))];
}

function* forkBackwardMistakes({ t, at, value }) {
  yield ["fork_averaged", value / 2];
  yield ["fork_branch", t.value("da", at)];
  yield ["fork_shortcut", t.value("db", at)];
}

function* addForwardMistakes({ t, at, value }) {
  yield ["add_averaged", value / 2];
  yield ["add_branch", t.value("a", at)];
  yield ["add_shortcut", t.value("b", at)];
}

function* copyMistakes({ value }) {
  yield ["copy_halved", value / 2];
}

function* reluMistakes({ t, at, terms }) {
  const read = terms[0].factors[1];
  if (t.value("mask", at)) yield ["relu_wrong_side", 0];
  else yield ["relu_ignored", read.value];
  if (read.cell.name === "x") yield ["relu_absolute", Math.abs(read.value)];
}

function* maskMistakes({ t, at, value }) {
  yield ["relu_wrong_side", 1 - value];
  yield ["mask_not_x", t.value("x", at)];
}

/** The numbers of x in the window of this output. */
function windowOf({ t, at }) {
  const { kernel, stride, pad } = t.settings;
  const cells = [];
  for (let i = 0; i < kernel[0]; i++)
    for (let j = 0; j < kernel[1]; j++) {
      const cell = [at[0], at[1], at[2] * stride[0] + i - pad[0], at[3] * stride[1] + j - pad[1]];
      if (inTensor(t, "x", cell)) cells.push(t.value("x", cell));
    }
  return cells;
}

function* maxForwardMistakes(about) {
  const [window, count] = [windowOf(about), about.t.settings.kernel[0] * about.t.settings.kernel[1]];
  yield ["pool_mean", sum(window) / count];
  yield ["pool_smallest", Math.min(...window)];
  yield ["pool_added", sum(window)];
  yield ["pool_divided", about.value / count, { count }];
}

function* winnerMistakes({ t, at, value }) {
  yield ["winner_from_one", value + 1];
  yield ["winner_value", t.value("y", at)];
}

/** dy of every window that holds this pixel. */
function gradientsOver({ t, at: [n, c, h, w] }) {
  const { kernel, stride, pad } = t.settings;
  const [, , OH, OW] = t.shape("dy");
  const holds = (out, pixel, axis) => {
    const place = pixel - (out * stride[axis] - pad[axis]);
    return 0 <= place && place < kernel[axis];
  };
  const found = [];
  for (let oh = 0; oh < OH; oh++)
    for (let ow = 0; ow < OW; ow++) if (holds(oh, h, 0) && holds(ow, w, 1)) found.push(t.value("dy", [n, c, oh, ow]));
  return found;
}

function* maxBackwardMistakes(about) {
  const [dys, count] = [gradientsOver(about), about.t.settings.kernel[0] * about.t.settings.kernel[1]];
  yield ["pool_shared", sum(dys) / count, { count }];
  if (about.terms.length) yield ["pool_winner_nothing", 0];
  for (const dy of [sum(dys), ...dys]) if (about.terms.length < dys.length) yield ["pool_loser", dy];
}

function* meanForwardMistakes({ terms, value }) {
  const M = averagedOver(terms);
  yield ["pool_not_divided", value * M, { count: M }];
  yield ["pool_largest", Math.max(...terms.map((one) => one.factors[0].value))];
}

function* meanBackwardMistakes({ terms, value }) {
  const M = averagedOver(terms);
  if (M) yield ["pool_not_divided", value * M, { count: M }];
}

const transposed = (name, at) => (name === "weight" ? [name, [at[1], at[0]]] : null);

function* linearForwardMistakes(about) {
  yield ["linear_transposed", instead(about, transposed)];
}

function* linearInputMistakes(about) {
  const { trace, t, terms } = about;
  const y = t.step.forward === null ? null : trace.tensor(t.step.forward, "y");
  const withY = ({ factors: [dy, weight] }) => y.data[flat(dy.cell.at, y.shape)] * weight.value;
  if (y?.data) yield ["linear_used_y", sum(terms.map(withY))];
  yield ["linear_transposed", instead(about, transposed)];
}

function* lossBackwardMistakes({ t, at, terms, value }) {
  const { counted } = t.settings;
  yield ["loss_no_target", partOf(terms, "p")];
  yield ["loss_target_minus_p", -value];
  yield ["loss_not_divided", value * counted, { count: counted }];
  yield ["loss_only_p", t.value("p", at)];
}

function* lossRowMistakes({ t, at, value }) {
  const classes = t.shape("p")[1];
  const mixed = Array.from({ length: classes }, (_, k) => t.value("target", [at[0], k]) * t.value("p", [at[0], k]));
  yield ["loss_no_log", sum(mixed)];
  yield ["loss_log10", value / Math.LN10];
}

function* shortcutForwardMistakes({ t, at, terms }) {
  const { stride, front } = t.settings;
  const [n, c, oh, ow] = at;
  const C = t.shape("x")[1];
  if (!terms.length) yield ["shortcut_zeros", t.value("x", [n, (c - front + C) % C, oh * stride, ow * stride])];
  else if (inTensor(t, "x", [n, c - front, oh, ow])) yield ["shortcut_stride", t.value("x", [n, c - front, oh, ow])];
}

function* shortcutBackwardMistakes({ t, at: [n, c, h, w], terms, value }) {
  const { stride, front } = t.settings;
  const place = [n, c + front, Math.floor(h / stride), Math.floor(w / stride)];
  if (!terms.length) yield ["shortcut_skipped", t.value("dy", place)];
  else yield ["shortcut_shared", value / stride ** 2, { count: stride ** 2 }];
}

/** Mistakes by kind of step and, where they differ, by tensor: each yields [key, wrong number, what its words name]. */
export const NAMED = {
  "Conv2d forward": convForwardMistakes,
  "Conv2d backward dx": convInputMistakes,
  "Conv2d backward": weightMistakes,
  "BatchNorm2d forward var": varianceMistakes,
  "BatchNorm2d forward inverse_std": inverseMistakes,
  "BatchNorm2d forward xhat": normedMistakes,
  "BatchNorm2d forward y": scaledMistakes,
  "BatchNorm2d backward dx": normInputMistakes,
  "BatchNorm2d backward dweight": normWeightMistakes,
  "ReLU forward y": reluMistakes,
  "ReLU forward mask": maskMistakes,
  "ReLU backward": reluMistakes,
  "MaxPool2d forward y": maxForwardMistakes,
  "MaxPool2d forward winner": winnerMistakes,
  "MaxPool2d backward": maxBackwardMistakes,
  "AvgPool2d forward": meanForwardMistakes,
  "AvgPool2d backward": meanBackwardMistakes,
  "GlobalAvgPool forward": meanForwardMistakes,
  "GlobalAvgPool backward": meanBackwardMistakes,
  "Linear forward": linearForwardMistakes,
  "Linear backward dx": linearInputMistakes,
  "Linear backward": weightMistakes,
  "Fork forward": copyMistakes,
  "Fork backward": forkBackwardMistakes,
  "Add forward": addForwardMistakes,
  "Add backward": copyMistakes,
  "ShortcutA forward": shortcutForwardMistakes,
  "ShortcutA backward": shortcutBackwardMistakes,
  "CrossEntropy forward losses": lossRowMistakes,
  "CrossEntropy backward": lossBackwardMistakes,
};
