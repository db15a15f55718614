// What the axes of a tensor are called: pictures, channels, classes.

/** The letter of a picture: A, B, C...; beyond Z its number. */
export const letter = (n) => (n < 26 ? String.fromCharCode(65 + n) : String(n + 1));

/** Whether a tensor is a parameter or its gradient: then its first axis counts outputs, not pictures. */
export const isParam = (step, name) => step.params.some((param) => name === param || name === `d${param}`);

/** Names for the rows and the columns of a matrix: pictures and classes; null where there are none to give. */
export function matrixNames(walk, step, name) {
  const { shape } = walk.trace.tensor(step.index, name);
  const shares = step.kind === "UpsampleBilinear"; // its matrices have no pictures
  if (shape.length !== 2 || shares) return { rows: null, columns: null };
  const { classes } = walk.payload;
  const named = (count) => (classes.length && count === classes.length ? classes : null);
  const ofClasses = step.kind === "CrossEntropy" || (step.kind === "Linear" && ["y", "dy"].includes(name));
  if (isParam(step, name)) return { rows: named(shape[0]), columns: null };
  const pictures = Array.from({ length: shape[0] }, (_, n) => walk.say("picture", { letter: letter(n) }));
  return { rows: shape[0] > 1 ? pictures : null, columns: ofClasses ? named(shape[1]) : null };
}

/** What the channels of a tensor are called, if they are classes: those of a loss per pixel; else null. */
export function channelNames(walk, { kind }, shape) {
  const { classes } = walk.payload;
  return kind === "PixelCrossEntropy" && shape.length === 4 && shape[1] === classes.length ? classes : null;
}

/** Where a cell is, in words: "picture A, row 2, column 3". */
export function placeName(walk, { step: index, name, at }) {
  const step = walk.trace.steps[index];
  const { shape } = walk.trace.tensor(index, name);
  const rank = at.length;
  if (rank === 1) return shape[0] > 1 ? vectorPlace(walk, step, at[0]) : "";
  if (rank === 2) return matrixPlace(walk, step, name, at);
  const own = isParam(step, name);
  const names = [];
  if (own) names.push(walk.say("out", { number: at[0] + 1 }), walk.say("in", { number: at[1] + 1 }));
  if (!own && shape[0] > 1) names.push(walk.say("picture", { letter: letter(at[0]) }));
  const channels = channelNames(walk, step, shape);
  if (!own && rank > 3 && shape[1] > 1) names.push(channels?.[at[1]] ?? walk.say("channel", { number: at[1] + 1 }));
  if (rank > 2) names.push(walk.say("place", { row: at[rank - 2] + 1, column: at[rank - 1] + 1 }));
  return names.join(walk.say("join"));
}

function vectorPlace(walk, { kind }, i) {
  if (kind === "CrossEntropy") return walk.say("picture", { letter: letter(i) });
  const ofClasses = ["Linear", "PixelCrossEntropy"].includes(kind);
  if (ofClasses) return walk.payload.classes[i] ?? walk.say("number", { number: i + 1 });
  return walk.say("channel", { number: i + 1 });
}

function matrixPlace(walk, step, name, [row, column]) {
  const { rows, columns } = matrixNames(walk, step, name);
  const place = walk.say("place", { row: row + 1, column: column + 1 });
  const names = [rows?.[row], columns?.[column]].filter(Boolean);
  return names.length ? `${names.join(walk.say("join"))} (${place})` : place;
}
