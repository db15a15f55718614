// In which row each station lies: the first way of a fork goes on in the fork's row, the second one begins a row below.

const MERGES = ["Add", "Concat"];
const SHORT = 2; // steps
/** Where ways part and meet. */
export const JOINTS = [...MERGES, "Fork"];

/**
 * The row of every forward step by its index, 0 on top. `beside` are the steps of blocks' shortcuts, which stay in the block's row. A way
 * from a fork into another row, as down a pyramid, lies between the two: its rows are fractions; a long one runs just below the fork's.
 */
export function rowsOf(steps, beside) {
  const forward = steps.filter((step) => step.direction === "forward");
  const rows = new Map();
  const bridges = [];
  let count = 0;
  let last = 0;
  for (const step of forward) {
    const source = mainSource(step);
    const bridge = leaves(steps, source) && !beside.has(step.index) ? bridgeFrom(forward, step) : null;
    if (bridge?.to) bridges.push(bridge);
    if (bridge && !bridge.to) rows.set(step.index, ++count);
    else rows.set(step.index, (source && rows.get(source[0])) ?? last);
    last = rows.get(step.index);
  }
  for (const { way, to } of bridges) {
    const [above, below] = [rows.get(mainSource(way[0])[0]), rows.get(to.index)];
    const lower = (i) => (way.length > SHORT ? 0.5 : ((below - above) * (i + 1)) / (way.length + 1));
    way.forEach((step, i) => rows.set(step.index, above + lower(i)));
  }
  return rows;
}

/** Where a step's water comes from: of an add or a concatenation its first part. */
const mainSource = ({ sources }) => sources.x ?? sources.a ?? sources.x0;

const leaves = (steps, source) => Boolean(source) && steps[source[0]].kind === "Fork" && source[1] === "b";

/** The steps from this one to the next joint: {way, to}; `to` is an add or concatenation that the way joins from aside, else null. */
function bridgeFrom(forward, step) {
  const way = [];
  for (let now = step; now && !JOINTS.includes(now.kind); ) {
    const { index } = now;
    way.push(now);
    now = forward.find(({ sources }) => Object.values(sources).some(([from]) => from === index));
    if (now && MERGES.includes(now.kind)) return { way, to: mainSource(now)?.[0] === index ? null : now };
  }
  return { way, to: null };
}
