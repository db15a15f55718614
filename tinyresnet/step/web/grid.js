// One tensor on the screen: ARIA grids that are one tab stop, choosers and a minimap for what does not fit.

import { attribute, h, hasFocus } from "./dom.js";
import { makeMinimap } from "./minimap.js";
import { makeChoosers, makePlane } from "./plane.js";
import { sheet, viewOf } from "./sheet.js";
import { fromTerms } from "./words.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The view of one tensor; `show({step, name, limit})` draws it, `follow(at)` brings a cell into sight. */
export class Grid {
  constructor(walk, { typed = () => {} } = {}) {
    this.walk = walk;
    this.typed = typed; // a digit typed on a cell
    this.view = {};
    this.key = "";
    this.cells = new Map();
    this.planes = h("div", { class: "planes", onkeydown: (event) => this.pressed(event) });
    this.choosers = h("div", { class: "choosers" });
    this.map = makeMinimap((view) => this.look(view));
    this.element = h(
      "div",
      { class: "tensor" },
      this.choosers,
      h("div", { class: "field" }, this.planes, this.map.element),
    );
  }

  show({ step, name, limit = 64 }) {
    if (this.step !== step || this.name !== name) this.view = { picture: this.view.picture };
    Object.assign(this, { step, name, limit });
    const { walk } = this;
    const tensor = walk.trace.tensor(step, name);
    const here = walk.ready(step);
    const hidden = walk.blank({ step, name });
    const key = [step, name, limit, walk.language, here, hidden, JSON.stringify(this.view), walk.whatIf].join();
    if (key !== this.key || this.tensor?.data !== tensor.data) {
      Object.assign(this, { key, tensor, here, hidden });
      this.draw();
    }
    this.mark();
  }

  stepOf() {
    return this.walk.trace.steps[this.step];
  }

  draw() {
    const { tensor, here, hidden } = this;
    this.refocus ||= hasFocus(this.planes);
    this.cells.clear();
    this.sheet = sheet(tensor.shape, this.view, this.limit);
    this.max = here ? largest(tensor.data) : 0;
    this.before = this.walk.whatIf ? this.walk.original.tensor(this.step, this.name).data : null;
    const pictures = new Map();
    for (const plane of this.sheet.planes) {
      if (!pictures.has(plane.picture)) pictures.set(plane.picture, []);
      pictures.get(plane.picture).push(makePlane(this, plane));
    }
    this.planes.replaceChildren(
      ...(here ? [] : [h("p", { class: "loading", text: this.walk.say("loading") })]),
      ...[...pictures.values()].map((planes) => h("div", { class: "picture" }, planes)),
    );
    this.arrange(pictures);
    this.choosers.replaceChildren(...makeChoosers(this));
    this.map.show(this.sheet, here && !hidden ? tensor : null, this.sheet.planes[0], this.walk);
    if (here && !hidden) this.describeLater();
  }

  /** Channels lie beside each other; pictures too, if they have one channel, else below each other. */
  arrange(pictures) {
    const { rows, columns } = this.sheet.planes[0];
    const channels = [...pictures.values()][0].length;
    const room = Math.max(1, Math.floor(8 / columns));
    const across = Math.min(room, channels > 1 ? channels : pictures.size);
    const down = Math.ceil(channels > 1 ? pictures.size * Math.ceil(channels / across) : pictures.size / across) * rows;
    this.planes.classList.toggle("stacked", channels > 1);
    const narrow = Math.min(room, channels) * columns; // pictures below each other
    const sizes = { wide: across * columns, narrow, down: (down * 64) / this.limit };
    for (const [name, size] of Object.entries(sizes)) this.planes.style.setProperty(`--${name}`, size);
    this.planes.style.setProperty("--gaps", channels > 1 ? channels : pictures.size);
  }

  /** Tell of each cell from how many terms it is, when there is time. */
  describeLater() {
    const waiting = [...this.cells.values()];
    const some = () => {
      const until = performance.now() + 6;
      while (waiting.length && performance.now() < until) this.describe(waiting.shift());
      if (waiting.length) this.later = setTimeout(some, 20);
    };
    clearTimeout(this.later);
    this.later = setTimeout(some, 60);
  }

