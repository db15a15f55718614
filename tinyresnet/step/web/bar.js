// The bar on top: title, ways through the page, switches, and the buttons back and on.

import { attribute, h } from "./dom.js";
import { nextLanguage } from "./keyboard.js";
import { PAGE_WORDS } from "./words.js";

/** Title, the ways through the page, and its switches. */
export function makeBar(walk, toggleHelp) {
  const title = h("h1", {});
  const subtitle = h("span", { class: "quiet" });
  const button = (press, props = {}) => h("button", { type: "button", onclick: press, ...props });
  const previous = button(() => walk.go(walk.stop - 1));
  const next = button(() => walk.go(walk.stop + 1), { class: "strong" });
  const ways = ["walk", ...walk.extra].map((name) => ({
    name,
    element: button(() => walk.go(name === "walk" ? (walk.lastStep ?? 0) : walk.count + walk.extra.indexOf(name))),
  }));
  const predict = button(() => walk.setPredicting(!walk.predicting), { role: "switch", class: "switch" });
  const language = button(() => walk.setLanguage(nextLanguage(walk)), { class: "plain" });
  const theme = button(() => turnTheme(theme), { class: "plain icon" });
  const help = button(toggleHelp, { class: "plain icon", text: "?" });
  const element = h(
    "div",
    { class: "bar" },
    h("div", { class: "titles" }, title, subtitle),
    h(
      "div",
      { class: "ways" },
      ways.map((way) => way.element),
    ),
    h("div", { class: "switches" }, predict, language, theme, help),
    h("div", { class: "moves" }, previous, next),
  );

  function update() {
    if (walk.stage === "step") walk.lastStep = walk.stop;
    title.textContent = walk.say("title");
    subtitle.textContent = walk.payload.title;
    previous.replaceChildren("← ", walk.say("previous"));
    next.replaceChildren(walk.say("next"), " →");
    previous.disabled = walk.stop === 0;
    next.disabled = walk.stop === walk.stops - 1;
    for (const way of ways) {
      way.element.textContent = walk.say(way.name);
      const here = way.name === (walk.stage === "step" ? "walk" : walk.stage);
      attribute(way.element, "aria-current", here ? "page" : null);
    }
    predict.replaceChildren(h("i", {}), walk.say("predict"));
    attribute(predict, "aria-checked", String(walk.predicting));
    attribute(predict, "title", walk.say("predict_long"));
    const other = nextLanguage(walk);
    language.textContent = PAGE_WORDS[other]?.language ?? other;
    attribute(language, "lang", other === "zh" ? "zh-Hans" : other);
    theme.textContent = "◐";
    attribute(theme, "aria-label", walk.say("theme"));
    attribute(help, "aria-label", walk.say("help"));
  }

  return { element, update };
}

/** From light to dark and back, whatever the system says. */
function turnTheme(button) {
  const root = button.closest(".tinyresnet-step");
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  const page = root.closest(".stepper-page");
  if (page) page.dataset.theme = root.dataset.theme;
}
