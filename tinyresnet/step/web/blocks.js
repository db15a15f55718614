// Residual blocks in a trace: which add meets which fork, and what lies between them.

/** The blocks among a trace's forward steps: {add, fork, branch, shortcut}, the last two the steps of the two ways, in order. */
export function blocksOf(steps) {
  const adds = steps.filter((step) => step.kind === "Add" && step.direction === "forward");
  return adds.map((add) => blockOf(steps, add)).filter(Boolean);
}

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

/** Whether a step is the fork or the add of a block. */
export function inBlock(steps, step) {
  const forward = step.forward ?? step.index;
  return blocksOf(steps).some(({ add, fork }) => add.index === forward || fork === forward);
}

/** The names of a fork's or an add's two ways: branch and shortcut; outside blocks the layers that they lead to or come from. */
export function waysOf(walk, step) {
  const steps = walk.original.steps;
  const forward = steps[step.forward ?? step.index];
  if (inBlock(steps, step)) return [walk.say("branch"), walk.say("shortcut")];
  return ["a", "b"].map((arm) => {
    const isArm = ([from, name]) => from === forward.index && name === arm;
    const reads = ({ sources }) => Object.values(sources).some(isArm);
    const other = forward.kind === "Add" ? steps[forward.sources[arm]?.[0]] : steps.find(reads);
    return other ? beyond(forward.path, other.path) : arm;
  });
}

/** A layer's path without what it shares with another's: "layer3.0.fork" beside "backbone.fork2". */
function beyond(here, path) {
  const [mine, its] = [here.split("."), path.split(".")];
  while (its.length > 1 && its[0] === mine[0]) [mine.shift(), its.shift()];
  return its.join(".");
}
