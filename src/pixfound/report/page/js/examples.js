// The view of many examples: a card each, whose picture is read when it comes into sight.
"use strict";

const AT_ONCE = 48; // cards or pairs that are shown at once; the others come when the browser has time

/** @returns {{element: HTMLElement, update: () => void}} */
function examplesView() {
  const filters = filterBar();
  const count = el("p", { class: "count", "aria-live": "polite" });
  const list = el("ol", { class: "cards" });
  const element = el(
    "div",
    { class: "examples" },
    filters.element,
    el("section", { "aria-label": "Examples" }, count, list),
  );
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const card = /** @type {any} */ (entry.target);
        if (entry.isIntersecting) card.draw();
        else card.clear();
      }
    },
    { rootMargin: "600px" },
  );
  /** The cards that were made for a row, by example. @type {Map<any, any>} */
  const cards = new Map();
  let made = "";
  let first = true;
  let shown = 0;
  return {
    element,
    update() {
      const run = currentRun();
      const found = matching();
      filters.update();
      count.textContent = `${found.length} of ${run.examples.length} examples`;
      const wanted = [run.number, currentRow(run), maskKind()].join();
      if (wanted !== made) cards.clear();
      made = wanted;
      seen.disconnect();
      const address = addressOf({ view: "example", example: "", at: "" });
      const item = (/** @type {[any, boolean][]} */ group) => {
        const line = document.createElement("li");
        for (const [example, asked] of group) {
          const one = cards.get(example) ?? card(run, example);
          cards.set(example, one);
          one.href = `${address}&${example.query}`;
          one.classList.toggle("other", !asked);
          line.append(one);
          seen.observe(one);
        }
        return line;
      };
      const groups = state.pairs ? grouped(run, found) : found.map((/** @type {any} */ one) => [[one, true]]);
      const back = first && run.byId.get(state.example); // somebody comes back from its view
      first = false;
      const now = back ? groups : groups.slice(0, AT_ONCE);
      const turn = ++shown;
      list.replaceChildren(...now.map(item));
      cards.get(back)?.scrollIntoView({ block: "center" });
      cards.get(back)?.focus({ preventScroll: true });
      const more = (/** @type {number} */ from) =>
        requestIdleCallback(() => {
          if (turn !== shown || from >= groups.length) return;
          list.append(...groups.slice(from, from + AT_ONCE).map(item));
          more(from + AT_ONCE);
        });
      more(now.length);
    },
  };
}

/**
 * Examples with the others of their pairs beside them, and whether each is wanted itself.
 * @param {any} run
 * @param {any[]} found
 */
function grouped(run, found) {
  const wanted = new Set(found);
  const done = new Set();
  const groups = [];
  for (const example of found) {
    if (done.has(example)) continue;
    const group = example.pair === null ? [example] : run.byPair.get(example.pair);
    for (const one of group) done.add(one);
    groups.push(group.map((/** @type {any} */ one) => [one, wanted.has(one)]));
  }
  return groups;
}

/**
 * An example in small, a link to its view: filled when it comes into sight, and without its picture when it leaves.
 * @param {any} run
 * @param {any} example
 */
function card(run, example) {
  const row = currentRow(run);
  const quadrant = example.quadrants[row];
  const element = el("a", { class: `card ${quadrant}`, "aria-label": example.id });
  const picture = el("div", { class: "thumb" });
  const counted = countedApart(run, row);
  const other = counted && ` (${counted}: ${two(example.iou[MASK_KINDS.indexOf(counted)][row])})`;
  const texts = () => [
    el("span", { class: "title" }, said(example.id)),
    el("span", { class: "line" }, said(example.expression), example.absent && " (absent)"),
    el("span", { class: "line" }, mark(example.correct[0]), " ", said(example.answers[0])),
    el("span", { class: "line number" }, `IoU ${two(example.iou[maskKind()][row])}`, other),
    el("span", { class: "line" }, el("span", { class: `badge ${quadrant}` }, QUADRANT_NAMES[quadrant])),
  ];
  element.draw = async () => {
    if (picture.firstChild) return;
    if (!element.firstChild) {
      element.append(picture, ...texts());
      element.removeAttribute("aria-label");
    }
    const canvas = el("canvas", { "aria-hidden": "true" });
    picture.append(
      example.image ? el("img", { src: example.image, alt: "", decoding: "async" }) : el("span", {}, "no picture"),
      canvas,
    );
    const data = await loadExample(run, example);
    if (canvas.isConnected) drawMasks(canvas, data, chosenMask(run, data, state.kind === "open" ? 0 : 2, row));
  };
  element.clear = () => picture.replaceChildren();
  return element;
}

/** @param {boolean | null} correct */
function mark(correct) {
  if (correct === null) return el("span", { class: "mark" }, "·", el("span", { class: "hidden" }, "not graded"));
  return el(
    "span",
    { class: `mark ${correct ? "right" : "wrong"}` },
    correct ? "✓" : "✗",
    el("span", { class: "hidden" }, correct ? "right" : "wrong"),
  );
}

/**
 * The mask that a row shows under a kind of prompt: runs, "full", or null.
 * @param {any} run
 * @param {any} data of the example
 * @param {number} kind index of KINDS
 * @param {number} row
 * @returns {string | null}
 */
function chosenMask(run, data, kind, row) {
  const { rows, candidates } = data.kinds[kind];
  if (!rows) return null;
  const { choice, index } = rows[row];
  if (choice === "full") return "full";
  return choice === "candidate" ? candidates[run.extractor_of_row[row]][index].mask : null;
}
