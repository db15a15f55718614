// Predicting: the number that the learner types is right, or a mistake with a name, or not recognised; then hints grow.

import { attribute, h, unique } from "./dom.js";
import { mistake, mistakeSentence, readNumber, right } from "./mistakes.js";
import { placeName } from "./names.js";

/** The form below the blank panel; `typed(key)` begins the input with what was typed on a cell. */
export function makePredict(walk) {
  const ask = h("p", { class: "ask" });
  const label = h("label", {});
  const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false" });
  const check = h("button", { type: "submit", class: "strong" });
  const skip = h("button", { type: "button", class: "skip", onclick: () => skipIt(walk) });
  const answer = h("p", { class: "answer", role: "status" });
  const row = h("div", { class: "answer-row" }, input, check);
  const props = { class: "predict-form", novalidate: true, onsubmit: submitted };
  const form = h("form", props, ask, label, h("div", { class: "answer-row" }, row, skip));
  const element = h("div", { class: "predict" }, form, answer);
  const id = unique("number");
  attribute(label, "for", id);
  attribute(input, "id", id);
  let asked = "";

  input.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "s") {
      event.preventDefault();
      skipIt(walk);
    } else if (event.key === "Escape") {
      chosenCell()?.focus();
    }
    if (!["PageUp", "PageDown", "[", "]"].includes(event.key)) event.stopPropagation();
  });

  const chosenCell = () => element.parentElement?.querySelector(".cell.chosen");

  function submitted(event) {
    event.preventDefault();
    const explanation = walk.explain();
    if (!explanation) return;
    const typed = input.value;
    if (!readNumber(typed)) walk.message = { tone: "wrong", text: walk.say("not_a_number") };
    else if (right(explanation, typed)) return rightAnswer();
    else return wrongAnswer(explanation, typed);
    walk.changed(walk);
  }

  function rightAnswer() {
    walk.reveal({ tone: "right", text: walk.say("right") });
    chosenCell()?.focus({ preventScroll: true });
  }

  function wrongAnswer(explanation, typed) {
    const found = mistake(explanation, typed, walk.trace);
    const text = found ? mistakeSentence(found, walk.language) : walk.say("not_recognised");
    const hint = walk.tries === 0 ? "hint_cells" : "hint_terms";
    const count = new Set(explanation.terms.flatMap((term) => term.factors.filter((f) => f.cell).map((f) => f.symbol)))
      .size;
    walk.missed({ tone: "wrong", named: Boolean(found), text, hint: found ? "" : walk.say(hint, { count }) });
    input.focus();
    input.select();
  }

  function update() {
    const hidden = walk.stage === "step" && walk.hidden();
    const cell = walk.cell && walk.blank(walk.cell) ? walk.cell : null;
    attribute(form, "hidden", !hidden);
    const made = walk.explainer.made(walk.step.index).filter((name) => name.startsWith("d"));
    const name = made.includes("dx") ? "dx" : made[0];
    attribute(ask, "hidden", Boolean(cell));
    attribute(row, "hidden", !cell);
    attribute(label, "hidden", !cell);
    ask.replaceChildren(h("strong", { text: walk.say("pick_first") }), ` ${walk.say("pick", { name })}`);
    if (cell) label.textContent = walk.say("your_number", { name: cell.name, place: placeName(walk, cell) });
    check.textContent = walk.say("enter");
    skip.replaceChildren(walk.say("skip"), " ", h("kbd", { text: "s" }));
    const key = cell ? `${cell.step} ${cell.name} ${cell.at}` : "";
    if (key !== asked) input.value = "";
    asked = key;
    const message = walk.message;
    const parts = message ? [message.text, message.hint].filter(Boolean).join(" ") : "";
    if (answer.textContent !== parts) answer.textContent = parts;
    answer.className = `answer ${message?.tone ?? ""}`;
  }

  function typed(key) {
    input.value = key;
    input.focus();
  }

  return { element, update, typed };
}

/** Give the prediction up: the numbers come in. */
export function skipIt(walk) {
  if (walk.stage !== "step" || !walk.hidden()) return;
  walk.reveal({ tone: "", text: walk.say("skipped") });
}
