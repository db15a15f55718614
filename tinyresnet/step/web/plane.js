// One plane of a tensor as an ARIA grid of cells, and the choosers of pictures and channels above.

import { attribute, h } from "./dom.js";
import { flat } from "./explain.js";
import { number, short } from "./format.js";
import { channelNames, isParam, letter, matrixNames } from "./names.js";

/** The element of a plane of `grid`; its cells are noted in `grid.cells`. */
export function makePlane(grid, plane) {
  const heads = matrixNames(grid.walk, grid.stepOf(), grid.name);
  const rows = heads.columns ? [columnHeads(heads, plane)] : [];
  for (let r = 0; r < plane.rows; r++) {
    const cells = heads.rows ? [h("div", { role: "rowheader", class: "head", text: heads.rows[plane.top + r] })] : [];
    for (let c = 0; c < plane.columns; c++) {
      const at = plane.at(plane.top + r, plane.left + c);
      if (at) cells.push(makeCell(grid, plane, at, plane.top + r, plane.left + c));
    }
    rows.push(h("div", { role: "row" }, cells));
  }
  const names = axesOf(grid).filter(({ axis, told }) => told || grid.sheet.choosers[axis] > 1);
  const shown = names.filter(({ axis }) => grid.sheet.choosers[axis] < 2).map(({ name }) => name(plane));
  const label = [grid.name, ...names.map(({ name }) => name(plane))].join(grid.walk.say("join"));
  const look = { class: heads.rows ? "headed" : "", style: { "--across": plane.columns } };
  return h(
    "div",
    { class: "plane" },
    shown.length ? h("span", { class: "plane-name", text: shown.join(" · "), "aria-hidden": "true" }) : null,
    h("div", { role: "grid", "aria-label": label, ...look }, rows),
  );
}

/** What picks one plane of several: pictures and channels; of a parameter outputs and inputs. */
function axesOf(grid) {
  const { walk, tensor, sheet } = grid;
  if (tensor.shape.length < 3) return [];
  const own = isParam(grid.stepOf(), grid.name);
  const names = own ? { picture: "out", channel: "in" } : { picture: "picture", channel: "channel" };
  const classes = channelNames(walk, grid.stepOf(), tensor.shape);
  const called = (word, i) => (word === "channel" ? classes?.[i] : null);
  return Object.entries(names).map(([axis, word]) => ({
    axis,
    told: own || sheet.counts[axis] > 1,
    title: walk.say(called(word, 0) ? "class_of" : `${word}_of`),
    option: (i) => called(word, i) ?? (word === "picture" ? letter(i) : i + 1),
    name: (plane) => {
      const i = plane[axis];
      return called(word, i) ?? walk.say(word, { letter: letter(i), number: i + 1 });
    },
  }));
}

/** A select for each axis of which not all fits. */
export function makeChoosers(grid) {
  const choosable = axesOf(grid).filter(({ axis }) => grid.sheet.choosers[axis] > 1);
  return choosable.map(({ axis, title, option }) => {
    const now = grid.sheet.planes[0][axis];
    const options = Array.from({ length: grid.sheet.choosers[axis] }, (_, i) =>
      h("option", { value: i, selected: i === now, text: option(i) }),
    );
    const props = {
      "aria-label": `${grid.name}: ${title}`,
      onchange: (event) => grid.look({ [axis]: +event.target.value }),
    };
    return h("label", {}, h("span", { class: "quiet", text: title }), h("select", props, options));
  });
}

/** The classes above the columns of a matrix. */
function columnHeads({ rows, columns }, { left, columns: count }) {
  const names = columns
    .slice(left, left + count)
    .map((text) => h("div", { role: "columnheader", class: "head", text }));
  return h("div", { role: "row" }, rows ? h("div", { role: "presentation", class: "head" }) : null, names);
}

function makeCell(grid, plane, at, row, column) {
  const { walk, tensor, here, hidden, before, max } = grid;
  const place = flat(at, tensor.shape);
  const value = here ? Number(tensor.data[place]) : NaN;
  const text = hidden ? "" : here ? short(value) : "·";
  const share = max > 0 && Number.isFinite(value) && !hidden ? Math.sqrt(Math.abs(value) / max) : 0;
  const sign = hidden || !here || value === 0 ? "zero" : value > 0 ? "plus" : "minus";
  const moved = before && !hidden && Math.abs(before[place] - value) > 1e-9;
  const length = text.length > 6 ? "long" : text.length > 5 && "longish";
  const element = h("div", {
    role: "gridcell",
    tabindex: "-1",
    class: ["cell", sign, length, hidden && "blank", moved && "moved"].filter(Boolean).join(" "),
    style: { "--share": share.toFixed(3) },
    onclick: () => grid.choose(at, element),
    text,
  });
  const read = hidden ? walk.say("blank") : here ? number(value) : walk.say("loading");
  const label = [walk.say("place", { row: row + 1, column: column + 1 }), read].join(walk.say("join"));
  attribute(element, "aria-label", label);
  grid.cells.set(at.join(), { at, element, label, picture: plane.picture, channel: plane.channel, row, column });
  return element;
}
