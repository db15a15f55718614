// Where the reader is and what has been seen: everything that the screen shows follows from this.

import { inBlock } from "./blocks.js";
import { Explainer } from "./explain.js";
import { LOSSES } from "./losses.js";
import { filled, say } from "./words.js";

/** The walk through one trace. Stops are its steps, then the finale (of a classifier), then the depth dial. */
export class Walk {
  constructor(payload, trace, { language = "en", changed = () => {} } = {}) {
    this.payload = payload;
    this.original = trace;
    this.changed = changed;
    this.language = language;
    this.predicting = true;
    this.revealed = new Set(); // backward steps whose numbers may be seen
    this.tries = 0; // wrong numbers for the chosen cell
    this.lit = []; // cells under the pointer
    this.travelled = []; // [stop, cell], to go back to
    this.kept = new Map(); // stop -> the cell last chosen there
    this.asked = new Set();
    this.use(trace);
    this.extra = [...(this.hasLoss() ? ["finale"] : []), ...(payload.depth_dial?.rows?.length ? ["dial"] : [])];
    this.stop = 0;
    this.cell = null;
  }

  /** Look at another trace of the same steps (what if?), or at the original again. */
  use(trace) {
    this.trace = trace;
    this.explainer = new Explainer(trace);
  }

  get count() {
    return this.trace.steps.length;
  }

  get stops() {
    return this.count + this.extra.length;
  }

  /** "step", "finale" or "dial". */
  get stage() {
    return this.stop < this.count ? "step" : this.extra[this.stop - this.count];
  }

  /** The step under the bead. */
  get step() {
    return this.trace.steps[Math.min(this.stop, this.count - 1)];
  }

  get backward() {
    return this.step.direction === "backward";
  }

  get whatIf() {
    return this.trace !== this.original;
  }

  hasLoss() {
    return this.trace.steps.some((step) => step.kind in LOSSES && step.direction === "backward");
  }

  /** Whether what this step made is still blank. */
  hidden(step = this.step.index) {
    const { direction } = this.trace.steps[step];
    return (
      this.predicting && direction === "backward" && !this.revealed.has(step) && this.explainer.made(step).length > 0
    );
  }

  /** Whether this cell is one of the blank ones. */
  blank(cell) {
    return this.hidden(cell.step) && this.explainer.made(cell.step).includes(cell.name);
  }

  /** Go to a stop; numbers beyond the ends mean the ends. */
  go(stop) {
    const to = Math.max(0, Math.min(this.stops - 1, stop));
    if (to !== this.stop) this.arrive(to, this.kept.get(to) ?? null);
    this.changed(this);
  }

  arrive(stop, cell) {
    this.keep();
    if (this.error) this.asked.clear(); // what failed is asked for once more
    this.error = null;
    this.use(this.original);
    Object.assign(this, { stop, cell, tries: 0, lit: [], message: null });
  }

  keep() {
    if (this.cell) this.kept.set(this.stop, this.cell);
  }

  /** Choose a cell of the step where the reader is. */
  select(cell) {
    const same = this.cell && sameCell(this.cell, cell);
    this.cell = cell;
    if (!same) Object.assign(this, { tries: 0, lit: [], message: null });
    this.keep();
    this.changed(this);
  }

  /** Go to where a cell's number was made; what came from outside is chosen where it lies. */
  follow(cell) {
    const source = this.explainer.source(cell);
    if (!source && cell.step === this.stop) {
      this.travelled.push([this.stop, this.cell]);
      this.select(cell);
    } else this.visit(source ?? cell);
  }

  /** Go to a cell of any step; `back` returns. */
  visit(to) {
    this.travelled.push([this.stop, this.cell]);
    if (this.trace.steps[to.step].direction === "backward") this.revealed.add(to.step);
    const trace = this.trace;
    this.arrive(to.step, to);
    if (trace !== this.original) this.use(trace);
    this.keep();
    this.changed(this);
  }

  back() {
    if (!this.travelled.length) return;
    const [stop, cell] = this.travelled.pop();
    this.arrive(stop, cell);
    this.changed(this);
  }

  /** Show what this step made. */
  reveal(message = null) {
    this.revealed.add(this.step.index);
    Object.assign(this, { tries: 0, message });
    this.changed(this);
  }

  /** A wrong number came: hints grow. */
  missed(message) {
    this.tries += 1;
    this.message = message;
    this.changed(this);
  }

  setPredicting(on) {
    this.predicting = on;
    this.message = null;
    this.changed(this);
  }

  setLanguage(language) {
    this.language = language;
    this.message = null;
    this.changed(this);
  }

  light(cells) {
    this.lit = cells;
    this.changed(this);
  }

  /** Another trace in place of the original, until the next step. */
  suppose(trace, message = null) {
    this.use(trace);
    this.supposed = message;
    this.changed(this);
  }

  /** The page's word. */
  say(key, values) {
    return say(this.language, key, values);
  }

  /** A rule, in the reader's language. */
  rule(text) {
    return this.payload.words[this.language]?.rules?.[text] ?? text;
  }

  /** The sentence on top: "Step 14 of 48: the gradient reaches the add. ..." */
  sentence(stop = this.stop) {
    if (stop >= this.count) return this.say(`${this.extra[stop - this.count]}_sentence`);
    const words = this.payload.words[this.language];
    const step = this.trace.steps[stop];
    const known = words[step.direction];
    const first = ["dy", "x", "a", "da", "x0"].find((name) => name in step.tensors);
    const cells = first ? this.trace.tensor(stop, first).shape.reduce((all, size) => all * size, 1) : 0;
    const variants = {
      [`${step.kind} eval`]: () => !step.train,
      [`${step.kind} outside`]: () => !inBlock(this.trace.steps, step),
    };
    const named = Object.keys(variants).find((name) => name in known && variants[name]()) ?? step.kind;
    const sentence = filled(known[named] ?? known.other, { cells, kind: step.kind });
    return filled(words.step, { number: stop + 1, count: this.count, sentence });
  }

  /** The explanation of a cell, or null while what it needs is not loaded (it is then asked for). */
  explain(cell = this.cell, keep = true) {
    if (!cell) return null;
    const place = this.explainer.locate(cell);
    if (!this.ready(place.step)) return null;
    if (!keep) return this.explainer.explain(cell);
    const last = this.explained;
    if (last?.explainer !== this.explainer || !sameCell(last.cell, cell))
      this.explained = { explainer: this.explainer, cell, explanation: this.explainer.explain(cell) };
    return this.explained.explanation;
  }

  /** Whether a step's tensors are here; if not, they are asked for, and `changed` tells when they have come. */
  ready(step) {
    const missing = this.trace.missing(step);
    if (!missing.length) return true;
    if (!this.asked.has(step)) {
      this.asked.add(step);
      this.trace.load(missing).then(
        () => this.changed(this),
        (error) => this.failed(error),
      );
    }
    return false;
  }

  failed(error) {
    this.error = error;
    this.changed(this);
  }
}

/** Whether two cells are one. */
export function sameCell(a, b) {
  return a.step === b.step && a.name === b.name && a.at.length === b.at.length && a.at.every((i, k) => i === b.at[k]);
}
