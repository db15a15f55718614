// The depth dial: measured gradient norms block by block, on a log scale; the caption is computed from them.

import { attribute, h, svg, unique } from "./dom.js";
import { number } from "./format.js";

const FACTOR = 100; // a change by more than this is called vanishing or exploding
const EDGES = { height: 360, left: 62, right: 20, top: 24, bottom: 44 };
const SETTINGS = [
  ["dial_shortcut", "shortcut", ["plain", "residual"], (walk, value) => walk.say(value)],
  ["dial_norm", "norm", [true, false], (walk, value) => walk.say(`norm_${value}`)],
  ["dial_init", "init", ["he", "pytorch"], (walk, value) => walk.say(value)],
  ["dial_depth", "depth", [8, 20, 56], (walk, value) => String(value)],
];

/** What the gradient does on its way back: ["explodes" or "vanishes" or "neither" or "unknown", first / last]. */
export function caption({ outputs }) {
  const [first, last] = [outputs[0], outputs.at(-1)];
  if (last === null || (first === 0 && last === 0)) return ["unknown", null];
  if (first === null || last === 0) return ["explodes", null];
  const ratio = first / last;
  return [ratio > FACTOR ? "explodes" : ratio < 1 / FACTOR ? "vanishes" : "neither", ratio];
}

