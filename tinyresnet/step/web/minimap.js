// A small picture of a whole plane, with a frame around what the grid shows.

import { flat } from "./explain.js";
import { attribute, h } from "./dom.js";

const SIDE = 96;

/** A minimap: `show(sheet, tensor, plane, walk)`; a click or drag on it calls `look({top, left})`. */
export function makeMinimap(look) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const frame = h("div", { class: "frame" });
  const text = h("p", { class: "quiet" });
  const field = h("div", { class: "minimap-field", onpointerdown: moved, onpointermove: moved }, canvas, frame);
  const element = h("div", { class: "minimap" }, field, text);
  let now = null;

  function moved(event) {
    if (!event.buttons || !now) return;
    const box = field.getBoundingClientRect();
    const { full, crop } = now;
    const to = (share, size, shown) => Math.max(0, Math.min(size - shown, Math.round(share * size - shown / 2)));
    look({
      top: to((event.clientY - box.top) / box.height, full.rows, crop.rows),
      left: to((event.clientX - box.left) / box.width, full.columns, crop.columns),
    });
  }

  function show(sheet, tensor, plane, walk) {
    attribute(element, "hidden", !sheet.cropped);
    now = sheet.cropped ? sheet : null;
    if (!now) return;
    const { full, crop } = sheet;
    const scale = SIDE / Math.max(full.rows, full.columns);
    const size = { width: Math.max(6, full.columns * scale), height: Math.max(6, full.rows * scale) };
    for (const [name, value] of Object.entries(size)) field.style.setProperty(name, `${value}px`);
    const box = { top: crop.top / full.rows, left: crop.left / full.columns };
    Object.assign(box, { width: crop.columns / full.columns, height: crop.rows / full.rows });
    for (const [name, share] of Object.entries(box)) frame.style.setProperty(name, `${share * 100}%`);
    Object.assign(canvas, { width: full.columns, height: full.rows });
    if (tensor) paint(canvas, tensor, plane, full);
    const last = { bottom: crop.top + crop.rows, right: crop.left + crop.columns };
    text.textContent = walk.say("crop", { top: crop.top + 1, left: crop.left + 1, ...last, ...full });
  }

  return { element, show };
}

/** Blue for positive, orange for negative, the stronger the larger. */
function paint(canvas, { data, shape }, plane, { rows, columns }) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const values = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const at = plane.at(r, c);
      values[r * columns + c] = at ? Number(data[flat(at, shape)]) : 0;
    }
  const most = values.reduce((best, value) => Math.max(best, Math.abs(value)), 0) || 1;
  values.forEach((value, i) => {
    image.data.set(value >= 0 ? [37, 99, 184] : [194, 90, 0], 4 * i);
    image.data[4 * i + 3] = 255 * Math.sqrt(Math.abs(value) / most);
  });
  context.putImageData(image, 0, 0);
}
