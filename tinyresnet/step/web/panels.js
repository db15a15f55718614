// The three panels: what arrived, what was remembered, what leaves.

import { waysOf } from "./blocks.js";
import { attribute, h, hasFocus, roving, unique } from "./dom.js";
import { Grid } from "./grid.js";
import { makePredict } from "./predict.js";

const FIRST = {
  Conv2d: ["weight", "x"],
  BatchNorm2d: ["xhat", "inverse_std", "mean", "var", "weight", "bias"],
  Linear: ["weight", "x"],
  CrossEntropy: ["p", "target"],
  PixelCrossEntropy: ["p", "target", "weights"],
  FocalLoss: ["p", "difference", "modulating", "bce", "weights"],
};

/** The names of a step's tensors by panel: {arrived, remembered, leaves}. */
export function sorted(trace, index) {
  const step = trace.steps[index];
  const results = step.direction === "forward" ? ["y", "a", "b"] : step.made;
  const leaves = step.made.filter((name) => results.includes(name));
  const arrived = step.given;
  const rest = trace.names(index).filter((name) => !arrived.includes(name) && !leaves.includes(name));
  const first = FIRST[step.kind] ?? [];
  const rank = (name) => (first.includes(name) ? first.indexOf(name) : first.length + rest.indexOf(name));
  return { arrived, remembered: rest.sort((a, b) => rank(a) - rank(b)), leaves };
}

/** The panels of a walk: `element`, `update()`. */
export function makePanels(walk) {
  const predict = makePredict(walk);
  const panels = ["arrived", "remembered", "leaves"].map((role) => makePanel(walk, role, predict));
  const element = h(
    "div",
    { class: "panels" },
    panels.map((panel) => panel.element),
  );
  let seen = "";

  function update() {
    const names = sorted(walk.trace, walk.step.index);
    panels.forEach((panel) => panel.fill(names[panel.role]));
    const { cell } = walk;
    const chosen = cell ? `${walk.stop} ${cell.step} ${cell.name} ${cell.at}` : "";
    if (chosen !== seen) panels.forEach((panel) => panel.follow([...(cell ? [cell] : []), ...(walk.sources ?? [])]));
    seen = chosen;
    panels.forEach((panel) => panel.update());
    predict.update();
  }

  /** Bring cells into sight: their tabs and crops. */
  const sight = (cells) => panels.forEach((panel) => panel.follow(cells));

  return { element, update, sight };
}

function makePanel(walk, role, predict) {
  const id = unique(role);
  const title = h("h2", { id });
  const tabs = h("div", { class: "tabs", role: "tablist" });
  const body = h("div", { class: "panel-body" });
  const element = h("section", { class: `panel ${role}`, "aria-labelledby": id });
  const grids = [new Grid(walk, predict), new Grid(walk, predict)];
  let names = [];
  let chosen = new Map(); // kind and direction -> the tab last chosen
  let key = "";
  element.append(h("header", {}, title, tabs), body);
  if (role === "leaves") element.append(predict.element);

  const kind = () => `${walk.step.kind} ${walk.step.direction}`;
  const pair = () => names.length === 2 && names.every((name) => /^d?[ab]$/.test(name));
  const shown = () => (pair() ? names : [names.includes(chosen.get(kind())) ? chosen.get(kind()) : names[0]]);

  function fill(list) {
    names = list;
    title.textContent = walk.say(role === "remembered" && !walk.backward ? "remembered_forward" : role);
  }

  function follow(cells) {
    const own = cells.filter((cell) => cell.step === walk.step.index && names.includes(cell.name));
    if (!own.length) return;
    if (!pair() && !own.some((cell) => cell.name === shown()[0])) chosen.set(kind(), own[0].name);
    draw();
    for (const [i, name] of shown().entries()) {
      const cell = own.find((one) => one.name === name);
      if (cell) grids[i].follow(cell.at);
    }
  }

  function choose(name) {
    chosen.set(kind(), name);
    walk.changed(walk);
  }

  /** Tabs and grids for the tensors that are shown. */
  function draw() {
    const now = [walk.step.index, walk.language, ...names, ...shown()].join();
    shown().forEach((name, i) => name && Object.assign(grids[i], sameTensor(grids[i], walk.step.index, name, pair())));
    if (now === key) return;
    key = now;
    const focused = hasFocus(tabs);
    const buttons = names.map((name) => tabButton(name));
    tabs.replaceChildren(...(pair() ? names.map((name) => h("span", { class: "tensor-name", text: name })) : buttons));
    attribute(tabs, "role", pair() || !names.length ? null : "tablist");
    attribute(tabs, "aria-label", pair() || !names.length ? null : walk.say(role));
    if (!pair()) roving(buttons, { chosen: Math.max(0, names.indexOf(shown()[0])), moved: (i) => choose(names[i]) });
    if (focused) tabs.querySelector("[tabindex='0']")?.focus();
    if (hasFocus(body)) grids[0].refocus = true; // it would be lost
    const nothing = h("p", { class: "quiet", text: walk.say(role === "leaves" ? "nothing_left" : "nothing") });
    body.replaceChildren(...(names.length ? shown().map((name, i) => titled(name, grids[i], pair())) : [nothing]));
    attribute(body, "role", pair() || !names.length ? null : "tabpanel");
    attribute(body, "aria-label", pair() || !names.length ? null : shown()[0]);
  }

  const tabButton = (name) =>
    h("button", {
      type: "button",
      role: "tab",
      class: "tensor-name",
      "aria-selected": name === shown()[0] ? "true" : "false",
      onclick: () => choose(name),
      text: name,
    });

  function titled(name, grid, both) {
    if (!both) return grid.element;
    const way = waysOf(walk, walk.step)[name.endsWith("a") ? 0 : 1];
    return h(
      "div",
      { class: "half" },
      h("h3", {}, h("span", { class: "tensor-name", text: name }), ` ${way}`),
      grid.element,
    );
  }

  function update() {
    draw();
    shown().forEach((name, i) => name && grids[i].show({ step: walk.step.index, name, limit: pair() ? 32 : 64 }));
  }

  return { role, element, fill, follow, update };
}

/** A grid told which tensor it shows next, so that it can follow a cell before it is drawn. */
function sameTensor(grid, step, name, pair) {
  const view = grid.step === step && grid.name === name ? grid.view : { picture: grid.view.picture };
  return { step, name, view, limit: pair ? 32 : 64 };
}
