// The keys of the page. Inside a grid, a row of numbers or an input, arrows mean something else and do not come here.

import { skipIt } from "./predict.js";

/** Listen on `target`; `toggleHelp()` opens and closes the help. Returns a function that stops listening. */
export function listen(target, walk, toggleHelp) {
  const last = () => walk.count - 1;
  const keys = {
    ArrowLeft: () => walk.go(walk.stop - 1),
    ArrowRight: () => walk.go(walk.stop + 1),
    PageUp: () => walk.go(walk.stop - 1),
    PageDown: () => walk.go(walk.stop + 1),
    "[": () => walk.go(walk.stop - 1),
    "]": () => walk.go(walk.stop + 1),
    Home: () => walk.go(0),
    End: () => walk.go(last()),
    p: () => walk.setPredicting(!walk.predicting),
    s: () => skipIt(walk),
    l: () => walk.setLanguage(nextLanguage(walk)),
    Backspace: () => walk.back(),
    "?": toggleHelp,
  };

  function pressed(event) {
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("dialog[open]") && event.key !== "?") return;
    const steps = ["PageUp", "PageDown", "[", "]"].includes(event.key);
    if (event.target.matches?.("input, select, textarea") && !steps) return;
    event.preventDefault();
    action();
  }

  target.addEventListener("keydown", pressed);
  return () => target.removeEventListener("keydown", pressed);
}

/** The language after this one. */
export function nextLanguage(walk) {
  const languages = Object.keys(walk.payload.words);
  return languages[(languages.indexOf(walk.language) + 1) % languages.length];
}
