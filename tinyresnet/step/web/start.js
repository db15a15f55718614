// Where the module begins: a page starts itself, a notebook calls `render`.

import { mount } from "./app.js";

/** Mount the page: its data lie in #payload; `server` there says where tensors and nudges come from. */
export function startPage() {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const { server } = payload;
  const language = document.documentElement.dataset.language;
  const asked = server ? { fetcher: tensorsFrom(server), nudgeOnServer: nudgesFrom(server) } : {};
  const element = document.getElementById("stepper");
  element.stepper = mount(element, payload, { language, keys: document, ...asked });
}

const tensorsFrom = (server) => async (number) => (await answered(`${server}/tensor/${number}`)).arrayBuffer();

const nudgesFrom =
  (server) =>
  async ({ name, at, by }) => {
    const body = JSON.stringify({ param: name, at, by });
    return (await (await answered(`${server}/nudge`, { method: "POST", body })).json()).loss;
  };

async function answered(url, request) {
  const response = await fetch(url, request);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response;
}

/** A notebook's widget (anywidget): `model` has the payload, and gets the step and the cell. */
export function render({ model, el }) {
  const payload = model.get("payload");
  const asked = { step: model.get("step"), cell: model.get("cell") }; // before `mount` tells the model where it starts
  const app = mount(el, payload, { language: model.get("language") ?? "en", onChange: told });

  function told({ step, cell }) {
    model.set("step", step);
    model.set("cell", cell);
    model.save_changes();
  }

  const go = () => model.get("step") !== app.state.step && app.go(model.get("step"));
  const select = () => {
    const cell = model.get("cell");
    if (cell?.at && JSON.stringify(cell) !== JSON.stringify(app.state.cell)) app.select(cell);
  };
  model.on("change:step", go);
  model.on("change:cell", select);
  if (asked.cell?.at) app.select(asked.cell);
  else if (asked.step) app.go(asked.step);
  return () => {
    model.off("change:step", go);
    model.off("change:cell", select);
    app.remove();
  };
}
