// The stepper in an element of the page: in a file, from a server and in a notebook alike.

import { makeBar } from "./bar.js";
import { attribute, h, hasFocus } from "./dom.js";
import { Trace, unflat } from "./explain.js";
import { makeArithmetic } from "./arithmetic.js";
import { makeDial } from "./dial.js";
import { makeFinale } from "./finale.js";
import { makeHelp } from "./help.js";
import { listen } from "./keyboard.js";
import { makeMoments } from "./moments.js";
import { makePanels } from "./panels.js";
import { makeRiver } from "./river.js";
import { number } from "./format.js";
import { Walk } from "./walk.js";
import { PAGE_WORDS } from "./words.js";

/**
 * Put the stepper into `element`. `fetcher(number)` gives a tensor's bytes where the payload has them not;
 * `nudgeOnServer({name, at, by})` the loss after a nudge; `onChange({step, cell})` hears of moves; `keys` is where keys
 * are listened to (the element; a page: the document).
 * Returns {go(step), select(cell), state}.
 */
export function mount(element, payload, options = {}) {
  const { fetcher = null, onChange = () => {}, nudgeOnServer = null, language = "en", keys = element } = options;
  const trace = new Trace(payload.trace, payload.order, fetcher);
  const walk = new Walk(payload, trace, { language: language in PAGE_WORDS ? language : "en" });
  const parts = makeParts(walk, nudgeOnServer);
  const root = h("div", { class: "tinyresnet-step" }, ...parts.elements);
  let told = "";

  walk.changed = () => {
    walk.sources = sourcesOf(walk);
    attribute(root, "lang", walk.language === "zh" ? "zh-Hans" : walk.language);
    root.dataset.direction = walk.backward ? "backward" : "forward";
    root.dataset.stage = walk.stage;
    const focused = hasFocus(root);
    parts.update();
    if (focused && !hasFocus(root)) parts.river.focus({ preventScroll: true }); // what had it is gone
    const state = stateOf(walk);
    if (JSON.stringify(state) !== told) onChange(state);
    told = JSON.stringify(state);
  };

  element.append(root);
  if (keys === element) root.tabIndex = -1;
  const stop = listen(keys, walk, parts.toggleHelp);
  firstCell(walk);
  walk.changed();
  return {
    go: (step) => walk.go(step),
    select: (cell) => {
      if (cell.step !== walk.stop) walk.go(cell.step);
      walk.select(cell);
    },
    remove: () => (stop(), root.remove()),
    walk,
    get state() {
      return stateOf(walk);
    },
  };
}

const stateOf = ({ step, stage, cell, language, predicting }) => ({
  step: step.index,
  stage,
  cell,
  language,
  predicting,
});

function makeParts(walk, nudgeOnServer) {
  const bar = makeBar(walk, () => help.toggle());
  const sentence = h("p", { class: "sentence", "aria-live": "polite" });
  const river = makeRiver(walk);
  const whatIf = h("p", { class: "what-if", role: "status" });
  const panels = makePanels(walk);
  const arithmetic = makeArithmetic(walk);
  const moments = makeMoments(walk);
  const finale = makeFinale(walk, nudgeOnServer);
  const dial = makeDial(walk);
  const help = makeHelp(walk);
  const foot = h("div", { class: "foot" }, arithmetic.element, moments.element);
  const stages = {
    step: h("div", { class: "stage" }, whatIf, panels.element, foot),
    finale: finale.element,
    dial: dial.element,
  };

  function notice() {
    if (walk.error) return walk.say("failed", { error: walk.error.message });
    if (!walk.whatIf) return "";
    const { value, before } = walk.supposed;
    return walk.say("what_if", { value: number(value), before: number(before) });
  }

  function update() {
    bar.update();
    if (walk.stage === "step" && !walk.cell && !walk.hidden()) firstCell(walk);
    walk.sources = sourcesOf(walk);
    if (sentence.textContent !== walk.sentence()) sentence.textContent = walk.sentence();
    river.update();
    for (const [stage, one] of Object.entries(stages)) attribute(one, "hidden", stage !== walk.stage);
    whatIf.textContent = notice();
    attribute(whatIf, "hidden", !whatIf.textContent);
    if (walk.stage === "step") [panels, arithmetic, moments].forEach((part) => part.update());
    finale.update();
    dial.update();
  }

  const elements = [bar.element, sentence, river.element, ...Object.values(stages), help.element];
  return { elements, update, toggleHelp: help.toggle, river: river.element };
}

const TWINS = { a: "b", b: "a", da: "db", db: "da" };

/** The cells from which the chosen one is made, and its copy, if they may be seen. */
function sourcesOf(walk) {
  if (walk.stage !== "step" || !walk.cell || (walk.blank(walk.cell) && walk.tries === 0)) return [];
  const terms = walk.explain()?.terms ?? [];
  const sources = terms.flatMap((term) => term.factors.filter((factor) => factor.cell).map((factor) => factor.cell));
  const twin = TWINS[walk.cell.name];
  return twin && walk.step.made.includes(twin) ? [...sources, { ...walk.cell, name: twin }] : sources;
}

/** Choose a number of what leaves, so that there is arithmetic to look at: of the first picture, that of most terms. */
function firstCell(walk) {
  const step = walk.step.index;
  const name = ["y", "a", "dx", "da", "dx0"].find((one) => walk.step.made.includes(one));
  if (!name || walk.stage !== "step" || walk.hidden() || !walk.ready(step)) return;
  const { data, shape } = walk.trace.tensor(step, name);
  const size = shape.length ? data.length / shape[0] : 1;
  const few = size <= 64 && walk.explainer.made(step).includes(name);
  const score = (i) => (few ? telling(walk.explain({ step, name, at: unflat(i, shape) })) : 0) + tiny(data[i]);
  let best = 0;
  for (let i = 1; i < size; i++) if (score(i) > score(best)) best = i;
  walk.cell = { step, name, at: unflat(best, shape) };
}

const telling = ({ terms }) => (terms.length < 40 ? terms.filter((term) => term.value !== 0).length : 0);
const tiny = (value) => Math.atan(Math.abs(value)) / 2; // below 1: decides between equals
