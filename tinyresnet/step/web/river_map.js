// Where the stations of the network lie and which water flows between them: the shortcut straight, the branch bowed.

const GAP = 54;
const BOW = 68;
const EDGE = 34;

/**
 * The map of a trace's forward steps: {stations: [{forward, backward, name, kind, x, y}],
 * edges: [{from, to, points, straight, gradient}], blocks: [{name, from, to}], width, height, base}.
 * An edge's `gradient` is the {step, name} that comes back through it.
 */
export function riverMap(steps) {
  const forward = steps.filter((step) => step.direction === "forward");
  const answers = new Map(steps.filter((step) => step.forward !== null).map((step) => [step.forward, step.index]));
  const blocks = forward
    .filter((step) => step.kind === "Add")
    .map((add) => blockOf(steps, add))
    .filter(Boolean);
  const height = blocks.length ? BOW + 96 : 96;
  const base = height - 60;
  const beside = new Set(blocks.flatMap((block) => block.shortcut));
  const places = placed(forward, blocks, beside, base);
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
    })),
    width: right + EDGE + 30,
    height,
    base,
  };
}

/** A block: its add, its fork, and the steps of its branch and its shortcut, in order. */
function blockOf(steps, add) {
  const branch = upstream(steps, add.sources.a);
  const shortcut = upstream(steps, add.sources.b);
  const fork = branch.at(0) ?? shortcut.at(0);
  if (fork === undefined || steps[fork].kind !== "Fork" || shortcut.at(0) !== fork) return null;
  return { add, fork, branch: branch.slice(1), shortcut: shortcut.slice(1) };
}

/** The steps from the last fork to this source, both included. */
function upstream(steps, source) {
  const found = [];
  while (source) {
    found.unshift(source[0]);
    const step = steps[source[0]];
    source = step.kind === "Fork" ? null : step.sources.x;
  }
  return found;
}

function placed(forward, blocks, beside, base) {
  const places = new Map();
  let column = 1;
  for (const step of forward)
    if (!beside.has(step.index)) places.set(step.index, { x: EDGE + GAP * column++, y: base });
  for (const { add, fork, branch, shortcut } of blocks) {
    const bank = [places.get(fork).x, places.get(add.index).x];
    for (const step of branch) places.get(step).y = bowed(places.get(step).x, bank, base);
    shortcut.forEach((step, i) => {
      const share = (i + 1) / (shortcut.length + 1);
      places.set(step, { x: bank[0] + share * (bank[1] - bank[0]), y: base, below: true });
    });
    for (const step of branch) Object.assign(places.get(step), { bank });
  }
  return places;
}

/** The height of the branch at x: steep at its ends, flat in the middle. */
function bowed(x, [from, to], base) {
  const share = Math.max(0, Math.min(1, (x - from) / (to - from)));
  return base - BOW * Math.pow(Math.sin(Math.PI * share), 0.62);
}

function edgesInto(step, { places, answers, base, beside }) {
  const back = answers.get(step.index) ?? null;
  return step.given
    .filter((name) => name !== "labels")
    .map((name) => {
      const source = step.sources[name];
      const to = places.get(step.index);
      const from = source ? places.get(source[0]) : { x: EDGE, y: base };
      const bank = (name !== "b" && to.bank) || (name === "a" && from?.bank) || null;
      const returned = ["Add", "Concat"].includes(step.kind) ? `d${name}` : "dx";
      const gradient = back === null ? null : { step: back, name: returned };
      return {
        from: source ? source[0] : null,
        to: step.index,
        points: points(from, to, bank, base),
        straight: beside.has(step.index) || name === "b",
        gradient,
      };
    });
}

function points(from, to, bank, base) {
  const count = bank ? 14 : 1;
  return Array.from({ length: count + 1 }, (_, i) => {
    const x = from.x + ((to.x - from.x) * i) / count;
    return [x, bank ? bowed(x, bank, base) : from.y + ((to.y - from.y) * i) / count];
  });
}
