// Cross-entropy at every pixel, cell by cell: a softmax at each pixel, what each counts, the weighted mean; and dlogits.

import { softmaxRule, withoutClass } from "./explain_softmax.js";
import { constant, MINUS, part, places, rule, term } from "./terms.js";

const IGNORED = rule("this pixel does not count", []);

const PIXEL_PARTS = {
  weights: (t, at) => {
    if (!t.has("class_weights")) return rule("every pixel that counts weighs 1", [term(constant("1", 1))]);
    return rule("the weight of the wanted class", [term(t.of("class_weights", t.value("target", at)))]);
  },
  weight_sum: (t) =>
    rule(
      "sum of the pixels' weights",
      places(t.shape("weights")).map((place) => term(t.of("weights", ...place))),
    ),
  inverse_weight_sum: (t) => rule("1 / weight_sum", [term(t.of("weight_sum"))], { function: "1/" }),
  losses: (t, at) => {
    const [n, ...pixel] = at;
    const logP = t.of("log_p", n, t.value("target", at), ...pixel);
    return rule("− weight × log_p of the wanted class", [term(MINUS, t.of("weights", ...at), logP)]);
  },
  y: (t) => {
    const terms = places(t.shape("losses")).map((place) => term(t.of("losses", ...place), t.of("inverse_weight_sum")));
    return rule("the weighted mean: sum of losses / weight_sum", terms);
  },
};

/** Any number on the way from the logits x to the loss y. */
function pixelForward(t, name, at) {
  if (["weights", "losses"].includes(name) && t.value("weights", at) === 0) return IGNORED;
  return softmaxRule(t, name, at, "pixel") ?? PIXEL_PARTS[name](t, at);
}

/** dx = dy weights / weight_sum (p − 1 at the wanted class, p at the others); 0 at pixels that do not count. */
function pixelBackward(t, name, at) {
  const pixel = withoutClass(at);
  if (t.value("weights", pixel) === 0) return IGNORED;
  const scale = [t.of("dy"), t.of("weights", ...pixel), t.of("inverse_weight_sum")];
  const terms = [part("p", ...scale, t.of("p", ...at))];
  if (t.value("target", pixel) !== at[1]) return rule("dy × weight / weight_sum × p: another class", terms);
  terms.push(part("target", MINUS, ...scale));
  return rule("dy × weight / weight_sum × (p − 1): the wanted class", terms);
}

/** How it is explained, both ways. */
export const PIXEL_CROSS_ENTROPY = {
  PixelCrossEntropy: { forward: pixelForward, backward: pixelBackward },
};
