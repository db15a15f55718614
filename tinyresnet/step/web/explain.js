// The arithmetic behind each number of a trace, as tinyresnet/explain has it: same names, terms, symbols and rules.
// A cell is {step, name, at: [...]}; it is a sum of terms, a term a product of factors, a factor has a cell of its own.

import { CONCAT } from "./explain_concat.js";
import { CONV } from "./explain_conv.js";
import { CONV_TRANSPOSE } from "./explain_conv_transpose.js";
import { LINEAR } from "./explain_linear.js";
import { MOVES } from "./explain_moves.js";
import { NORM } from "./explain_norm.js";
import { POINT_BOXES } from "./explain_point_boxes.js";
import { POOL } from "./explain_pool.js";
import { SIGMOID } from "./explain_sigmoid.js";
import { UPSAMPLE } from "./explain_upsample.js";
import { LOSSES } from "./losses.js";
import { Explanation, Factor, FUNCTIONS, GIVEN } from "./terms.js";

/** How each kind of layer is explained: {forward, backward}. */
const OPS = {
  ...CONV, ...CONV_TRANSPOSE, ...SIGMOID, ...NORM, ...POOL, ...POINT_BOXES, ...LINEAR, ...UPSAMPLE, ...MOVES,
  ...CONCAT, ...LOSSES,
};

const ARRAYS = {
  float64: Float64Array,
  float32: Float32Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

/** The tensors of a trace's JSON form, decoded when first read; those without data come through `fetcher(number)`. */
export class Trace {
  constructor(form, order, fetcher = null, below = null) {
    this.form = form;
    this.order = order;
    this.fetcher = fetcher;
    this.below = below;
    this.steps = form.steps;
    this.arrays = new Map();
    this.numbers = form.steps.map((step) => numbersOf(step, form.steps));
  }

  /** {shape, data, number} of a step's tensor (data is null while it is not loaded), or undefined. */
  tensor(step, name) {
    const number = this.numbers[step]?.get(name);
    if (number === undefined) return undefined;
    return { shape: this.form.tensors[number].shape, data: this.array(number), number };
  }

  /** The names of a step's tensors, the derived ones last. */
  names(step) {
    return [...this.numbers[step].keys()];
  }

  /** A tensor's numbers by the tensor's own number, or null while they are not loaded. */
  array(number) {
    if (this.arrays.has(number)) return this.arrays.get(number);
    if (this.below) return this.below.array(number);
    const { data, dtype } = this.form.tensors[number];
    if (data === undefined) return null;
    this.arrays.set(number, typed(fromBase64(data), dtype));
    return this.arrays.get(number);
  }

  /** The numbers of a step's tensors that are not loaded yet. */
  missing(step) {
    return [...new Set(this.numbers[step].values())].filter((number) => this.array(number) === null);
  }

  /** Load tensors by their numbers, those that are not there yet. */
  async load(numbers) {
    if (this.below) return this.below.load(numbers);
    const wanted = numbers.filter((number) => this.array(number) === null);
    await Promise.all(
      wanted.map(async (number) => {
        const buffer = await this.fetcher(number);
        this.arrays.set(number, typed(buffer, this.form.tensors[number].dtype));
      }),
    );
  }

  /** A trace whose tensors can be written with `writable`; this one stays as it is. */
  overlay() {
    return new Trace(this.form, this.order, this.fetcher, this);
  }

  /** Of an overlay: a tensor's numbers as a copy of its own, in double precision if they are fractions. */
  writable(number) {
    if (!this.arrays.has(number)) {
      const data = this.array(number);
      this.arrays.set(number, data instanceof Float32Array ? Float64Array.from(data) : data.slice());
    }
    return this.arrays.get(number);
  }
}

/** Name to tensor number. What a backward step derives as its forward step did is the same tensor. */
function numbersOf(step, steps) {
  const forward = step.forward === null ? {} : (steps[step.forward].derived ?? {});
  return new Map([...Object.entries(step.tensors), ...Object.entries({ ...step.derived, ...kept(step, forward) })]);
}

function kept(step, forward) {
  return Object.fromEntries(Object.entries(forward).filter(([name]) => name in (step.derived ?? {})));
}

function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

function typed(buffer, dtype) {
  if (!(dtype in ARRAYS)) throw new Error(`tensors of dtype ${dtype} cannot be shown`);
  const array = new ARRAYS[dtype](buffer);
  return dtype === "int64" ? Float64Array.from(array, Number) : array;
}

/** [{step, name}]: the tensors of other steps that are this one, so that one can travel on to the loss. */
export function users(trace, step, name) {
  const explainer = new Explainer(trace);
  const home = explainer.home(step, name);
  const found = [];
  for (let other = 0; other < trace.steps.length; other++) {
    for (const read of other === home.step ? [] : trace.names(other)) {
      const place = explainer.made(other).includes(read) ? null : explainer.home(other, read);
      if (place?.step === home.step && place.name === home.name) found.push({ step: other, name: read });
    }
  }
  return found;
}

/** A step's tensors as the ops read them. */
class Tensors {
  constructor(trace, index) {
    this.index = index;
    this.step = trace.steps[index];
    this.settings = this.step.settings;
    this.all = new Map(trace.names(index).map((name) => [name, trace.tensor(index, name)]));
  }

  has(name) {
    return this.all.has(name);
  }

  shape(name) {
    return this.all.get(name).shape;
  }

  value(name, at) {
    const { shape, data } = this.all.get(name);
    if (data === null) throw new Error(`${name} of step ${this.index} is not loaded`);
    return data[flat(at, shape)];
  }

  /** The number there, and where it is. */
  of(name, ...at) {
    return new Factor(this.value(name, at), { step: this.index, name, at });
  }

  /** The number at a place of picture n, its numbers counted one after the other. */
  inPicture(name, n, place) {
    return this.of(name, n, ...unflat(place, this.shape(name).slice(1)));
  }

  /** The place of a cell among its picture's numbers. */
  placeInPicture(name, at) {
    return flat(at.slice(1), this.shape(name).slice(1));
  }
}

/** The place of a cell among a tensor's numbers. */
export function flat(at, shape) {
  let place = 0;
  for (let axis = 0; axis < shape.length; axis++) place = place * shape[axis] + at[axis];
  return place;
}

/** The cell at this place among a tensor's numbers. */
export function unflat(place, shape) {
  const at = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    at[axis] = place % shape[axis];
    place = Math.floor(place / shape[axis]);
  }
  return at;
}

