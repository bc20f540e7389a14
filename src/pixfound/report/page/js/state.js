// The state of the page is its address: whoever gets the address sees the same.
"use strict";

/** @type {Record<string, string>} */
const DEFAULTS = {
  view: "overview", // overview | examples | example
  run: "0",
  row: "", // the run's main row
  kind: "ground",
  example: "",
  beside: "", // in the view of an example: a run's number, or `pair` for the other example of its pair
  quadrant: "", // some of QUADRANTS, separated by blanks
  tags: "", // a JSON list of [tag, value]
  present: "", // present | absent
  from: "0", // of the IoU
  to: "1",
  disagree: "", // 1: where the row and `than` are in different quadrants
  than: "", // row:NAME or run:NUMBER, to compare with
  text: "",
  sort: "benchmark",
  pairs: "1",
  layers: "truth choice marks attention",
  blend: "0.7", // of the layers over the image
  at: "", // tokens of the answer whose attention stays, separated by blanks
  part: "", // the layer and head whose attention is shown: an index; the mean over all by default
  plain: "", // 1: attention as it is, 0: less its mean; by default as the row's extractor takes it
  theme: "",
};

/** @type {Record<string, string>} */
let state = { ...DEFAULTS };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  state = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    const value = given.get(name);
    if (value !== null) state[name] = value;
  }
}

/**
 * The address of the page with some of its state changed.
 * @param {Record<string, string>} changes
 */
function addressOf(changes) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...state, ...changes })) {
    if (value !== DEFAULTS[name]) params.set(name, value);
  }
  return `#${params}`;
}

/**
 * Change the state and show it. quietly: as part of the current step of the browser's history.
 * @param {Record<string, string>} changes
 * @param {boolean} [quietly]
 */
function change(changes, quietly = false) {
  const address = addressOf(changes);
  if (address === location.hash || (address === "#" && !location.hash)) return;
  history[quietly ? "replaceState" : "pushState"](null, "", address);
  show();
}

/** The run that is shown. */
function currentRun() {
  return pixfound.runs[Number(state.run)] ?? pixfound.runs[0];
}

/**
 * Index of the row that is shown, in a run.
 * @param {any} run
 */
function currentRow(run) {
  const index = run.rows.indexOf(state.row);
  return index < 0 ? run.main : index;
}

/**
 * The kind of prompt whose masks a row's quadrants count, where that is not the one shown; null else.
 * @param {any} run
 * @param {number} row
 * @returns {string | null}
 */
function countedApart(run, row) {
  const counted = run.metrics.rows[run.rows[row]].grounding_prompt;
  return counted !== state.kind && run.kinds.includes(counted) ? counted : null;
}

/** The kind of prompt whose masks are shown, as an index of `iou` and `regret`. */
function maskKind() {
  return state.kind === "open" ? 0 : 1;
}
