// Which examples are shown, and in what order.
"use strict";

/** @type {Record<string, string>} */
const SORTS = {
  benchmark: "order of the benchmark",
  iou: "lowest IoU first",
  iou_down: "highest IoU first",
  regret: "most regret first",
  difference: "largest difference of two rows first",
};

/**
 * What the current row is compared with: a row of the same run, or a row of another run. Null for nothing.
 * @returns {{run: any, row: number, name: string} | null}
 */
function comparison() {
  const run = currentRun();
  const [what, ...rest] = state.than.split(":");
  const name = rest.join(":");
  if (what === "row" && run.rows.includes(name)) return { run, row: run.rows.indexOf(name), name };
  const other = what === "run" ? pixfound.runs[Number(name)] : undefined;
  if (!other) return null;
  const same = other.rows.indexOf(run.rows[currentRow(run)]);
  return { run: other, row: same < 0 ? other.main : same, name: other.title };
}

/** Indices of the examples that the state asks for, in its order. */
function matching() {
  const run = currentRun();
  const row = currentRow(run);
  const kind = maskKind();
  const than = comparison();
  const quadrants = state.quadrant.split(" ").filter(Boolean);
  const tags = chosenTags().map(([name, value]) => [run.tags.indexOf(name), value]);
  const text = state.text.toLowerCase();
  const [from, to] = [Number(state.from), Number(state.to)];
  const iou = (/** @type {any} */ e) => e.iou[kind][row];
  const other = (/** @type {any} */ e) => than?.run.byId.get(e.id);
  const difference = (/** @type {any} */ e) => {
    const [one, two] = [iou(e), other(e)?.iou[kind][than?.row ?? 0] ?? null];
    return one === null || two === null ? -1 : Math.abs(one - two);
  };
  const found = run.examples.filter(
    (/** @type {any} */ e) =>
      (!quadrants.length || quadrants.includes(e.quadrants[row])) &&
      tags.every(([tag, value]) => e.tags[tag] === value) &&
      (!state.present || e.absent === (state.present === "absent")) &&
      ((from <= 0 && to >= 1) || (iou(e) !== null && iou(e) >= from && (iou(e) < to || (to >= 1 && iou(e) <= 1)))) &&
      (!state.disagree || (other(e) && other(e).quadrants[than?.row ?? 0] !== e.quadrants[row])) &&
      (!text || e.search.includes(text)),
  );
  const infinite = (/** @type {any} */ value) => (value === null ? Infinity : value);
  /** @type {Record<string, (e: any) => number>} */
  const keys = {
    iou: (e) => infinite(iou(e)),
    iou_down: (e) => (iou(e) === null ? Infinity : -iou(e)),
    regret: (e) => (e.regret[kind][row] === null ? Infinity : -e.regret[kind][row]),
    difference: (e) => -difference(e),
  };
  const key = keys[state.sort];
  if (key) found.sort((/** @type {any} */ a, /** @type {any} */ b) => key(a) - key(b) || a.index - b.index);
  return found;
}

/** The tags that are filtered by: [[tag, value], ...]. @returns {[string, string][]} */
function chosenTags() {
  try {
    const found = JSON.parse(state.tags || "[]");
    return Array.isArray(found) ? found.filter((pair) => Array.isArray(pair) && pair.length === 2) : [];
  } catch {
    return []; // an address that somebody has changed
  }
}

/** The controls of the filters. @returns {{element: HTMLElement, update: () => void}} */
function filterBar() {
  const element = el("form", {
    class: "filters",
    "aria-label": "Filters",
    onsubmit: (/** @type {Event} */ e) => e.preventDefault(),
  });
  let built = "";
  const update = () => {
    if (built !== state.run) {
      built = state.run;
      element.replaceChildren(...controls().flat());
    }
    for (const control of element.querySelectorAll("[name]")) sync(control);
  };
  return { element, update };
}

