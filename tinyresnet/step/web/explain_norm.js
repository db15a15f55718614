// Batch norm, cell by cell: the statistics, xhat, y, and dx as its three terms.

import { channelPlaces, constant, MINUS, part, rule, share, term } from "./terms.js";

/** mean, var, centred, inverse_std, xhat or y. */
function normForward(t, name, at) {
  if (at.length === 1) return normStatistic(t, name, at[0]);
  const c = at[1];
  if (name === "centred") return rule("x − mean", [term(t.of("x", ...at)), term(MINUS, t.of("mean", c))]);
  if (name === "xhat") return rule("centred × inverse_std", [term(t.of("centred", ...at), t.of("inverse_std", c))]);
  const scaled = term(t.of("weight", c), t.of("xhat", ...at));
  return rule("weight × xhat + bias", [scaled, part("bias", t.of("bias", c))]);
}

function normStatistic(t, name, c) {
  const places = channelPlaces(t.shape("x"), c);
  const M = share(places.length);
  if (name === "mean")
    return rule("the mean of x over pictures, rows and columns", places.map((at) => term(t.of("x", ...at), M)));
  if (name === "var")
    return rule("the mean of centred²", places.map((at) => term(t.of("centred", ...at), t.of("centred", ...at), M)));
  const terms = [term(t.of("var", c)), term(constant("eps", t.settings.eps))];
  return rule("1 / sqrt(var + eps)", terms, { function: "1/sqrt" });
}

/** dweight, dbias, the two means, and dx: direct − by the mean − by the variance. */
function normBackward(t, name, at) {
  if (name === "dx") return normInputGradient(t, at);
  const [c] = at;
  const places = channelPlaces(t.shape("x"), c);
  if (name === "mean_dy") return rule("dbias / M", [term(t.of("dbias", c), share(places.length))]);
  if (name === "mean_dy_xhat") return rule("dweight / M", [term(t.of("dweight", c), share(places.length))]);
  if (name === "dbias")
    return rule("sum of dy over pictures, rows and columns", places.map((place) => term(t.of("dy", ...place))));
  return rule("sum of dy × xhat", places.map((place) => term(t.of("dy", ...place), t.of("xhat", ...place))));
}

/** The three terms; in evaluation mean and variance are constants, and the direct term stands alone. */
function normInputGradient(t, at) {
  const c = at[1];
  const scale = [t.of("weight", c), t.of("inverse_std", c)];
  const direct = part("direct", ...scale, t.of("dy", ...at));
  if (!t.step.train) return rule("weight × inverse_std × dy", [direct]);
  const mean = part("mean", MINUS, ...scale, t.of("mean_dy", c));
  const variance = part("variance", MINUS, ...scale, t.of("xhat", ...at), t.of("mean_dy_xhat", c));
  return rule("weight × inverse_std × (dy − mean_dy − xhat × mean_dy_xhat)", [direct, mean, variance]);
}

/** How it is explained, both ways. */
export const NORM = {
  BatchNorm2d: { forward: normForward, backward: normBackward },
};
