// The focal loss, cell by cell: each probability, how far it is from its target, the two factors of its loss; the product rule.

import { constant, MINUS, part, places, rule, term } from "./terms.js";

const UNCOUNTED = rule("this number does not count", []);
const HIT = rule("p hits the target", []);
const POWERS = [1, 2, 3, 4]; // written as products; other powers go by exp and log

const overCount = (t) => constant("1/count", 1 / t.settings.counted);
const gammaOf = (t) => constant("gamma", t.settings.gamma);

const FOCAL_PARTS = {
  p: (t, at) => rule("1 / (1 + exp(−x))", [term(t.of("x", ...at))], { function: "sigmoid" }),
  q: (t, at) => rule("1 − p = 1 / (1 + exp(x))", [term(MINUS, t.of("x", ...at))], { function: "sigmoid" }),
  log_p: (t, at) => rule("log(p)", [term(t.of("x", ...at))], { function: "log sigmoid" }),
  log_q: (t, at) => rule("log(1 − p)", [term(MINUS, t.of("x", ...at))], { function: "log sigmoid" }),
  difference: (t, at) => {
    const minus = t.value("targets", at) > 0 ? [term(MINUS, t.of("targets", ...at))] : [];
    return rule("p − target", [term(t.of("p", ...at)), ...minus]);
  },
  miss: (t, at) => rule("|p − target|", [term(t.of("difference", ...at))], { function: "abs" }),
  log_miss: (t, at) =>
    t.value("miss", at) ? rule("log(miss)", [term(t.of("miss", ...at))], { function: "log" }) : HIT,
  modulating: (t, at) => {
    const { gamma } = t.settings;
    const text = "miss^gamma";
    if (gamma === 0) return rule(text, [term(constant("1", 1))]);
    if (POWERS.includes(gamma)) return rule(text, [term(...new Array(gamma).fill(t.of("miss", ...at)))]);
    if (!t.value("miss", at)) return HIT;
    return rule(text, [term(gammaOf(t), t.of("log_miss", ...at))], { function: "exp" });
  },
  bce: (t, at) => {
    const target = Math.max(t.value("targets", at), 0);
    const [logP, logQ] = [t.of("log_p", ...at), t.of("log_q", ...at)];
    if (target === 1) return rule("− log(p)", [term(MINUS, logP)]);
    if (target === 0) return rule("− log(1 − p)", [term(MINUS, logQ)]);
    const factor = t.of("targets", ...at);
    const terms = [term(MINUS, factor, logP), term(MINUS, logQ), term(factor, logQ)];
    return rule("− target × log(p) − (1 − target) × log(1 − p)", terms);
  },
  weights: (t, at) => {
    const { alpha } = t.settings;
    if (t.value("targets", at) < 0) return UNCOUNTED;
    if (alpha === undefined) return rule("without alpha every number weighs 1", [term(constant("1", 1))]);
    const terms = [term(constant("1 − alpha", 1 - alpha))];
    if (t.value("targets", at) > 0) terms.push(term(constant("2 alpha − 1", 2 * alpha - 1), t.of("targets", ...at)));
    return rule("alpha × target + (1 − alpha) × (1 − target)", terms);
  },
  losses: (t, at) => {
    if (t.value("targets", at) < 0) return UNCOUNTED;
    const factors = ["weights", "modulating", "bce"].map((name) => t.of(name, ...at));
    return rule("weight × modulating × bce", [term(...factors)]);
  },
  y: (t) => {
    const terms = places(t.shape("x")).map((place) => term(t.of("losses", ...place), overCount(t)));
    return rule("sum of losses / count", terms);
  },
};

/** Any number on the way from the logits x to the loss y. */
const focalForward = (t, name, at) => FOCAL_PARTS[name](t, at);

/** dx = dy / count × weight × (slope × bce + modulating × difference): the product rule. */
function focalBackward(t, name, at) {
  const of = (tensor) => t.of(tensor, ...at);
  if (name === "inverse_difference") {
    return t.value("difference", at) ? rule("1 / difference", [term(of("difference"))], { function: "1/" }) : HIT;
  }
  if (name === "slope") {
    const factors = ["modulating", "inverse_difference", "p", "q"].map(of);
    return rule("gamma × modulating / difference × p × (1 − p)", [term(gammaOf(t), ...factors)]);
  }
  if (!t.value("weights", at)) return UNCOUNTED;
  const scale = [t.of("dy"), overCount(t), of("weights")];
  const terms = [
    part("modulating", ...scale, of("slope"), of("bce")),
    part("bce", ...scale, of("modulating"), of("difference")),
  ];
  return rule("dy × weight / count × (slope × bce + modulating × difference)", terms);
}

/** How it is explained, both ways. */
export const FOCAL_LOSS = {
  FocalLoss: { forward: focalForward, backward: focalBackward },
};
