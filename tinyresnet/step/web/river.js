// The network as a river: its width is the log of the gradient's norm, and a bead marks now.

import { attribute, h, still, svg } from "./dom.js";
import { norm, short } from "./format.js";
import { LOSSES } from "./losses.js";
import { riverMap } from "./river_map.js";

const SYMBOLS = { Add: "+", Fork: "" };

/** The river of a walk: an element, and `update()`. It is a slider: the arrow keys move the bead. */
export function makeRiver(walk) {
  const map = riverMap(walk.trace.steps);
  const norms = new Map();
  let scrolling = 0;
  const edges = map.edges.map((edge) => makeEdge(edge, walk));
  const stations = map.stations.map((station) => makeStation(station, walk));
  const bead = svg("g", { class: "bead" }, svg("circle", { r: 10 }), svg("path", { d: "M-3,-4.5 L3.5,0 L-3,4.5" }));
  const turn = makeTurn(map);
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${map.width} ${map.height}`, width: map.width, height: map.height, "aria-hidden": "true" },
    map.blocks.map(makeBlock),
    map.groups.map(makeGroup),
    edges.map((edge) => edge.element),
    turn,
    makePictures(map),
    stations.map((station) => station.element),
    edges.map((edge) => edge.label),
    bead,
  );
  const element = h("div", { class: "river", role: "slider", tabindex: "0", "aria-valuemin": "1" }, drawing);

  function measured(edge) {
    const { gradient } = edge;
    if (!gradient) return null;
    const { number } = walk.trace.tensor(gradient.step, gradient.name) ?? {};
    const data = number === undefined ? null : walk.trace.array(number);
    if (!data) return walk.payload.norms?.[number] ?? null;
    const known = norms.get(number);
    if (known?.data !== data) norms.set(number, { data, value: norm(data) });
    return norms.get(number).value;
  }

  /** Whether the gradient has come back through this edge. */
  const returned = (edge) =>
    edge.gradient && (edge.gradient.step < walk.stop || (edge.gradient.step === walk.stop && !walk.hidden()));

  function update() {
    const values = map.edges.map(measured);
    const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
    const [low, high] = [Math.min(...logs), Math.max(...logs)];
    edges.forEach((edge, i) => {
      const back = returned(map.edges[i]);
      edge.show({
        flowed: walk.backward || map.edges[i].to <= walk.stop,
        back,
        value: values[i],
        width: values[i] > 0 ? 3 + (high > low ? ((Math.log10(values[i]) - low) / (high - low)) * 13 : 6) : 1,
      });
    });
    const here = map.stations.find((one) => one.forward === walk.step.index || one.backward === walk.step.index);
    stations.forEach((station) => station.show(station.of === here, walk));
    moveBead(here);
    turn.classList.toggle("turned", walk.backward);
    element.classList.toggle("back", walk.backward);
    attribute(element, "aria-label", walk.say("river"));
    attribute(element, "aria-valuemax", walk.count);
    attribute(element, "aria-valuenow", walk.step.index + 1);
    attribute(element, "aria-valuetext", walk.sentence(walk.step.index));
    drawing.querySelector(".pictures text").textContent = walk.say("pictures");
  }

  function moveBead(here) {
    bead.style.setProperty("transform", `translate(${here.x}px, ${here.y}px)`);
    bead.querySelector("path").style.setProperty("transform", walk.backward ? "scaleX(-1)" : "none");
    cancelAnimationFrame(scrolling);
    scrolling = requestAnimationFrame(() => {
      const left = here.x - element.clientWidth / 2;
      if (element.scrollWidth > element.clientWidth)
        element.scrollTo({ left, behavior: still() ? "instant" : "smooth" });
    });
  }

  return { element, update };
}

const path = (points) => "M" + points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");

function makeEdge(edge) {
  const d = path(edge.points);
  const lines = ["gradient", "bed", "flow"].map((name) => svg("path", { class: name, d }));
  const [gradient, , flow] = lines;
  const { x, y, away } = labelPlace(edge);
  const label = svg("text", { class: "norm", x, y });
  const element = svg("g", {}, lines);
  return {
    element,
    label,
    show({ flowed, back, value, width }) {
      flow.classList.toggle("on", flowed);
      flow.classList.toggle("past", back);
      element.classList.toggle("returned", Boolean(back));
      gradient.classList.toggle("on", Boolean(back));
      gradient.style.setProperty("stroke-width", width.toFixed(1));
      label.style.setProperty("transform", `translate(${away.map((part) => `${((part * width) / 2).toFixed(1)}px`)})`);
      label.textContent = back && value !== null ? short(value) : "";
    },
  };
}

/** Where an edge's norm is printed: outside the bow, below a shortcut. `away` points from the water. */
function labelPlace({ points, straight, beside }) {
  if (beside) return beside;
  const half = (points.length - 1) / 2;
  const [before, after] = [points[Math.floor(half)], points[Math.ceil(half)]];
  const ends = half % 1 ? [before, after] : [points[half - 1], points[half + 1]];
  const [dx, dy] = [ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]];
  const length = Math.hypot(dx, dy) || 1;
  const away = straight ? [0, 1] : [dy / length, -dx / length];
  const [x, y] = [(before[0] + after[0]) / 2, (before[1] + after[1]) / 2];
  return { x: x + 20 * away[0], y: y + 4 + (straight ? 13 : 13 * away[1]), away };
}

function makeStation(station, walk) {
  const kind = station.kind.toLowerCase();
  const big = station.kind in SYMBOLS || station.kind in LOSSES;
  const element = svg(
    "g",
    { class: `station ${kind}${station.kind in LOSSES ? " loss" : ""}`, onclick: () => walk.go(nearer(station, walk)) },
    svg("rect", { class: "hit", x: station.x - 27, y: station.y - 20, width: 54, height: 48 }),
    svg("circle", { cx: station.x, cy: station.y, r: big ? 9 : 5.5 }),
    SYMBOLS[station.kind] ? svg("text", { class: "symbol", x: station.x, y: station.y + 5, text: "+" }) : null,
    svg("text", { class: "name", x: station.x, y: station.y + 24, text: station.name }),
  );
  return {
    of: station,
    element,
    show(now) {
      element.classList.toggle("now", now);
    },
  };
}

/** The step of this station that the reader probably means: forward on the way there, backward on the way back. */
function nearer(station, walk) {
  return walk.backward && station.backward !== null ? station.backward : station.forward;
}

function makeBlock(block) {
  const middle = (block.from + block.to) / 2;
  return svg(
    "g",
    { class: "block" },
    svg("path", { d: `M${block.from},${block.base + 36} v5 H${block.to} v-5` }),
    svg("text", { x: middle, y: block.base + 56, text: block.name }),
  );
}

/** Above the stations, where no bow is. */
function makeGroup({ name, from, to, base }) {
  return svg(
    "g",
    { class: "block" },
    svg("path", { d: `M${from},${base - 32} v-5 H${to} v5` }),
    svg("text", { x: (from + to) / 2, y: base - 43, text: name }),
  );
}

function makePictures(map) {
  return svg(
    "g",
    { class: "pictures" },
    svg("rect", { x: 18, y: map.base - 13, width: 18, height: 18, rx: 2 }),
    svg("rect", { x: 24, y: map.base - 7, width: 18, height: 18, rx: 2 }),
    svg("text", { x: 33, y: map.base + 27 }),
  );
}

function makeTurn(map) {
  const { x, y } = map.stations.reduce((last, station) => (station.x > last.x ? station : last));
  return svg("path", { class: "turn", d: `M${x + 14},${y - 5} c22,0 22,16 0,16 m5,-5 l-6,5 l6,5` });
}
