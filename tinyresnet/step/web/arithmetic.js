// The arithmetic of the chosen cell: 0.50 × 2 + 0.25 × (−1) + ... = 0.75, and the ways on from it.

import { users } from "./explain.js";
import { attribute, h, hasFocus, roving } from "./dom.js";
import { number } from "./format.js";
import { placeName } from "./names.js";
import { LONG, sumLine } from "./sum_line.js";

/** The arithmetic of a walk: `element`, `update()`. */
export function makeArithmetic(walk) {
  const heading = h("h2", {});
  const origin = h("p", { class: "quiet origin" });
  const line = h("div", { class: "sum", role: "toolbar" });
  const note = h("p", { class: "quiet" });
  const options = h("div", { class: "options" });
  const onward = h("p", { class: "onward" });
  const element = h("section", { class: "arithmetic" }, heading, origin, line, note, options, onward);
  let all = false;
  let partial = false;
  let key = "";

  function update() {
    const { cell } = walk;
    attribute(element, "aria-label", walk.say("arithmetic"));
    const explanation = cell ? walk.explain() : null;
    const blank = cell && walk.blank(cell);
    const now = [walk.stop, JSON.stringify(cell), walk.language, blank, blank && walk.tries > 1, all, partial];
    const next = [...now, walk.travelled.length, explanation?.value].join();
    if (next === key) return;
    if (!next.startsWith(now.slice(0, 2).join())) all = false;
    key = next;
    draw(cell, explanation, blank);
  }

  function draw(cell, explanation, blank) {
    const focused = hasFocus(element) ? (element.getRootNode().activeElement.dataset.role ?? "") : null;
    options.replaceChildren(...back());
    onward.replaceChildren();
    note.textContent = "";
    origin.textContent = "";
    line.replaceChildren();
    heading.replaceChildren(cell ? named(cell) : walk.say("arithmetic"));
    if (!cell) origin.textContent = walk.say("choose");
    else if (!explanation) origin.textContent = walk.say("loading");
    else drawSum(cell, explanation, blank);
    if (focused !== null) (element.querySelector(`[data-role="${focused}"]`) ?? line.querySelector("button"))?.focus();
  }

  const named = (cell) =>
    h("span", {}, h("span", { class: "tensor-name", text: cell.name }), ` ${placeName(walk, cell)}`);

  function drawSum(cell, explanation, blank) {
    const elsewhere = explanation.cell.step !== cell.step && !explanation.given;
    const { path, index } = walk.trace.steps[explanation.cell.step];
    const made = elsewhere ? `${walk.say("made_in", { number: index + 1, path })}: ` : "";
    origin.textContent = explanation.given ? "" : `${made}${cell.name} = ${walk.rule(explanation.rule)}`;
    attribute(line, "aria-label", walk.say("arithmetic"));
    if (explanation.given) note.textContent = outside(explanation);
    else if (!blank || walk.tries > 1) line.append(...sumLine(walk, explanation, { all, partial, blank }));
    else line.append(h("span", { class: "result unknown", text: "?" }));
    if (explanation.padding) note.textContent = walk.say("padding", { count: explanation.padding });
    if (explanation.terms.length > LONG && !blank)
      options.append(toggle("show_all", all, () => (all = !all), explanation));
    if (explanation.terms.length > 2 && explanation.function === "sum" && !blank)
      options.append(toggle("partial", partial, () => (partial = !partial), explanation));
    roving([...line.querySelectorAll("button.factor")]);
    if (!blank) drawOnward(explanation.cell);
  }

  /** Of a number without arithmetic: it is a pixel, a weight or a label; or of a layer that is not explained. */
  function outside({ cell, value }) {
    const { made, kind } = walk.trace.steps[cell.step];
    return made.includes(cell.name) ? walk.say("unexplained", { kind }) : walk.say("given", { number: number(value) });
  }

  function toggle(word, on, flip, { terms }) {
    const props = { type: "button", class: "plain", "data-role": word, "aria-pressed": String(on) };
    const text = walk.say(word, { count: terms.length });
    return h("button", { ...props, onclick: () => (flip(), walk.changed(walk)), text });
  }

  function back() {
    if (!walk.travelled.length) return [];
    const props = { type: "button", class: "plain", "data-role": "back", onclick: () => walk.back() };
    return [h("button", props, "↩ ", walk.say("go_back"), " ", h("kbd", { text: "⌫" }))];
  }

  /** The tensors of other steps that read this number: the way on to the loss. */
  function drawOnward(cell) {
    const found = users(walk.trace, cell.step, cell.name).filter(({ step }) => step !== walk.stop);
    if (!found.length) return;
    const links = found.slice(0, 6).map(({ step, name }) => {
      const { path, kind } = walk.trace.steps[step];
      const text = `${step + 1} ${path || kind}`;
      return h("button", {
        type: "button",
        class: "chip",
        onclick: () => walk.visit({ step, name, at: cell.at }),
        text,
      });
    });
    onward.append(h("span", { class: "quiet", text: `${walk.say("used_in")} ` }), ...links);
  }

  return { element, update };
}
