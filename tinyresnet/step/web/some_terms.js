// Sums of some of the terms, or of the terms with other factors: what mistakes are made of.

import { sum } from "./terms.js";

/** The sum of the terms. */
export const total = (terms) => sum(terms.map((one) => one.value));
const product = (factors) => factors.reduce((value, factor) => value * factor.value, 1);
/** The name of the tensor that a factor is read from, or a constant's symbol. */
export const named = (factor) => factor.cell?.name ?? factor.constant;
/** A product in symbols. */
export const written = (one) => one.factors.map((factor) => factor.symbol).join(" × ");
/** The sum of the terms of one part. */
export const partOf = (terms, part) => total(terms.filter((one) => one.part === part));

/** The sum of the terms without the factors of these names; the bias stays. */
export function without(terms, ...names) {
  const kept = (one) => (one.part === "bias" ? one.factors : one.factors.filter((f) => !names.includes(named(f))));
  return sum(terms.map((one) => product(kept(one))));
}

/** The sum of the terms with other factors in their place: change(name, at) tells what to read instead, or null. */
export function instead({ t, terms }, change) {
  const read = ({ value, cell }) => {
    const [name, at] = (cell && change(cell.name, cell.at)) ?? [];
    return name ? (inTensor(t, name, at) ? t.value(name, at) : NaN) : value;
  };
  return sum(terms.map((one) => one.factors.reduce((value, factor) => value * read(factor), 1)));
}

/** Whether a tensor has this cell. */
export function inTensor(t, name, at) {
  return t.has(name) && at.every((i, axis) => 0 <= i && i < t.shape(name)[axis]);
}

/** The count M of an average whose every term has the factor 1/M; 0 if it is none. */
export function averagedOver(terms) {
  const shares = terms.map((one) => one.factors.find((factor) => factor.constant.startsWith("1/"))?.value);
  return terms.length && shares.every((value) => value === shares[0] && value) ? Math.round(1 / shares[0]) : 0;
}

/** The pictures of the terms: n of the first factor that has a picture axis. */
export function pictureOf(one) {
  const ofPicture = (factor) => factor.cell && /^(x|y|dy|xhat|centred|losses)$/.test(factor.cell.name);
  return one.factors.find(ofPicture)?.cell.at[0];
}
