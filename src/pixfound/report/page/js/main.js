// The page as a whole: its head, its views, its keys.
"use strict";

/** @type {Record<string, () => {element: HTMLElement, update: () => any}>} */
const VIEWS = { overview: overviewView, examples: examplesView, example: exampleView };
let viewName = "";
/** @type {any} */
let view = null;

/** Begin with the names of the runs. @param {string[]} titles */
async function start(titles) {
  try {
    const found = await Promise.all(titles.map((_, number) => load(`${number}/overview`)));
    pixfound.runs = found.map((run, number) => indexed(run, number));
  } catch (error) {
    mainElement().replaceChildren(el("p", { role: "alert" }, String(error)));
    return;
  }
  readAddress();
  const [only, ...others] = currentRun().examples;
  if (!location.hash && only && !others.length)
    history.replaceState(null, "", addressOf({ view: "example", example: only.id }));
  show();
}

/** A run with its examples by id and by pair, and their texts to search. @param {any} run @param {number} number */
function indexed(run, number) {
  const byId = new Map();
  const byPair = new Map();
  run.examples.forEach((/** @type {any} */ example, /** @type {number} */ index) => {
    example.index = index;
    example.query = String(new URLSearchParams({ example: example.id }));
    example.search = [example.id, example.question, example.expression, example.truth, ...example.answers]
      .join("\n")
      .toLowerCase();
    byId.set(example.id, example);
    if (example.pair !== null) byPair.set(example.pair, [...(byPair.get(example.pair) ?? []), example]);
  });
  return { ...run, number, byId, byPair };
}

/** @returns {HTMLElement} */
function mainElement() {
  return /** @type {HTMLElement} */ (document.getElementById("main"));
}

/** Show what the address says. */
function show() {
  readAddress();
  const { kinds } = currentRun();
  if (!kinds.includes(state.kind)) state.kind = kinds[0]; // a benchmark without regions, or without questions
  const focused = focusable().indexOf(/** @type {HTMLElement} */ (document.activeElement));
  document.documentElement.dataset.theme = state.theme;
  document.title = `${currentRun().title}${state.view === "example" ? `, ${state.example}` : ""} – pixfound`;
  /** @type {HTMLElement} */ (document.getElementById("head")).replaceChildren(...head());
  const other = viewName !== state.view || !view;
  if (other) {
    if (view) mainElement().focus({ preventScroll: true }); // the next Tab goes into the new view
    viewName = state.view in VIEWS ? state.view : "overview";
    view = VIEWS[viewName]();
    mainElement().replaceChildren(view.element);
    window.scrollTo(0, 0);
  }
  Promise.resolve(view.update())
    .catch((error) => mainElement().replaceChildren(el("p", { role: "alert" }, String(error))))
    .then(() => {
      if (focused >= 0 && !other && document.activeElement === document.body)
        focusable()[focused]?.focus({ preventScroll: true });
    });
}

/** All that can have the focus, in order: what is made anew gets it back by its place. @returns {HTMLElement[]} */
function focusable() {
  return [...document.querySelectorAll("a, button, input, select")].map((one) => /** @type {HTMLElement} */ (one));
}

function head() {
  const run = currentRun();
  const choose = (
    /** @type {string} */ label,
    /** @type {string} */ name,
    /** @type {string[][]} */ options,
    /** @type {string} */ chosen,
  ) => {
    const set = (/** @type {any} */ e) => change({ [name]: e.target.value, at: "" });
    return choice(label, { id: `choose-${name}`, onchange: set }, options, chosen);
  };
  const link = (/** @type {string} */ name, /** @type {string} */ text) =>
    el("a", { href: addressOf({ view: name, at: "" }), "aria-current": state.view === name ? "page" : null }, text);
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return [
    el("h1", {}, said(run.title)),
    el("nav", { "aria-label": "Views" }, link("overview", "Overview"), link("examples", "Examples")),
    pixfound.runs.length > 1 &&
      choose(
        "run",
        "run",
        pixfound.runs.map((one) => [String(one.number), one.title]),
        String(run.number),
      ),
    choose(
      "row",
      "row",
      run.rows.map((/** @type {string} */ row) => [row, row]),
      run.rows[currentRow(run)],
    ),
    choose(
      "prompt",
      "kind",
      run.kinds
        .filter((/** @type {string} */ kind) => state.view === "example" || MASK_KINDS.includes(kind))
        .map((/** @type {string} */ kind) => [kind, kind]),
      state.kind,
    ),
    el(
      "button",
      { type: "button", class: "small", onclick: () => change({ theme: dark ? "light" : "dark" }, true) },
      dark ? "light" : "dark",
    ),
    el("button", { type: "button", class: "small", onclick: help, "aria-haspopup": "dialog" }, "keys"),
  ].filter(Boolean);
}

const KEYS = [
  ["← →", "previous, next example"],
  ["1 2 3", "open, choice, ground prompt"],
  ["r  R", "next, previous row"],
  ["b", "the other of the pair beside it"],
  ["Esc", "back to the examples"],
  ["?", "these keys"],
];

function help() {
  document.querySelector("dialog")?.remove();
  const dialog = el(
    "dialog",
    { "aria-label": "Keys" },
    el("h2", {}, "Keys"),
    el(
      "dl",
      {},
      [...KEYS, ...LAYERS.map(([, label, key]) => [key, `layer: ${label}`])].map(([key, text]) => [
        el("dt", {}, el("kbd", {}, key)),
        el("dd", {}, text),
      ]),
    ),
    el("form", { method: "dialog" }, el("button", {}, "Close")),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing =
    target.matches("select, textarea, input:not([type=checkbox])") || document.querySelector("dialog[open]");
  if (event.ctrlKey || event.metaKey || event.altKey || typing || !view) return;
  if (event.key === "?") help();
  else if (state.view !== "example") return;
  else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const [before, after] = neighbours();
    const to = event.key === "ArrowLeft" ? before : after;
    if (to) change({ example: to.id, at: "" });
  } else if (["1", "2", "3"].includes(event.key)) change({ kind: KINDS[Number(event.key) - 1], at: "" });
  else if (event.key.toLowerCase() === "r") {
    const { rows } = currentRun();
    const step = event.key === "r" ? 1 : rows.length - 1;
    change({ row: rows[(currentRow(currentRun()) + step) % rows.length] }, true);
  } else if (event.key === "b") change({ beside: state.beside === "pair" ? "" : "pair" });
  else if (event.key === "Escape") change({ view: "examples", at: "" });
  else {
    const layer = LAYERS.find(([, , key]) => key === event.key);
    if (!layer) return;
    toggleLayer(layer[0]);
  }
  event.preventDefault();
}

/** Words on what the pointer is on. @param {Event} event */
function onPoint(event) {
  const on = /** @type {Element} */ (event.target).closest?.("[data-tip]");
  document.getElementById("tip")?.remove();
  if (!on) return;
  const tip = el("div", { id: "tip", "aria-hidden": "true" });
  document.body.append(tip);
  const box = on.getBoundingClientRect();
  tip.textContent = on.getAttribute("data-tip");
  tip.style.left = `${Math.max(4, Math.min(box.x, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${box.bottom + 6 + tip.offsetHeight > innerHeight ? box.y - tip.offsetHeight - 6 : box.bottom + 6}px`;
}

addEventListener("popstate", show);
addEventListener("hashchange", () => addressOf({}) !== location.hash && show());
addEventListener("keydown", onKey);
addEventListener("pointerover", onPoint);
addEventListener("focusin", onPoint);
