// How a tensor's numbers lie on the screen: planes of at most `limit` cells, the rest behind choosers and a crop.

import { unflat } from "./explain.js";

const WIDEST = 8;

/**
 * A sheet of a tensor: {planes: [{picture, channel, rows, columns, top, left, at(row, column)}], choosers, full, crop}.
 * `view` says what is looked at: {picture, channel, top, left}.
 */
export function sheet(shape, view, limit = 64) {
  const { pictures, channels, rows, columns, at } = axes(shape);
  const height = Math.min(rows, Math.max(1, Math.floor(limit / WIDEST)));
  const width = Math.min(columns, WIDEST);
  const top = between(0, view.top ?? 0, rows - height);
  const left = between(0, view.left ?? 0, columns - width);
  const fit = Math.max(1, Math.floor(limit / (height * width)));
  const all = pictures * channels <= fit;
  const wholePictures = all || pictures <= fit;
  const wholeChannels = all || (!wholePictures && channels <= fit);
  const planes = [];
  for (const n of chosen(pictures, wholePictures, view.picture))
    for (const c of chosen(channels, wholeChannels, view.channel))
      planes.push({ picture: n, channel: c, rows: height, columns: width, top, left, at: (r, k) => at(n, c, r, k) });
  return {
    planes,
    choosers: { picture: wholePictures ? 0 : pictures, channel: wholeChannels ? 0 : channels },
    counts: { picture: pictures, channel: channels },
    full: { rows, columns },
    cropped: height < rows || width < columns,
    crop: { top, left, rows: height, columns: width },
  };
}

/** A view from which the cell can be seen, as near as possible to `view`. */
export function viewOf(shape, at, view, limit = 64) {
  const { rows, columns, place } = axes(shape);
  const { picture, channel, row, column } = place(at);
  const { crop } = sheet(shape, view, limit);
  return {
    picture,
    channel,
    top: seen(crop.top, crop.rows, row, rows),
    left: seen(crop.left, crop.columns, column, columns),
  };
}

const chosen = (count, whole, one = 0) =>
  whole ? Array.from({ length: count }, (_, i) => i) : [between(0, one, count - 1)];
const between = (low, value, high) => Math.max(low, Math.min(high, value));

/** The crop's start: where it is, if it shows the place; else with the place in its middle. */
function seen(start, size, place, full) {
  if (start <= place && place < start + size) return start;
  return between(0, place - Math.floor(size / 2), full - size);
}

/** Which axes are pictures, channels, rows and columns. A vector is one row, wrapped if it is long. */
function axes(shape) {
  const rank = shape.length;
  if (rank < 2) {
    const length = shape[0] ?? 1;
    const columns = Math.min(length, WIDEST);
    const inside = (i) => (i < length ? [i] : null);
    return {
      pictures: 1,
      channels: 1,
      rows: Math.ceil(length / columns),
      columns,
      at: (n, c, r, k) => (rank ? inside(r * columns + k) : []),
      place: ([i = 0]) => ({ picture: 0, channel: 0, row: Math.floor(i / columns), column: i % columns }),
    };
  }
  const [rows, columns] = shape.slice(-2);
  const between = shape.slice(1, -2);
  return {
    pictures: rank > 2 ? shape[0] : 1,
    channels: between.reduce((all, size) => all * size, 1),
    rows,
    columns,
    at: (n, c, r, k) => (rank > 2 ? [n, ...unflat(c, between), r, k] : [r, k]),
    place: (at) => ({
      picture: rank > 2 ? at[0] : 0,
      channel: between.reduce((all, size, i) => all * size + at[i + 1], 0),
      row: at[rank - 2],
      column: at[rank - 1],
    }),
  };
}
