// Three staged moments of the way back: the add copies, batch norm's bars cancel, the fork sums.

import { waysOf } from "./blocks.js";
import { attribute, h, still, unique } from "./dom.js";
import { makeCoupling } from "./coupling.js";
import { makeWaterfall } from "./bars.js";
import { number } from "./format.js";
import { close, readNumber } from "./mistakes.js";

const MOMENTS = { Add: makeAdd, BatchNorm2d: makeNorm, Fork: makeFork };

/** The card beside the arithmetic: `element`, `update()`. */
export function makeMoments(walk) {
  const title = h("h2", {});
  const body = h("div", { class: "moment-body" });
  const element = h("section", { class: "moment" }, title, body);
  let now = null;
  let key = "";

  function update() {
    const kind = walk.stage === "step" && walk.backward ? walk.step.kind : "";
    const here = kind in MOMENTS && walk.ready(walk.step.index);
    attribute(element, "hidden", !here);
    if (!here) return;
    const next = [walk.step.index, walk.language].join();
    if (next !== key) {
      now = MOMENTS[kind](walk);
      title.textContent = walk.say({ Add: "moment_add", BatchNorm2d: "moment_norm", Fork: "moment_fork" }[kind]);
      attribute(element, "aria-label", title.textContent);
      body.replaceChildren(now.element);
    }
    key = next;
    now.update();
  }

  return { element, update };
}

/** The chosen place of this step's results, whichever tensor it was chosen in; null if it has another shape. */
function chosenAt(walk, name) {
  const { cell } = walk;
  const shape = walk.trace.tensor(walk.step.index, name).shape;
  const fits =
    cell?.step === walk.step.index && cell.at.length === shape.length && cell.at.every((i, k) => i < shape[k]);
  return fits && String(walk.trace.tensor(cell.step, cell.name).shape) === String(shape) ? cell.at : null;
}

const valueOf = (walk, name, at) => walk.explain({ step: walk.step.index, name, at })?.value ?? NaN;

// ---- the add

const SIDES = ["branch", "shortcut"]; // where the copies fly to

function makeAdd(walk) {
  const text = h("p", {});
  const again = h("button", { type: "button", onclick: () => send() });
  const picture = h("div", { class: "copying", "aria-hidden": "true" });
  const element = h("div", {}, picture, h("div", {}, text, again));
  let sent = "";

  function send() {
    picture.classList.remove("sent");
    void picture.offsetWidth; // begin the animation anew
    picture.classList.add("sent");
  }

  function update() {
    const at = chosenAt(walk, "dy");
    const hidden = walk.hidden() || !at;
    const value = at && !hidden ? number(valueOf(walk, "dy", at)) : "?";
    picture.replaceChildren(
      h("b", { class: "one", text: at ? number(valueOf(walk, "dy", at)) : "dy" }),
      ...waysOf(walk, walk.step).map((way, i) =>
        h("span", { class: `copy ${SIDES[i]}` }, h("b", { text: value }), h("small", { text: way })),
      ),
    );
    text.textContent = hidden ? walk.say("choose") : walk.say("add_text", { value });
    attribute(again, "hidden", hidden || still());
    again.textContent = walk.say("add_again");
    const key = `${at} ${hidden}`;
    if (key !== sent && !hidden) send();
    sent = key;
  }

  return { element, update };
}

// ---- batch norm

function makeNorm(walk) {
  const text = h("p", {});
  const bars = h("div", {});
  const coupling = makeCoupling(walk);
  const element = h("div", {}, h("div", {}, text, bars), coupling.element);

  function update() {
    const [N, , H, W] = walk.trace.tensor(walk.step.index, "x").shape;
    text.textContent = walk.step.train ? walk.say("norm_text", { count: N * H * W }) : walk.say("norm_eval");
    const at = chosenAt(walk, "dx");
    const explanation = at && !walk.hidden() ? walk.explain({ step: walk.step.index, name: "dx", at }) : null;
    bars.replaceChildren(...(explanation ? [waterfall(explanation, at)] : []));
    coupling.update();
  }

  function waterfall(explanation, at) {
    const parts = explanation.terms.map(({ part, value }) => ({ name: walk.say(part), value }));
    const { data, shape } = walk.original.tensor(walk.step.index, "dx");
    const before = walk.whatIf ? data[at.reduce((place, i, k) => place * shape[k] + i, 0)] : null;
    return makeWaterfall(parts, { name: "dx", value: explanation.value }, { ghost: before });
  }

  return { element, update };
}

// ---- the fork

function makeFork(walk) {
  const text = h("p", {});
  const id = unique("average");
  const label = h("label", { for: id });
  const input = h("input", { id, type: "text", inputmode: "decimal", autocomplete: "off" });
  const check = h("button", { type: "submit" });
  const form = h("form", { class: "answer-row", novalidate: true, onsubmit: submitted }, label, input, check);
  const answer = h("p", { class: "answer", role: "status" });
  const element = h("div", {}, h("div", {}, text, form), answer);
  let key = "";
  input.addEventListener("keydown", (event) => !["PageUp", "PageDown"].includes(event.key) && event.stopPropagation());

  const ways = () => {
    const at = chosenAt(walk, "dx");
    return at ? ["da", "db"].map((name) => valueOf(walk, name, at)) : null;
  };

  const wayNames = () => {
    const [first, second] = waysOf(walk, walk.step);
    return { first, second };
  };

  function submitted(event) {
    event.preventDefault();
    const [a, b] = ways();
    const values = { a: number(a), b: number(b), sum: number(a + b), average: number((a + b) / 2), ...wayNames() };
    answer.textContent = walk.say(verdict(input.value, a, b), values);
    answer.className = `answer ${close(input.value, (a + b) / 2) ? "" : "right"}`;
  }

  function verdict(typed, a, b) {
    if (!readNumber(typed)) return "not_a_number";
    if (a + b === 0) return "fork_equal";
    if (close(typed, (a + b) / 2)) return "fork_average";
    return close(typed, a + b) ? "fork_sum" : "fork_neither";
  }

  function update() {
    const both = ways();
    attribute(form, "hidden", !both || walk.hidden());
    const told = both && walk.say("fork_text", { a: number(both[0]), b: number(both[1]), ...wayNames() });
    text.textContent = [told ?? walk.say("choose"), walk.hidden() && walk.say("fork_blank")].filter(Boolean).join(" ");
    label.textContent = walk.say("fork_ask");
    check.textContent = walk.say("enter");
    const next = String(chosenAt(walk, "dx"));
    if (next !== key) input.value = answer.textContent = "";
    key = next;
  }

  return { element, update };
}
