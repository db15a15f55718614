// A sum as one writes it: every factor is a button that lights its cell and leads to where it was made.

import { waysOf } from "./blocks.js";
import { h } from "./dom.js";
import { bracketed, number } from "./format.js";

/** Sums of more terms are shortened. */
export const LONG = 18;
const MOST = 2000; // terms that are ever written out
const AROUND = {
  sum: ["", ""],
  exp: ["exp(", ")"],
  log: ["log(", ")"],
  "1/": ["1 / (", ")"],
  "1/sqrt": ["1 / √(", ")"],
  sigmoid: ["1 / (1 + exp(−(", ")))"],
  "log sigmoid": ["−log(1 + exp(−(", ")))"],
  abs: ["|", "|"],
  "> 0": ["", " > 0"],
};
const WAYS = ["branch", "shortcut"];
const NAMED_PARTS = ["direct", "mean", "variance"];

/** An explanation's sum; `all`: unshortened, `partial`: with the sum after each term, `blank`: without the result. */
export function sumLine(walk, explanation, { all, partial, blank }) {
  const { terms } = explanation;
  const answer = blank ? "?" : number(explanation.value);
  const result = h("span", { class: blank ? "result unknown" : "result", text: `= ${answer}` });
  if (!terms.length) return [h("span", { class: "quiet", text: walk.say("no_terms") }), result];
  if (explanation.function === "place of the largest") return [...listed(walk, terms), result];
  const shared = sharedFactor(terms);
  const [before, after] = shared ? [`${shared.symbol} × (`, ")"] : AROUND[explanation.function];
  const shown = all ? terms.slice(0, MOST) : telling(terms);
  const sums = partial && !blank ? new Map(explanation.partialSums.map((sum, i) => [terms[i], sum])) : new Map();
  const parts = shown.map((term, i) =>
    termPart(walk, term, { shared, first: i === 0, alone: terms.length === 1, sums, step: explanation.cell.step }),
  );
  return [...symbols(before), ...parts, ...others(walk, terms, shown), ...symbols(after), result];
}

const symbols = (text) => (text ? [h("span", { class: "symbols", text })] : []);

/** All terms, if they are few; of many the first that are not 0. */
function telling(terms) {
  if (terms.length <= LONG) return terms;
  const found = terms.filter((term) => term.value !== 0).slice(0, LONG);
  return found.length ? found : terms.slice(0, LONG);
}

/** The constant that all terms share, such as 1/32, if there is one. */
function sharedFactor(terms) {
  if (terms.length < 3) return null;
  const found = terms[0].factors.find((factor) => !factor.cell && factor.constant.startsWith("1/"));
  const everywhere = found && terms.every((term) => term.factors.some((factor) => factor.constant === found.constant));
  return everywhere ? found : null;
}

/** What a shortened sum leaves out. */
function others(walk, terms, shown) {
  const count = terms.length - shown.length;
  if (!count) return [];
  const told = new Set(shown);
  const word = terms.every((term) => term.value === 0 || told.has(term)) ? "more_zero" : "more";
  return [h("span", { class: "quiet", text: ` ${walk.say(word, { count })}` })];
}

/** Of max pooling: the numbers among which the largest is looked for. */
function listed(walk, terms) {
  const list = terms.flatMap((term, i) => [...(i ? symbols(", ") : []), ...product(walk, term, term.factors, true)]);
  return [h("span", { class: "quiet", text: `${walk.say("largest_of")} ` }), ...list];
}

/** What a part of the sum is called. */
function partName(walk, part, step) {
  if (WAYS.includes(part)) return waysOf(walk, walk.original.steps[step])[WAYS.indexOf(part)];
  return NAMED_PARTS.includes(part) ? walk.say(part) : part;
}

function termPart(walk, term, { shared, first, alone, sums, step }) {
  const own = term.factors.filter((factor) => !shared || factor.constant !== shared.constant);
  const signs = own.filter(isMinus).length;
  const joiner = signs % 2 ? "− " : first ? "" : "+ ";
  const written = product(
    walk,
    term,
    own.filter((factor) => !isMinus(factor)),
    first && !signs,
  );
  const name = partName(walk, term.part, step);
  return h(
    "span",
    {
      class: ["term", term.value === 0 && "zero"].filter(Boolean).join(" "),
      onpointerenter: () => light(walk, term),
      onpointerleave: () => walk.light([]),
    },
    joiner ? h("span", { class: "joiner", text: joiner }) : null,
    h(
      "span",
      { class: "product" },
      h("span", {}, written),
      name && !alone ? h("span", { class: "part-name", text: name }) : null,
      sums.has(term) && !first ? h("span", { class: "partial", text: number(sums.get(term)) }) : null,
    ),
  );
}

const isMinus = (factor) => !factor.cell && factor.value === -1;

/** The factors with × between them; only at a line's beginning a negative number needs no brackets. */
function product(walk, term, factors, plainly) {
  return factors.flatMap((factor, k) => [
    k ? h("span", { class: "times", text: " × " }) : null,
    factor.cell
      ? factorButton(walk, factor, term, plainly && k === 0)
      : h("span", { class: "constant", text: factor.symbol }),
  ]);
}

function factorButton(walk, factor, term, plainly) {
  const source = walk.explainer.source(factor.cell) ?? factor.cell;
  const where = walk.say("travel", { symbol: factor.symbol, number: source.step + 1 });
  return h("button", {
    type: "button",
    class: ["factor", factor.value > 0 && "plus", factor.value < 0 && "minus"].filter(Boolean).join(" "),
    title: `${factor.symbol}: ${where}`,
    "aria-label": `${factor.symbol} ${number(factor.value)}: ${where}`,
    onclick: () => walk.follow(factor.cell),
    onfocus: () => light(walk, term),
    onblur: () => walk.light([]),
    text: plainly ? number(factor.value) : bracketed(factor.value),
  });
}

function light(walk, term) {
  walk.light(term.factors.filter((factor) => factor.cell).map((factor) => factor.cell));
}
