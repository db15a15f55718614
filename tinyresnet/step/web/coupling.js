// Batch norm couples the pictures: change a pixel of picture B, and the gradient of picture A moves.

import { attribute, h, unique } from "./dom.js";
import { flat, unflat } from "./explain.js";
import { number } from "./format.js";
import { recompute } from "./recompute.js";

const MOST = 20000; // numbers of a trace that the page computes again while a slider moves

/** Whether the page holds the whole trace and can run it again. */
export function canRecompute(walk) {
  return walk.original.steps.every((step) => !walk.original.missing(step.index).length);
}

function isSmall({ tensors }) {
  return tensors.reduce((all, { shape }) => all + shape.reduce((product, i) => product * i, 1), 0) <= MOST;
}

/** Controls that change one pixel of picture B: `element`, `update()`. */
export function makeCoupling(walk) {
  const id = unique("couple");
  const title = h("h3", { id });
  const range = h("input", { type: "range", min: "0", max: "3", step: "0.25", oninput: changed });
  const label = h("label", {});
  const shown = h("output", {});
  const result = h("p", { role: "status" });
  const reset = h("button", { type: "button", onclick: () => restore() });
  const element = h(
    "div",
    { class: "coupling" },
    title,
    label,
    h("div", { class: "slide" }, range, shown),
    result,
    reset,
  );
  const pixel = isSmall(walk.original.form) ? brightest(walk) : null;
  attribute(range, "aria-labelledby", id);
  range.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  if (pixel) {
    const high = Math.max(3, Math.ceil(pixel.value));
    Object.assign(range, { min: Math.min(0, Math.floor(pixel.value)), max: high, value: pixel.value });
  }

  function changed() {
    const value = Number(range.value);
    if (value === pixel.value) return restore();
    walk.suppose(recompute(walk.original, [{ cell: pixel.cell, value }]), { value, before: pixel.value });
  }

  function restore() {
    range.value = pixel.value;
    walk.suppose(walk.original);
  }

  /** The number of picture A whose gradient is watched: the chosen one, or the largest. */
  function watched() {
    const { cell } = walk;
    const step = walk.step.index;
    const { shape, data } = walk.original.tensor(step, "dx");
    if (cell?.step === step && cell.at.length === 4 && cell.at[0] === 0) return cell.at;
    const picture = data.length / shape[0];
    let best = 0;
    for (let i = 1; i < picture; i++) if (Math.abs(data[i]) > Math.abs(data[best])) best = i;
    return unflat(best, shape);
  }

  function update() {
    const possible = pixel && walk.step.train && !walk.hidden() && canRecompute(walk);
    attribute(element, "hidden", !possible);
    if (!possible) return;
    const step = walk.step.index;
    const at = watched();
    const read = (trace) => {
      const { data, shape } = trace.tensor(step, "dx");
      return number(data[flat(at, shape)], 3);
    };
    const [row, column] = at.slice(2);
    const place = walk.say("place", { row: row + 1, column: column + 1 });
    const where = pixel.cell.at.slice(2);
    title.textContent = walk.say("couple");
    label.textContent = walk.say("couple_pixel", {
      place: walk.say("place", { row: where[0] + 1, column: where[1] + 1 }),
    });
    if (!walk.whatIf) range.value = pixel.value;
    shown.textContent = number(Number(range.value));
    const values = { place, before: read(walk.original), after: read(walk.trace) };
    result.textContent = walk.say(walk.whatIf ? "couple_result" : "couple_start", values);
    reset.textContent = walk.say("couple_reset");
    attribute(reset, "hidden", !walk.whatIf);
  }

  return { element, update };
}

/** The brightest pixel of the second picture: {cell, value}; null if there is but one picture. */
function brightest(walk) {
  const step = walk.original.steps.findIndex((one) => one.given.includes("x") && !("x" in one.sources));
  const { shape, data } = (step >= 0 && walk.original.tensor(step, "x")) || {};
  if (!data || shape.length !== 4 || shape[0] < 2) return null;
  const size = data.length / shape[0];
  let best = size;
  for (let i = size; i < 2 * size; i++) if (data[i] > data[best]) best = i;
  return { cell: { step, name: "x", at: unflat(best, shape) }, value: data[best] };
}