/** The dial of a walk: `element`, `update()`. */
export function makeDial(walk) {
  const rows = walk.payload.depth_dial?.rows ?? [];
  const chosen = { shortcut: "plain", norm: true, init: "he", depth: 56 };
  const choices = h("div", { class: "dial-settings" });
  const chart = h("div", { class: "chart" });
  const verdict = h("p", { class: "verdict", role: "status" });
  const note = h("p", { class: "quiet" });
  const element = h("section", { class: "dial panel" }, choices, verdict, chart, note);
  let language = null;
  addEventListener("resize", () => update());

  const row = (settings) => rows.find((one) => SETTINGS.every(([, key]) => one[key] === settings[key]));

  function update() {
    if (walk.stage !== "dial") return;
    attribute(element, "aria-label", walk.say("dial"));
    if (language !== walk.language) choices.replaceChildren(...SETTINGS.map((setting) => makeChoice(setting)));
    language = walk.language;
    const now = row(chosen);
    const other = row({ ...chosen, shortcut: chosen.shortcut === "plain" ? "residual" : "plain" });
    verdict.textContent = now ? sentence(now) : walk.say("dial_unknown");
    note.textContent = walk.say("dial_limit", { factor: FACTOR });
    chart.replaceChildren(...(now ? [draw(now, other, sentence(now))] : []));
  }

  function sentence(one) {
    const [word, ratio] = caption(one);
    if (ratio === null) return walk.say(word === "explodes" ? "dial_explodes_unknown" : "dial_unknown");
    const times = word === "vanishes" || (word === "neither" && ratio < 1) ? 1 / ratio : ratio;
    return walk.say(`dial_${word}`, { ratio: readable(times) });
  }

  function makeChoice([title, key, values, name]) {
    const group = unique(key);
    return h(
      "fieldset",
      {},
      h("legend", { text: walk.say(title) }),
      values.map((value) => {
        const props = { type: "radio", name: group, checked: value === chosen[key], onchange: () => turn(key, value) };
        const input = h("input", props);
        input.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
        return h("label", {}, input, h("span", { text: name(walk, value) }));
      }),
    );
  }

  function turn(key, value) {
    chosen[key] = value;
    update();
  }

  function draw(now, other, label) {
    const scale = makeScale([now, other].filter(Boolean), Math.max(300, chart.clientWidth));
    return svg(
      "svg",
      { viewBox: `0 0 ${scale.width} ${EDGES.height}`, role: "img", "aria-label": label },
      band(now, scale),
      axis(scale, now),
      other ? line(other, scale, "other") : null,
      line(now, scale, "now"),
      svg("text", { class: "axis-title", x: EDGES.left, y: EDGES.top - 8, text: walk.say("dial_axis") }),
      other ? otherName(other, now, scale) : null,
    );
  }

  /** Between these lines the gradient neither vanishes nor explodes. */
  function band(one, scale) {
    const last = one.outputs.at(-1);
    if (!(last > 0)) return null;
    const [top, bottom] = [scale.y(last * FACTOR), scale.y(last / FACTOR)];
    return svg("rect", { class: "band", x: EDGES.left, y: top, width: scale.inner, height: bottom - top });
  }

  function axis(scale, one) {
    const ticks = scale.decades.map((decade) =>
      svg(
        "g",
        { class: "tick" },
        svg("line", {
          x1: EDGES.left,
          x2: scale.width - EDGES.right,
          y1: scale.y(10 ** decade),
          y2: scale.y(10 ** decade),
        }),
        svg("text", { x: EDGES.left - 8, y: scale.y(10 ** decade) + 4 }, power(decade)),
      ),
    );
    const foot = EDGES.height - EDGES.bottom;
    const ends = [
      ["start", EDGES.left, `${walk.say("dial_first")}: ${one.blocks[0]}`],
      ["end", scale.width - EDGES.right, `${walk.say("dial_last")}: ${one.blocks.at(-1)}`],
    ].map(([anchor, x, text]) => svg("text", { class: "axis-title", x, y: foot + 22, "text-anchor": anchor, text }));
    const middle = (EDGES.left + scale.width) / 2;
    const way = svg("path", { class: "way", d: `M${middle + 60},${foot + 17} h-120 m8,-5 l-8,5 l8,5` });
    return svg("g", {}, ticks, ends, way);
  }

  function line(one, scale, kind) {
    const count = one.outputs.length;
    const points = one.outputs.map((value, i) => ({ value, x: scale.x(i, count), block: one.blocks[i] }));
    const known = points.filter(({ value }) => value > 0);
    const d = known.map(({ value, x }, i) => `${i ? "L" : "M"}${x.toFixed(1)},${scale.y(value).toFixed(1)}`).join("");
    const dots = points.map(({ value, x, block }) => {
      const text = walk.say("dial_value", {
        block,
        value: value === null ? walk.say("dial_not_finite") : number(value),
      });
      return svg(
        "circle",
        { cx: x, cy: value > 0 ? scale.y(value) : EDGES.top + 6, r: kind === "now" ? 4 : 2 },
        svg("title", { text }),
      );
    });
    return svg("g", { class: `series ${kind} ${caption(one)[0]}` }, svg("path", { d }), dots);
  }

  function otherName(other, now, scale) {
    const i = Math.floor(other.outputs.length * 0.4);
    const [value, beside] = [other.outputs[i], now.outputs[i]];
    if (!(value > 0)) return null;
    const at = { x: scale.x(i, other.outputs.length), y: scale.y(value) + (value > beside ? -14 : 26) };
    return svg("text", {
      class: "other-name",
      ...at,
      text: walk.say("dial_other", { name: walk.say(other.shortcut) }),
    });
  }

  return { element, update };
}

function makeScale(rows, width) {
  const values = rows.flatMap((one) => one.outputs).filter((value) => value > 0);
  const low = Math.floor(Math.min(-4, ...values.map(Math.log10)));
  const high = Math.ceil(Math.max(2, ...values.map(Math.log10)));
  const inner = width - EDGES.left - EDGES.right;
  const height = EDGES.height - EDGES.top - EDGES.bottom;
  const every = Math.ceil((high - low) / 7);
  const decades = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((decade) => decade % every === 0);
  const y = (value) =>
    EDGES.top +
    8 +
    (height * (high - Math.log10(value))) / (high - low) -
    8 * ((high - Math.log10(value)) / (high - low));
  const x = (i, count) => EDGES.left + 12 + ((inner - 24) * i) / Math.max(1, count - 1);
  return { x, y, inner, width, decades };
}

function power(decade) {
  return ["10", svg("tspan", { dy: -5, "font-size": "8.5", text: String(decade).replace("-", "−") })];
}

/** A ratio as one says it: 8,882 or 1.5 or 2.5e21. */
function readable(ratio) {
  if (ratio >= 1e6) return number(ratio, 3);
  return ratio >= 100 ? Math.round(ratio).toLocaleString("en") : String(Number(ratio.toPrecision(2)));
}
