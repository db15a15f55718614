// The help: keys, and how to read the page.

import { attribute, h } from "./dom.js";

const KEYS = [
  [["←", "→"], "help_step"],
  [["PageUp", "PageDown", "[", "]"], "help_page"],
  [["Home", "End"], "help_ends"],
  [["↑", "↓", "←", "→"], "help_cell"],
  [["p"], "help_predict"],
  [["s"], "help_skip"],
  [["Backspace"], "help_back"],
  [["l"], "help_language"],
  [["?"], "help_help"],
];

/** A dialog: `element`, `toggle()`, `update()`. */
export function makeHelp(walk) {
  const element = h("dialog", { class: "help", onclick: (event) => event.target === element && element.close() });

  function update() {
    attribute(element, "aria-label", walk.say("help_title"));
    element.replaceChildren(
      h("p", { text: walk.say("help_text") }),
      h("h2", { text: walk.say("help_title") }),
      h(
        "dl",
        {},
        KEYS.flatMap(([keys, word]) => [
          h(
            "dt",
            {},
            keys.map((key) => h("kbd", { text: key })),
          ),
          h("dd", { text: walk.say(word) }),
        ]),
      ),
      h("button", { type: "button", class: "strong", onclick: () => element.close(), text: walk.say("close") }),
    );
  }

  function toggle() {
    if (element.open) return element.close();
    update();
    element.showModal();
  }

  return { element, toggle };
}
