// What a wrong number tells: it is tried against mistakes that people make, computed from the terms of the right one.

import { Explainer } from "./explain.js";
import { MISTAKES } from "./mistake_words.js";
import { NAMED } from "./mistakes_by_kind.js";
import { averagedOver, named, pictureOf, total, without, written } from "./some_terms.js";
import { sum } from "./terms.js";

const MANY = 16; // terms, beyond which "you left out this one" would too often be true by chance

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/;

/** A typed number {value, decimals}: "0.75", "-1,5", "3/32", "1e-3"; null if it is none. */
export function readNumber(typed) {
  const plain = String(typed).toLowerCase().replaceAll("−", "-").replaceAll(",", ".");
  const parts = plain.split("/").map((one) => one.trim());
  if (parts.length > 2 || !parts.every((part) => NUMBER.test(part))) return null;
  const [top, bottom = 1] = parts.map(Number);
  const [mantissa, exponent = 0] = parts[0].split("e");
  const decimals = parts.length > 1 ? 0 : (mantissa.split(".")[1] ?? "").length - Number(exponent);
  return Number.isFinite(top / bottom) ? { value: top / bottom, decimals } : null;
}

/**
 * Whether a typed number is this value: to the decimals that were typed (at least 2, and to the first digit that is not 0),
 * or within 0.5 %.
 */
export function close(typed, value) {
  const read = readNumber(typed);
  if (!read || !Number.isFinite(value)) return false;
  const first = value === 0 ? 0 : -Math.floor(Math.log10(Math.abs(value)));
  const decimals = Math.max(2, first, read.decimals);
  const off = Math.abs(read.value - value);
  return off <= 0.5 * 10 ** -decimals * (1 + 1e-9) || off <= 0.005 * Math.abs(value);
}

/** Whether a typed number is right. What only rounding keeps from 0 counts as 0. */
export function right(explanation, typed) {
  return close(typed, clean(explanation.value, explanation));
}

const clean = (value, { magnitude }) => (Math.abs(value) <= 1e-6 * magnitude ? 0 : value);

/** The mistake that gives this number, {key, values} as MISTAKES has it; null if it is right, or like none of them. */
export function mistake(explanation, typed, trace) {
  if (explanation.given || right(explanation, typed)) return null;
  const { step, name, at } = explanation.cell;
  const t = new Explainer(trace).tensors(step);
  const { terms, value, function: joined } = explanation;
  const about = { trace, t, name, at, terms, value, joined };
  const kind = `${t.step.kind} ${t.step.direction}`;
  const ofKind = NAMED[`${kind} ${name}`] ?? NAMED[kind] ?? (() => []);
  for (const [key, wrong, values = {}] of [...ofKind(about), ...general(about)]) {
    const other = Math.abs(wrong - value) > 1e-9 * explanation.magnitude;
    if (other && close(typed, clean(wrong, explanation))) return { key, values };
  }
  return null;
}

/** The sentence of a mistake. */
export function mistakeSentence({ key, values }, language) {
  return MISTAKES[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Mistakes that any sum invites.

function* general({ terms, value, joined }) {
  if (/exp|log|1/.test(joined)) yield ["function", total(terms), { function: joined }];
  if (joined !== "sum" || !terms.length) return;
  const M = averagedOver(terms);
  yield ["sign", -value];
  if (M > 1) yield ["not_averaged", value * M, { count: M }];
  if (M === 0 && terms.length > 1) yield ["averaged", value / terms.length, { count: terms.length }];
  yield* factors(terms);
  yield* pictures(terms);
  yield ["no_signs", sum(terms.map((one) => Math.abs(one.value)))];
  if (terms.length > 1 && terms.length <= MANY) yield* someTerms(terms, value);
}

function* factors(terms) {
  const products = terms.filter((one) => one.part !== "bias");
  if (!products.length || products.some((one) => one.factors.length < 2)) return;
  for (const factor of new Set(products[0].factors.map(named))) {
    const everywhere = products.every((one) => one.factors.some((f) => named(f) === factor));
    const alone = products.some((one) => one.factors.every((f) => named(f) === factor));
    if (everywhere && !alone && !/^-?1/.test(factor)) yield ["factor", without(terms, factor), { factor }];
  }
}

function* pictures(terms) {
  const found = [...new Set(terms.map(pictureOf))];
  if (found.length < 2 || found.includes(undefined)) return;
  for (const n of found) {
    const picture = String.fromCharCode(65 + n);
    const own = total(terms.filter((one) => pictureOf(one) === n));
    yield ["one_picture", own, { picture }];
    if (averagedOver(terms)) yield ["one_picture", own * found.length, { picture }];
  }
}

function* someTerms(terms, value) {
  for (const one of terms) {
    yield [one.part === "bias" ? "no_bias" : "left_out", value - one.value, { term: written(one) }];
  }
  for (const one of terms) yield ["term_sign", value - 2 * one.value, { term: written(one) }];
  for (let k = 1; k < terms.length; k++) yield ["stopped", total(terms.slice(0, k)), { count: k, total: terms.length }];
}
