// Running the network again in the page: a few numbers are changed, every other one is made anew by its explanation.

import { Explainer, flat, unflat } from "./explain.js";
import { LOSSES } from "./losses.js";
import { sum } from "./terms.js";

/**
 * An overlay of the trace in which `changes` ([{cell, value}]) hold and all that is computed is computed anew, forward and
 * (if `backward`) back. A cell of a tensor that several steps share changes for all of them; a computed cell that is changed
 * stays as it is told.
 */
export function recompute(trace, changes, { backward = true } = {}) {
  const next = trace.overlay();
  const told = changes.map(({ cell, value }) => ({ ...placeOf(next, cell), value }));
  const steps = next.steps.filter((step) => backward || step.direction === "forward").map((step) => step.index);
  const explainer = new Explainer(next);
  const made = (step) => explainer.made(step).map((name) => ({ step, name, ...next.tensor(step, name) }));
  const tensors = steps.flatMap(made);
  for (const { number } of [...tensors, ...told]) next.writable(number);
  told.forEach((change) => tell(next, change));
  for (const { step, name, shape, number } of tensors) {
    const data = next.array(number);
    for (let i = 0; i < data.length; i++) data[i] = explainer.compute(step, name, unflat(i, shape));
    told.filter((change) => change.number === number).forEach((change) => tell(next, change));
  }
  return next;
}

/** The loss of a trace: the sum of its losses, each times its dy; without one, of the last output times the gradient sent back. */
export function lossOf(trace) {
  const losses = trace.steps.filter((step) => step.kind in LOSSES && step.direction === "backward");
  const share = ({ index, forward }) => trace.tensor(forward, "y").data[0] * trace.tensor(index, "dy").data[0];
  if (losses.length) return sum(losses.map(share));
  const back = trace.steps.findIndex((step) => step.direction === "backward");
  const [y, upstream] = [trace.tensor(back - 1, "y"), trace.tensor(back, "dy")];
  return y && upstream ? sum([...y.data].map((value, i) => value * upstream.data[i])) : null;
}

function placeOf(trace, { step, name, at }) {
  const { number, shape } = trace.tensor(step, name);
  return { number, place: flat(at, shape) };
}

function tell(trace, { number, place, value }) {
  trace.array(number)[place] = value;
}
