// The softmax and its log over the classes (axis 1), cell by cell: what the cross-entropies of a picture and of a pixel share.

import { MINUS, range, rule, term } from "./terms.js";

/** The places of all classes at one row [n] or pixel [n, h, w]. */
export const classPlaces = (t, [n, ...pixel]) => range(t.shape("x")[1]).map((k) => [n, k, ...pixel]);

/** The row or pixel of a place that has a class. */
export const withoutClass = ([n, , ...pixel]) => [n, ...pixel];

const SOFTMAX_PARTS = {
  largest: (t, at, row) => {
    const logits = classPlaces(t, at).map((place) => t.of("x", ...place));
    const winner = logits.reduce((best, one) => (one.value > best.value ? one : best));
    return rule(`the largest logit of the ${row}`, [term(winner)]);
  },
  shifted: (t, at) =>
    rule("x − largest", [term(t.of("x", ...at)), term(MINUS, t.of("largest", ...withoutClass(at)))]),
  exp: (t, at) => rule("exp(shifted)", [term(t.of("shifted", ...at))], { function: "exp" }),
  total: (t, at) => rule("sum of exp over the classes", classPlaces(t, at).map((place) => term(t.of("exp", ...place)))),
  inverse_total: (t, at) => rule("1 / total", [term(t.of("total", ...at))], { function: "1/" }),
  p: (t, at) => rule("exp / total", [term(t.of("exp", ...at), t.of("inverse_total", ...withoutClass(at)))]),
  log_total: (t, at) => rule("log(total)", [term(t.of("total", ...at))], { function: "log" }),
  log_p: (t, at) =>
    rule("shifted − log_total", [term(t.of("shifted", ...at)), term(MINUS, t.of("log_total", ...withoutClass(at)))]),
};

/** The rule of a part of the softmax, null for another name. `row` is what the logits of one softmax are called. */
export const softmaxRule = (t, name, at, row) => (name in SOFTMAX_PARTS ? SOFTMAX_PARTS[name](t, at, row) : null);
