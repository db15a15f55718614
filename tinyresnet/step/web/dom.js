// Making elements, and nothing else.

/** An HTML element: properties that begin with "on" are listeners, `text` is its text, others are attributes. */
export function h(tag, props = {}, ...children) {
  return dress(document.createElement(tag), props, children);
}

/** An SVG element. */
export function svg(tag, props = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function dress(element, props, children) {
  for (const [name, value] of Object.entries(props)) put(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function put(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "text") element.textContent = value;
  else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
  else attribute(element, name, value);
}

/** Set an attribute; null and false take it away. */
export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
}

/** Whether the focus is in this element. (In a notebook it may be in a shadow tree.) */
export const hasFocus = (element) => element.contains(element.getRootNode().activeElement);

/** An id that no other stepper on the page has. */
export const unique = (name) => `${name}-${Math.random().toString(36).slice(2, 8)}`;

/** Whether the reader asked for less motion. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Move the focus along a row of elements with the arrow keys, so that the row is one tab stop. */
export function roving(items, { chosen = 0, keys = ["ArrowLeft", "ArrowRight"], moved = () => {} } = {}) {
  items.forEach((item, i) => {
    item.tabIndex = i === chosen ? 0 : -1;
    item.addEventListener("keydown", (event) => {
      const by = keys.indexOf(event.key);
      const to = event.key === "Home" ? 0 : event.key === "End" ? items.length - 1 : by < 0 ? null : i + 2 * by - 1;
      if (to === null) return;
      event.preventDefault();
      event.stopPropagation();
      const next = items[Math.max(0, Math.min(items.length - 1, to))];
      items.forEach((other) => (other.tabIndex = other === next ? 0 : -1));
      next.focus();
      moved(items.indexOf(next));
    });
  });
}