function controls() {
  const run = currentRun();
  const set = (/** @type {Event} */ event) => {
    const control = /** @type {any} */ (event.target);
    if (control.dataset.tag) {
      const others = chosenTags().filter(([name]) => name !== control.dataset.tag);
      const tags = control.value ? [...others, [control.dataset.tag, control.value.slice(1)]] : others;
      change({ tags: tags.length ? JSON.stringify(tags) : "" });
    } else if (control.name === "quadrant") {
      const chosen = QUADRANTS.filter((name) =>
        name === control.value ? control.checked : state.quadrant.split(" ").includes(name),
      );
      change({ quadrant: chosen.join(" ") });
    } else if (control.type === "checkbox") {
      change({ [control.name]: control.checked ? "1" : "" });
    } else {
      change({ [control.name]: control.value }, control.type !== "select-one");
    }
  };
  const choose = (
    /** @type {string} */ label,
    /** @type {string} */ name,
    /** @type {[string, string][]} */ options,
    /** @type {string | null} */ tag = null,
  ) => choice(label, { name, "data-tag": tag, onchange: set }, options);
  const check = (/** @type {string} */ label, /** @type {string} */ name, /** @type {string} */ value = "1") =>
    el("label", { class: `check ${value}` }, el("input", { type: "checkbox", name, value, onchange: set }), label);
  const values = (/** @type {number} */ tag) =>
    [
      ...new Set(run.examples.map((/** @type {any} */ e) => e.tags[tag]).filter((/** @type {any} */ v) => v !== null)),
    ].sort();
  const others = [
    ...run.rows.map((/** @type {string} */ row) => [`row:${row}`, `row ${row}`]),
    ...pixfound.runs.filter((other) => other !== run).map((other) => [`run:${other.number}`, `run ${other.title}`]),
  ];
  return [
    el(
      "label",
      { class: "wide" },
      el("span", {}, "Text in id, question, expression, answers"),
      el("input", { type: "search", name: "text", oninput: set }),
    ),
    el(
      "fieldset",
      {},
      el("legend", {}, "Quadrant"),
      QUADRANTS.map((name) => check(QUADRANT_NAMES[name], "quadrant", name)),
    ),
    run.tags.map((/** @type {string} */ tag, /** @type {number} */ i) =>
      choose(
        tag,
        "tag",
        [["", "any"], .../** @type {[string, string][]} */ (values(i).map((v) => [`=${v}`, String(v)]))],
        tag,
      ),
    ),
    choose("Object", "present", [
      ["", "any"],
      ["present", "present"],
      ["absent", "absent"],
    ]),
    el(
      "label",
      {},
      el("span", {}, "IoU from"),
      el("input", { type: "number", name: "from", min: 0, max: 1, step: 0.05, oninput: set }),
    ),
    el(
      "label",
      {},
      el("span", {}, "IoU to"),
      el("input", { type: "number", name: "to", min: 0, max: 1, step: 0.05, oninput: set }),
    ),
    choose("Compare with", "than", [["", "nothing"], .../** @type {[string, string][]} */ (others)]),
    check("only where they disagree", "disagree"),
    choose("Order", "sort", Object.entries(SORTS)),
    check("pairs side by side", "pairs"),
    el("button", { type: "button", class: "small", onclick: () => change(cleared()) }, "Clear filters"),
  ];
}

/** The state of no filter. */
function cleared() {
  const names = ["quadrant", "tags", "present", "from", "to", "disagree", "than", "text", "sort"];
  return Object.fromEntries(names.map((name) => [name, DEFAULTS[name]]));
}

/** @param {any} control shows what the state says, unless somebody is typing into it */
function sync(control) {
  if (control.dataset.tag) {
    const chosen = chosenTags().find(([name]) => name === control.dataset.tag);
    control.value = chosen ? `=${chosen[1]}` : "";
  } else if (control.name === "quadrant") control.checked = state.quadrant.split(" ").includes(control.value);
  else if (control.type === "checkbox") control.checked = state[control.name] === "1";
  else if (control !== document.activeElement || control.tagName === "SELECT") control.value = state[control.name];
}
