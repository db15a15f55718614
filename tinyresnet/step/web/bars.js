// Bars that add up: each begins where the one before it ended, and the last shows what is left.

import { h } from "./dom.js";
import { number } from "./format.js";

/** A waterfall of [{name, value}] and their sum; `ghost` marks where the sum was before. */
export function makeWaterfall(parts, total, { ghost = null } = {}) {
  const ends = [0];
  for (const { value } of parts) ends.push(ends.at(-1) + value);
  const points = [...ends, total.value, ghost ?? 0];
  const [low, high] = [Math.min(...points), Math.max(...points)];
  const place = (value) => (high > low ? (100 * (value - low)) / (high - low) : 0);
  const rows = parts.map(({ name, value }, i) => bar(name, value, ends[i], ends[i + 1], place, ""));
  rows.push(bar(total.name, total.value, 0, total.value, place, "total", ghost));
  return h("div", { class: "waterfall" }, rows);
}

function bar(name, value, from, to, place, kind, ghost = null) {
  const [left, right] = [Math.min(from, to), Math.max(from, to)].map(place);
  const sign = value < 0 ? "minus" : "plus";
  const track = h(
    "div",
    { class: "track", "aria-hidden": "true" },
    h("i", { class: "origin-line", style: { left: `${place(0)}%` } }),
    h("i", { class: `fill ${sign}`, style: { left: `${left}%`, width: `${Math.max(0.6, right - left)}%` } }),
    ghost === null ? null : h("i", { class: "ghost", style: { left: `${place(ghost)}%` } }),
  );
  return h(
    "div",
    { class: `bar-row ${kind}` },
    h("span", { class: "bar-name", text: name }),
    track,
    h("span", { class: "bar-value", text: number(value) }),
  );
}

/** Bars from 0 on one scale: [{name, value}]. */
export function makeBars(parts) {
  const points = [0, ...parts.map((part) => part.value)];
  const [low, high] = [Math.min(...points), Math.max(...points)];
  const place = (value) => (high > low ? (100 * (value - low)) / (high - low) : 0);
  return h(
    "div",
    { class: "waterfall" },
    parts.map(({ name, value }) => bar(name, value, 0, value, place, "")),
  );
}