/** Explains cells of one trace. */
export class Explainer {
  constructor(trace) {
    this.trace = trace;
    this.names = trace.steps.map((step, index) => madeBy(trace, index));
    this.read = new Map();
  }

  /** The tensors that this step computed, in the order of computation. */
  made(step) {
    return this.names[step];
  }

  /** The same number where it was computed; the cell itself, if that was here or outside. */
  locate(cell) {
    return { ...this.home(cell.step, cell.name), at: cell.at };
  }

  /** Where this tensor was computed, or the first place where it came in: {step, name}. */
  home(step, name) {
    if (this.names[step].includes(name)) return { step, name };
    const { sources, forward } = this.trace.steps[step];
    if (name in sources) return this.home(...sources[name]);
    if (forward !== null && this.trace.numbers[forward].has(name)) return this.home(forward, name);
    return { step, name };
  }

  /** Where one can travel to from this cell: where its number was computed; null if it came from outside. */
  source(cell) {
    const place = this.locate(cell);
    return this.names[place.step].includes(place.name) ? place : null;
  }

  /** How this number came about. Throws if there is no such cell, or if its tensors are not loaded. */
  explain(cell) {
    this.check(cell);
    const { step, name, at } = this.locate(cell);
    const t = this.tensors(step);
    const value = t.value(name, at);
    const place = { step, name, at };
    return new Explanation(place, value, this.names[step].includes(name) ? this.rule(t, name, at) : GIVEN);
  }

  /** What the terms of a cell that this step made give now. */
  compute(step, name, at) {
    const found = this.rule(this.tensors(step), name, at);
    return FUNCTIONS[found.function](found.terms.map((one) => one.value));
  }

  rule(t, name, at) {
    return OPS[t.step.kind][t.step.direction](t, name, at);
  }

  /** A step's tensors; kept once they are loaded. */
  tensors(step) {
    if (!this.read.has(step)) {
      const tensors = new Tensors(this.trace, step);
      if (this.trace.missing(step).length) return tensors;
      this.read.set(step, tensors);
    }
    return this.read.get(step);
  }

  check({ step, name, at }) {
    const tensor = this.trace.tensor(step, name);
    if (!tensor) throw new Error(`step ${step} has no tensor ${name}`);
    const { shape } = tensor;
    const inside = at.every((i, axis) => Number.isInteger(i) && 0 <= i && i < shape[axis]);
    if (!inside || at.length !== shape.length) throw new Error(`${name} has shape (${shape}): there is no cell (${at})`);
  }
}

function madeBy(trace, index) {
  const { kind, direction, train, made } = trace.steps[index];
  const names = trace.order[kind]?.[direction] ?? [];
  const numbered = made.filter((name) => !names.includes(name) && names.includes(name.replace(/\d+$/, "")));
  const constants = train ? [] : ["mean", "var"]; // of batch norm in evaluation: the running ones
  return [...names, ...numbered].filter((name) => trace.numbers[index].has(name) && !constants.includes(name));
}
