// GIoU loss, cell by cell: from the corners over four areas to the loss, and back by the three areas that an edge moves.

import { constant, MINUS, part, range, rule, term } from "./terms.js";

const ONE = constant("1", 1);
const HALF = constant("½", 0.5);
const perCount = (t) => constant("1/count", 1 / t.settings.counted);

/** The larger or the smaller of the edges of box and target here. */
const edgeOf = (inner) => (t, at) => {
  const [box, target] = [t.of("x", ...at), t.of("target", ...at)];
  const largest = at[1] < 2 === inner;
  const winner = box.value > target.value === largest ? box : target;
  return rule(largest ? "the larger of the two edges" : "the smaller of the two edges", [term(winner)]);
};

/** [near, far] edge of a side (m, axis). */
const ends = (t, corners, [m, axis]) => [t.of(corners, m, axis), t.of(corners, m, axis + 2)];

const sideOf = (corners) => (t, at) => {
  const [near, far] = ends(t, corners, at);
  return rule("far edge − near edge", [term(far), term(MINUS, near)]);
};

const areaOf = (sides) => (t, [m]) => rule("width × height", [term(t.of(sides, m, 0), t.of(sides, m, 1))]);

const inverseOf = (name) => (t, at) => {
  const area = t.of(name, ...at);
  if (area.value === 0) return rule("0, for there is no area", []);
  return rule(`1 / ${name}`, [term(area)], { function: "1/" });
};

const weightOf = (t, m) => (t.has("weight") ? [t.of("weight", m)] : []);

const GIOU_PARTS = {
  inside: (t, at) => {
    const [box, target] = [t.of("x", ...at), t.of("target", ...at)];
    if (box.value === target.value) return rule("½: the edges coincide", [term(HALF)]);
    const [inner, outer] = at[1] < 2 ? [box, target] : [target, box];
    const terms = [term(inner), term(MINUS, outer)];
    return rule("1 if the edge lies inside the target's, else 0", terms, { function: "> 0" });
  },
  inner_edges: edgeOf(true),
  outer_edges: edgeOf(false),
  size: sideOf("x"),
  target_size: sideOf("target"),
  outer: sideOf("outer_edges"),
  meets: (t, at) => {
    const [near, far] = ends(t, "inner_edges", at);
    if (near.value === far.value) return rule("½: the boxes touch", [term(HALF)]);
    const terms = [term(far), term(MINUS, near)];
    return rule("1 if the boxes overlap along this axis, else 0", terms, { function: "> 0" });
  },
  overlap: (t, at) => {
    const [near, far] = ends(t, "inner_edges", at);
    return far.value <= near.value ? rule("no overlap", []) : sideOf("inner_edges")(t, at);
  },
  intersection: areaOf("overlap"),
  enclosing: areaOf("outer"),
  area: areaOf("size"),
  target_area: areaOf("target_size"),
  union: (t, at) => {
    const terms = [term(t.of("area", ...at)), term(t.of("target_area", ...at))];
    return rule("area + target_area − intersection", [...terms, term(MINUS, t.of("intersection", ...at))]);
  },
  inverse_union: inverseOf("union"),
  inverse_enclosing: inverseOf("enclosing"),
  iou: (t, at) => rule("intersection / union", [term(t.of("intersection", ...at), t.of("inverse_union", ...at))]),
  giou: (t, at) => {
    const inverse = t.of("inverse_enclosing", ...at);
    const penalty = [term(MINUS, t.of("enclosing", ...at), inverse), term(t.of("union", ...at), inverse)];
    return rule("iou − (enclosing − union) / enclosing", [term(t.of("iou", ...at)), ...penalty]);
  },
  losses: (t, [m]) => {
    const weight = weightOf(t, m);
    const terms = [term(ONE, ...weight), term(MINUS, ...weight, t.of("giou", m))];
    return rule(weight.length ? "weight × (1 − giou)" : "1 − giou", terms);
  },
  y: (t) => {
    const terms = range(t.shape("x")[0]).map((m) => term(t.of("losses", m), perCount(t)));
    return rule("the sum of the losses / count", terms);
  },
};

const GIOU_BACK = {
  dgiou: (t, [m]) => {
    const text = t.has("weight") ? "− dy × weight / count" : "− dy / count";
    return rule(text, [term(MINUS, t.of("dy"), ...weightOf(t, m), perCount(t))]);
  },
  dunion: (t, at) => {
    const [dgiou, union] = [t.of("dgiou", ...at), t.of("inverse_union", ...at)];
    const ratio = term(MINUS, dgiou, t.of("intersection", ...at), union, union);
    const terms = [term(dgiou, t.of("inverse_enclosing", ...at)), ratio];
    return rule("dgiou × (1 / enclosing − intersection / union²)", terms);
  },
  dintersection: (t, at) => {
    const terms = [term(t.of("dgiou", ...at), t.of("inverse_union", ...at)), term(MINUS, t.of("dunion", ...at))];
    return rule("dgiou / union − dunion", terms);
  },
  denclosing: (t, at) => {
    const enclosing = t.of("inverse_enclosing", ...at);
    const terms = [term(MINUS, t.of("dgiou", ...at), t.of("union", ...at), enclosing, enclosing)];
    return rule("− dgiou × union / enclosing²", terms);
  },
  /** An area grows with one side by the other; near edges shorten their side. */
  dx: (t, [m, edge]) => {
    const axis = edge % 2;
    const [sign, inside, meets] = [edge < 2 ? [MINUS] : [], t.of("inside", m, edge), t.of("meets", m, axis)];
    const other = (sides) => t.of(sides, m, 1 - axis);
    const terms = [part("own area", ...sign, t.of("dunion", m), other("size"))];
    if (inside.value && meets.value) {
      terms.push(part("intersection", ...sign, inside, meets, t.of("dintersection", m), other("overlap")));
    }
    if (inside.value < 1) {
      const outside = constant("1 − inside", 1 - inside.value);
      terms.push(part("enclosing", ...sign, outside, t.of("denclosing", m), other("outer")));
    }
    return rule("± the other side × each area's gradient", terms);
  },
};

/** How it is explained, both ways. */
export const GIOU = {
  GIoU: {
    forward: (t, name, at) => GIOU_PARTS[name](t, at),
    backward: (t, name, at) => GIOU_BACK[name](t, at),
  },
};
