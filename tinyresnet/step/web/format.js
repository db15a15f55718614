// Numbers as a person writes them: hand numbers exactly, others to a few digits, a true minus sign.

const minus = (text) => text.replace(/-/g, "−");

/** 0.75, −1.5, 0.4329, 1.2e−5: numbers with few digits, such as hand numbers, exactly; others to `digits`. */
export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const exact = String(size);
  if (exact.length <= digits + 2 && !exact.includes("e")) return minus(String(value === 0 ? 0 : value));
  if (size >= 1e-4 && size < 1e5) return minus(plain(value.toPrecision(digits)));
  return minus(value.toExponential(Math.max(1, digits - 2)).replace("e+", "e"));
}

const plain = (text) => (text.includes("e") ? String(Number(text)) : text);

/** A number for a cell of the grid: three digits, two if it is small. */
export function short(value) {
  const size = Math.abs(value);
  if (String(size).length <= 6 && size < 1e5 && size >= 1e-4) return number(value);
  if (size > 0 && size < 1e-3) return minus(value.toExponential(1));
  return number(value, size < 0.01 ? 2 : 3);
}

/** A factor inside a product: negative numbers in brackets. */
export const bracketed = (value) => (value < 0 || Object.is(value, -0) ? `(${number(value)})` : number(value));

/** The Euclidean norm of an array. */
export function norm(data) {
  let total = 0;
  for (const value of data) total += value * value;
  return Math.sqrt(total);
}
