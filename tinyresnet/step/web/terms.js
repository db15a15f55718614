// What an explanation is made of: a cell is a sum of terms, a term a product of factors, a factor has a cell of its own.

/** A number in a product; a constant such as 1/32 has no cell, and a symbol of its own. */
export class Factor {
  constructor(value, cell, constant = "") {
    this.value = value;
    this.cell = cell;
    this.constant = constant;
  }

  get symbol() {
    if (!this.cell) return this.constant;
    return this.cell.at.length ? `${this.cell.name}[${this.cell.at.join(",")}]` : this.cell.name;
  }
}

/** A product. `part` names its share where a sum falls into parts: "direct", "mean", "variance". */
export class Term {
  constructor(factors, part = "") {
    this.factors = factors;
    this.part = part;
    this.value = 1;
    for (const factor of factors) this.value *= factor.value;
  }
}

/** A product without a part's name. */
export const term = (...factors) => new Term(factors);
/** A product that is this part of the sum. */
export const part = (name, ...factors) => new Term(factors, name);
/** A factor that no cell holds: -1, 1/32. */
export const constant = (symbol, value) => new Factor(value, null, symbol);
/** 1/count, as an average needs it. */
export const share = (count) => constant(`1/${count}`, 1 / count);
/** The sign of what is subtracted. */
export const MINUS = constant("-1", -1);
/** What a maximum sees beyond the edge. */
export const PADDING = constant("padding", -Infinity);

/** What an op gives for one cell: the formula, the terms, and how they are joined. */
export const rule = (text, terms, more = {}) => ({ rule: text, terms, function: "sum", padding: 0, ...more });

/** The rule of what came from outside. */
export const GIVEN = rule("", []);

/** The sum of numbers, compensated (Neumaier), so that its rounding error does not grow with their count. */
export function sum(values) {
  let [total, lost] = [0, 0];
  for (const value of values) {
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return Number.isFinite(total) ? total + lost : total;
}

/** 1 / (1 + exp(−x)), without an exp that overflows. */
function sigmoid(x) {
  const e = Math.exp(-Math.abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

/** The log of it, also where it is too small for a number. */
const logSigmoid = (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

/** How the terms' values are joined. */
export const FUNCTIONS = {
  sum,
  exp: (terms) => Math.exp(sum(terms)),
  log: (terms) => Math.log(sum(terms)),
  "1/": (terms) => 1 / sum(terms),
  "1/sqrt": (terms) => 1 / Math.sqrt(sum(terms)),
  sigmoid: (terms) => sigmoid(sum(terms)),
  "log sigmoid": (terms) => logSigmoid(sum(terms)),
  abs: (terms) => Math.abs(sum(terms)),
  "> 0": (terms) => (sum(terms) <= 0 ? 0 : 1),
  "place of the largest": (terms) => terms.indexOf(Math.max(...terms)),
};

/** How a cell's number came about; `given` if it came from outside and has no terms. */
export class Explanation {
  constructor(cell, value, { rule, terms, function: name, padding }) {
    Object.assign(this, { cell, value, rule, terms, function: name, padding });
    this.given = rule === "";
  }

  /** What the terms give; `value` is what the layer gave. */
  get computed() {
    return this.given ? this.value : FUNCTIONS[this.function](this.terms.map((one) => one.value));
  }

  /** The sum after each term. */
  get partialSums() {
    let total = 0;
    return this.terms.map((one) => (total += one.value));
  }

  /** The scale on which `computed` and `value` agree. */
  get magnitude() {
    const sizes = this.terms.map((one) => Math.abs(one.value)).filter(Number.isFinite);
    return this.function === "sum" ? sum(sizes) : Math.max(sum(sizes), Math.abs(this.computed));
  }
}

/** 0 to count − 1. */
export const range = (count) => Array.from({ length: count }, (_, i) => i);

/** All places of a tensor, the last axis first. */
export const places = (shape) =>
  shape.reduce((found, size) => found.flatMap((place) => range(size).map((i) => [...place, i])), [[]]);

/** [n, c, h, w] of all places of a channel. */
export function channelPlaces([N, , H, W], c) {
  const places = [];
  for (let n = 0; n < N; n++) for (let h = 0; h < H; h++) for (let w = 0; w < W; w++) places.push([n, c, h, w]);
  return places;
}