  describe({ at, element, label }) {
    const { walk, step, name } = this;
    const explanation = element.isConnected ? walk.explain({ step, name, at }, false) : null;
    if (!explanation) return;
    const { given, terms } = explanation;
    const from = given ? walk.say("from_outside") : fromTerms(walk.language, terms.length);
    attribute(element, "aria-label", [label, from].join(walk.say("join")));
  }

  /** Look at another part. */
  look(view) {
    Object.assign(this.view, view);
    this.walk.changed(this.walk);
  }

  /** Bring a cell of this tensor into sight. */
  follow(at) {
    this.view = viewOf(this.walk.trace.tensor(this.step, this.name).shape, at, this.view, this.limit);
  }

  choose(at, element = null) {
    this.walk.select({ step: this.step, name: this.name, at });
    (element?.isConnected ? element : this.cells.get(at.join())?.element)?.focus({ preventScroll: true });
  }

  /** Which cells are chosen, which make the chosen one, which are lit. */
  mark() {
    const { walk, step, name } = this;
    const chosen = walk.cell?.step === step && walk.cell.name === name ? walk.cell.at.join() : null;
    const found = (cells) => new Set(cells.filter((cell) => this.isHere(cell)).map((cell) => cell.at.join()));
    const [sources, lit] = [found(walk.sources ?? []), found(walk.lit)];
    if (!this.cells.has(this.active)) this.active = null;
    if (chosen !== null && this.cells.has(chosen)) this.active = chosen;
    this.active ??= this.cells.keys().next().value;
    for (const [key, { element }] of this.cells) {
      element.classList.toggle("chosen", key === chosen);
      element.classList.toggle("source", sources.has(key));
      element.classList.toggle("lit", lit.has(key));
      element.tabIndex = key === this.active ? 0 : -1;
      attribute(element, "aria-selected", key === chosen ? "true" : "false");
    }
    if (this.refocus) this.cells.get(this.active)?.element.focus({ preventScroll: true });
    this.refocus = false;
  }

  isHere(cell) {
    if (cell.step === this.step) return cell.name === this.name;
    const [a, b] = [this.walk.explainer.home(cell.step, cell.name), this.walk.explainer.home(this.step, this.name)];
    return a.step === b.step && a.name === b.name;
  }

  pressed(event) {
    const now = [...this.cells.values()].find((one) => one.element === event.target);
    if (!now || event.ctrlKey || event.metaKey || event.altKey) return;
    const ends = { Home: 0, End: this.sheet.full.columns - 1 };
    if (event.key in ends) this.move(now, [0, ends[event.key] - now.column]);
    else if (event.key in ARROWS) this.move(now, ARROWS[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.choose(now.at);
    else if (/^[0-9.,+−-]$/.test(event.key) && this.walk.blank({ step: this.step, name: this.name })) {
      this.choose(now.at);
      this.typed(event.key);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** One cell on: in this plane, beyond its edge in the crop or in the next plane. */
  move(now, [down, right]) {
    const { full } = this.sheet;
    const plane = this.sheet.planes.find((one) => one.picture === now.picture && one.channel === now.channel);
    const [row, column] = [now.row + down, now.column + right];
    if (row >= 0 && row < full.rows && column >= 0 && column < full.columns) {
      const at = plane.at(row, column);
      if (at) this.goTo(at);
      return;
    }
    const next = this.sheet.planes[this.sheet.planes.indexOf(plane) + down + right];
    if (!next) return;
    const at = next.at(
      down ? (down > 0 ? next.top : next.top + next.rows - 1) : now.row,
      right ? (right > 0 ? next.left : next.left + next.columns - 1) : now.column,
    );
    if (at) this.goTo(at);
  }

  goTo(at) {
    this.follow(at);
    this.choose(at);
  }
}

function largest(data) {
  let most = 0;
  for (const value of data)
    if (Math.abs(Number(value)) > most && Number.isFinite(Number(value))) most = Math.abs(Number(value));
  return most;
}
