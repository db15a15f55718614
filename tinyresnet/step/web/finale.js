// The finale: nudge one weight, run forward again, and compare the loss's change with the gradient.

import { h, unique } from "./dom.js";
import { makeBars } from "./bars.js";
import { canRecompute } from "./coupling.js";
import { flat, unflat } from "./explain.js";
import { number } from "./format.js";
import { Grid } from "./grid.js";
import { lossOf, recompute } from "./recompute.js";

const APART = 0.1; // beyond this the two are said to differ
const EXACT = 1e-6;

/** The finale of a walk. Where the page has not all numbers, `nudgeOnServer({name, at, by})` gives the loss. */
export function makeFinale(walk, nudgeOnServer) {
  const weights = weightsOf(walk);
  const by = walk.payload.nudge ?? 0.01;
  const view = Object.create(walk, {
    cell: { value: null, writable: true },
    lit: { value: [] },
    sources: { value: [] },
  });
  const grid = new Grid(view);
  const id = unique("weight");
  const chooser = h("select", { id, onchange: () => choose(weights[chooser.value]) });
  const label = h("label", { for: id });
  const lead = h("p", { class: "quiet" });
  const buttons = [by, by / 10].map((step) => ({
    step,
    element: h("button", { type: "button", onclick: () => run(step) }),
  }));
  const result = h("div", { class: "result-card", "aria-live": "polite" });
  const left = h("section", { class: "panel" }, h("div", { class: "field-row" }, label, chooser), lead, grid.element);
  const right = h(
    "section",
    { class: "panel" },
    h(
      "div",
      { class: "nudges" },
      buttons.map((one) => one.element),
    ),
    result,
  );
  const element = h("div", { class: "finale" }, left, right);
  let weight = weights.findLast((one) => one.kind === "Conv2d") ?? weights.at(-1);
  let told = null;

  Object.assign(view, {
    blank: () => false,
    changed: () => update(),
    select: (cell) => {
      view.cell = cell;
      told = null;
      update();
    },
  });

  function choose(next) {
    weight = next;
    view.cell = null;
    told = null;
    update();
  }

  const value = (name, step) => {
    const { data, shape } = walk.original.tensor(step, name);
    return data[flat(view.cell.at, shape)];
  };

  async function run(step) {
    const { cell } = view;
    const before = walk.payload.loss;
    const old = value(weight.param, weight.backward);
    told = { waiting: true };
    update();
    const after = await lossWith(cell.at, old, step).catch((error) => error);
    if (view.cell !== cell) return;
    if (after instanceof Error) told = { error: after };
    else told = { step, before, after, old, gradient: value(weight.gradient, weight.backward) };
    update();
  }

  /** The loss with this weight moved: from the page's own numbers, or else from the server. */
  async function lossWith(at, old, by) {
    if (!canRecompute(walk)) return nudgeOnServer({ name: weight.name, at, by });
    await new Promise((done) => setTimeout(done, 20)); // so that "running forward" is seen
    const cell = { step: weight.forward, name: weight.param, at };
    return lossOf(recompute(walk.original, [{ cell, value: old + by }], { backward: false }));
  }

  function update() {
    if (walk.stage !== "finale" || !weight) return;
    label.textContent = walk.say("finale_weight");
    chooser.replaceChildren(
      ...weights.map((one, i) => h("option", { value: i, selected: one === weight, text: one.name })),
    );
    lead.textContent = walk.say("finale_pick", { name: weight.name });
    const ready = walk.ready(weight.backward);
    if (ready && !view.cell) view.cell = { step: weight.backward, name: weight.gradient, at: strongest() };
    if (ready && view.cell) grid.step === weight.backward && grid.name === weight.gradient && grid.follow(view.cell.at);
    grid.show({ step: weight.backward, name: weight.gradient });
    const possible = ready && (canRecompute(walk) || Boolean(nudgeOnServer));
    for (const { step, element: button } of buttons) {
      button.textContent = walk.say("finale_nudge", { by: number(step) });
      button.disabled = !possible || told?.waiting;
      button.classList.toggle("strong", step === by);
    }
    result.replaceChildren(...(told ? tell(told) : []));
  }

  function strongest() {
    const { data, shape } = walk.original.tensor(weight.backward, weight.gradient);
    let best = 0;
    for (let i = 1; i < data.length; i++) if (Math.abs(data[i]) > Math.abs(data[best])) best = i;
    return unflat(best, shape);
  }

  function tell({ waiting, error, step, before, after, old, gradient }) {
    if (error) return [h("p", { class: "answer wrong", text: walk.say("failed", { error: error.message }) })];
    if (waiting) return [h("p", { class: "quiet", text: walk.say("finale_wait") })];
    const change = after - before;
    const predicted = gradient * step;
    const fact = (word, text) => [h("dt", { text: walk.say(word, { by: number(step) }) }), h("dd", { text })];
    const facts = h(
      "dl",
      {},
      ...fact("finale_weight_moves", `${number(old)} → ${number(old + step, 5)}`),
      ...fact("finale_loss_was", number(before, 8)),
      ...fact("finale_loss_is", number(after, 8)),
    );
    const bars = makeBars([
      { name: walk.say("finale_change"), value: change },
      { name: walk.say("finale_predicted", { by: number(step) }), value: predicted },
    ]);
    return [facts, bars, h("p", { class: "verdict", text: verdict(change, predicted) })];
  }

  function verdict(change, predicted) {
    if (Math.abs(predicted) < 1e-12) return walk.say("finale_zero", { change: number(change, 3) });
    const off = Math.abs(change - predicted) / Math.abs(predicted);
    const percent = `${Number((100 * off).toPrecision(2))} %`;
    const word = off > APART ? "finale_apart" : off < EXACT ? "finale_exact" : "finale_agree";
    return walk.say(word, { percent });
  }

  return { element, update };
}

/** Every parameter with its gradient: {name, param, gradient, path, forward, backward}. */
function weightsOf(walk) {
  return walk.original.steps
    .filter((step) => step.direction === "backward" && step.forward !== null)
    .flatMap((step) =>
      step.params
        .filter((param) => step.made.includes(`d${param}`))
        .map((param) => ({
          name: step.path ? `${step.path}.${param}` : param,
          param,
          gradient: `d${param}`,
          kind: step.kind,
          forward: step.forward,
          backward: step.index,
        })),
    )
    .reverse();
}
