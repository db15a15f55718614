// Where the stations of the network lie and which water flows between them: the shortcut straight, the branch bowed; a way that
// leaves a fork for elsewhere, such as a pyramid's, in a row of its own below.

import { blocksOf } from "./blocks.js";
import { JOINTS, rowsOf } from "./river_rows.js";

const GAP = 54;
const BOW = 68;
const EDGE = 34;
const ROW = 92;
const LEAD = 20; // beyond a station's name

/**
 * The map of a trace's forward steps: {stations: [{forward, backward, name, kind, x, y}],
 * edges: [{from, to, points, straight, gradient}], blocks and groups: [{name, from, to, base}], width, height, base}.
 * An edge's `gradient` is the {step, name} that comes back through it.
 */
export function riverMap(steps) {
  const forward = steps.filter((step) => step.direction === "forward");
  const answers = new Map(steps.filter((step) => step.forward !== null).map((step) => [step.forward, step.index]));
  const blocks = blocksOf(steps);
  const beside = new Set(blocks.flatMap((block) => block.shortcut));
  const rows = rowsOf(steps, beside);
  const groups = groupsOf(forward, blocks).filter(({ members }) => Number.isInteger(rows.get(members[0].index)));
  const base = blocks.length ? BOW + 36 : groups.length ? 60 : 36;
  const places = placed(forward, { blocks, beside, rows, base });
  const stations = forward.map((step) => ({
    forward: step.index,
    backward: answers.get(step.index) ?? null,
    name: step.path.split(".").at(-1) || step.kind,
    kind: step.kind,
    ...places.get(step.index),
  }));
  const right = Math.max(...stations.map((station) => station.x));
  return {
    stations,
    edges: forward.flatMap((step) => edgesInto(step, { places, answers, base, beside })),
    blocks: blocks.map((block) => ({
      name: block.add.path.split(".").slice(0, -1).join("."),
      from: places.get(block.fork).x,
      to: places.get(block.add.index).x,
      base: places.get(block.fork).y,
    })),
    groups: groups.map(({ name, members }) => {
      const [first, last] = [members.at(0), members.at(-1)].map((step) => places.get(step.index));
      return { name, from: first.x, to: last.x, base: first.y };
    }),
    width: right + EDGE + 30,
    height: base + 60 + ROW * Math.max(...rows.values()),
    base,
  };
}

/** Layers outside blocks that run one after the other and share what holds them, such as a pyramid's "output2". */
function groupsOf(forward, blocks) {
  const stepsOf = ({ add, fork, branch, shortcut }) => [add.index, fork, ...branch, ...shortcut];
  const inside = new Set(blocks.flatMap(stepsOf));
  const groups = [];
  for (const step of forward) {
    const alone = inside.has(step.index) || JOINTS.includes(step.kind);
    const name = alone ? "" : step.path.split(".").slice(0, -1).join(".");
    const [last, from] = [groups.at(-1), Object.values(step.sources)[0]?.[0]];
    if (last && last.name === name && last.members.at(-1).index === from) last.members.push(step);
    else groups.push({ name, members: [step] });
  }
  return groups.filter(({ name, members }) => name && members.length > 2);
}

function placed(forward, { blocks, beside, rows, base }) {
  const places = new Map();
  let column = 1;
  for (const step of forward)
    if (!beside.has(step.index))
      places.set(step.index, { x: EDGE + GAP * column++, y: base + ROW * rows.get(step.index) });
  for (const { add, fork, branch, shortcut } of blocks) {
    const { y } = places.get(fork);
    const bank = { from: places.get(fork).x, to: places.get(add.index).x, base: y };
    for (const step of branch) places.get(step).y = bowed(places.get(step).x, bank);
    shortcut.forEach((step, i) => {
      const share = (i + 1) / (shortcut.length + 1);
      places.set(step, { x: bank.from + share * (bank.to - bank.from), y, below: true });
    });
    for (const step of branch) Object.assign(places.get(step), { bank });
  }
  return places;
}

/** The height of the branch at x: steep at its ends, flat in the middle. */
function bowed(x, { from, to, base }) {
  const share = Math.max(0, Math.min(1, (x - from) / (to - from)));
  return base - BOW * Math.pow(Math.sin(Math.PI * share), 0.62);
}

function edgesInto(step, { places, answers, base, beside }) {
  const back = answers.get(step.index) ?? null;
  return step.given
    .filter((name) => /^(x\d*|a|b)$/.test(name)) // what is wanted flows not
    .map((name) => {
      const source = step.sources[name];
      const to = places.get(step.index);
      const from = source ? places.get(source[0]) : { x: EDGE, y: base };
      const bank = (name !== "b" && to.bank) || (name === "a" && from?.bank) || null;
      const down = !bank && from.y !== to.y;
      const returned = ["Add", "Concat"].includes(step.kind) ? `d${name}` : "dx";
      const gradient = back === null ? null : { step: back, name: returned };
      return {
        from: source ? source[0] : null,
        to: step.index,
        ...(down ? slope(from, to, source?.[1] === "b") : { points: bank ? bow(from, to, bank) : line(from, to) }),
        straight: beside.has(step.index) || name === "b",
        gradient,
      };
    });
}

const line = (from, to) => [from, to].map(({ x, y }) => [x, y]);
const shares = (count) => Array.from({ length: count + 1 }, (_, i) => i / count);

function bow(from, to, bank) {
  return shares(14).map((share) => {
    const x = from.x + (to.x - from.x) * share;
    return [x, bowed(x, bank)];
  });
}

/** From one row to another: down at once, or along the row first and down at its end. `beside` is where the norm is printed. */
function slope(from, to, atOnce) {
  const wide = Math.min(GAP, to.x - from.x) - LEAD;
  const start = atOnce ? from.x + LEAD : to.x - wide;
  const bend = shares(8).map((share) => {
    const eased = (1 - Math.cos(Math.PI * share)) / 2;
    return [start + wide * share, from.y + (to.y - from.y) * eased];
  });
  const runs = to.x - from.x > GAP + 1;
  const afterwards = { x: start + wide + GAP / 2, y: to.y + 18, away: [0, 1] };
  const before = { x: from.x + GAP / 2, y: from.y - 9, away: [0, -1] };
  const right = { x: start + wide + 14, y: 0.7 * from.y + 0.3 * to.y + 4, away: [1, 0] };
  const beside = runs ? (atOnce ? afterwards : before) : right;
  return { points: [[from.x, from.y], ...bend, [to.x, to.y]], beside };
}
