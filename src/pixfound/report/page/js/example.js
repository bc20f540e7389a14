// The view of one example: its picture with layers, what was asked and said, rows and candidates.
"use strict";

/** @type {[string, string, string][]} name, label, key */
const LAYERS = [
  ["truth", "ground truth", "t"],
  ["choice", "choice of the row", "c"],
  ["candidates", "all candidates", "a"],
  ["native", "native masks", "n"],
  ["marks", "points and boxes", "m"],
  ["attention", "attention", "h"],
  ["tiles", "token grid", "g"],
  ["instances", "each instance", "i"],
  ["boxes", "annotated boxes", "x"],
  ["ignore", "ignored pixels", "o"],
];

/** The layers for which some examples have anything: most benchmarks have no instances. @param {any[]} examples */
function layersOf(examples) {
  const some = (/** @type {string} */ name) => examples.some((data) => data[name]?.length);
  return LAYERS.filter(([name]) => !["instances", "boxes", "ignore"].includes(name) || some(name));
}

/** @returns {{element: HTMLElement, update: () => Promise<void>}} */
function exampleView() {
  const element = el("div", { class: "example" });
  const columns = el("div", { class: "columns" });
  let shown = 0;
  let built = "";
  return {
    element,
    async update() {
      const turn = ++shown;
      const wanted = JSON.stringify({ ...state, layers: "", blend: "", theme: "" });
      if (wanted === built) return redraw(element); // layers alone: what is pointed at, and the slider, stay
      const run = currentRun();
      const example = run.byId.get(state.example);
      if (!example) {
        built = "";
        element.replaceChildren(el("p", {}, "This run has no example ", said(state.example), "."));
        return;
      }
      const asked = [[run, example], ...besides(run, example)];
      const loaded = await Promise.all(asked.map(([of, one]) => loadExample(of, one)));
      const made = await Promise.all(asked.map(([of, one], i) => column(of, one, loaded[i])));
      if (turn !== shown) return; // somebody has gone on meanwhile
      built = wanted;
      columns.replaceChildren(...made.map(([article]) => article));
      pixfound.stages = made.map(([, stage]) => stage);
      columns.classList.toggle("two", made.length > 1);
      element.replaceChildren(navigation(run, example), layerBar(layersOf(loaded)), columns);
    },
  };
}

/** What is shown beside an example: [run, example] or nothing. @param {any} run @param {any} example */
function besides(run, example) {
  if (state.beside === "pair") return partners(run, example).map((one) => [run, one]);
  const other = state.beside ? pixfound.runs[Number(state.beside)] : undefined;
  const same = other && other !== run ? other.byId.get(example.id) : undefined;
  return same ? [[other, same]] : [];
}

/** @param {any} run @param {any} example @returns {any[]} */
function partners(run, example) {
  return example.pair === null ? [] : run.byPair.get(example.pair).filter((/** @type {any} */ one) => one !== example);
}

/** The examples before and after, in the order of the list. @returns {any[]} */
function neighbours() {
  const found = matching();
  const place = found.findIndex((/** @type {any} */ e) => e.id === state.example);
  return [found[place - 1], found[place + 1], place, found.length];
}

/** @param {any} run @param {any} example */
function navigation(run, example) {
  const [before, after, place, count] = neighbours();
  const step = (/** @type {any} */ to, /** @type {string} */ text) =>
    to ? el("a", { href: addressOf({ example: to.id, at: "" }) }, text) : el("span", { class: "note" }, text);
  const quadrant = example.quadrants[currentRow(run)];
  const counted = countedApart(run, currentRow(run));
  const beside = [
    ["", "nothing"],
    ...(partners(run, example).length ? [["pair", "the other of the pair"]] : []),
    ...pixfound.runs
      .filter((other) => other !== run && other.byId.has(example.id))
      .map((other) => [String(other.number), other.title]),
  ];
  return el(
    "nav",
    { class: "steps", "aria-label": "Examples" },
    el("a", { href: addressOf({ view: "examples", at: "" }) }, "↑ all"),
    step(before, "← previous"),
    el("span", {}, place < 0 ? "not among those filtered" : `${place + 1} of ${count}`),
    step(after, "next →"),
    el("h2", {}, said(example.id)),
    el("span", { class: `badge ${quadrant}` }, QUADRANT_NAMES[quadrant], counted && ` (${counted} prompt)`),
    example.tags.map(
      (/** @type {string | null} */ value) => value !== null && el("span", { class: "badge" }, said(value)),
    ),
    beside.length > 1 &&
      el(
        "label",
        {},
        "beside it ",
        el(
          "select",
          { onchange: (/** @type {any} */ e) => change({ beside: e.target.value, at: "" }) },
          beside.map(([value, text]) => el("option", { value, selected: value === state.beside }, text)),
        ),
      ),
  );
}

/** Layers, how much they cover the picture, and what attention is less of. @param {[string, string, string][]} offered */
function layerBar(offered) {
  const layers = state.layers.split(" ");
  return el(
    "form",
    { class: "layers", "aria-label": "Layers", onsubmit: (/** @type {Event} */ e) => e.preventDefault() },
    offered.map(([name, label, key]) =>
      el(
        "label",
        { class: "check", title: `key ${key}` },
        el("input", { type: "checkbox", name, checked: layers.includes(name), onchange: () => toggleLayer(name) }),
        el("span", { class: `swatch ${name}` }),
        label,
      ),
    ),
    el(
      "label",
      {},
      "blend ",
      el("input", {
        type: "range",
        name: "blend",
        min: 0,
        max: 1,
        step: 0.05,
        value: state.blend,
        oninput: (/** @type {any} */ e) => {
          state.blend = e.target.value;
          for (const stage of pixfound.stages) stage.draw();
        },
        onchange: (/** @type {any} */ e) => change({ blend: e.target.value }, true),
      }),
    ),
    el(
      "label",
      { class: "check" },
      el("input", {
        type: "checkbox",
        name: "plain",
        checked: lessMean(pixfound.stages[0]?.read),
        onchange: (/** @type {any} */ e) => change({ plain: e.target.checked ? "0" : "1" }, true),
      }),
      "attention less its mean over the answer",
    ),
  );
}

/** Show the layers that the state says, in the pictures and in the boxes. @param {HTMLElement} element */
function redraw(element) {
  const layers = state.layers.split(" ");
  for (const input of element.querySelectorAll(".layers input[type=checkbox]:not([name=plain])")) {
    const box = /** @type {HTMLInputElement} */ (input);
    box.checked = layers.includes(box.name);
  }
  for (const stage of pixfound.stages) stage.draw();
}

/** @param {string} name */
function toggleLayer(name) {
  const layers = new Set(state.layers.split(" ").filter(Boolean));
  if (!layers.delete(name)) layers.add(name);
  change(
    {
      layers: LAYERS.map(([one]) => one)
        .filter((one) => layers.has(one))
        .join(" "),
    },
    true,
  );
}

/** One example of one run. @param {any} run @param {any} example @param {any} data */
async function column(run, example, data) {
  const kind = data.kinds[KINDS.indexOf(state.kind)];
  const stage = new Stage(run, data);
  const caption = el("p", { class: "caption note", "aria-live": "polite" });
  const read = attentionRead(run, kind);
  stage.read = read;
  const packed =
    kind.kept?.[Number(state.part)] && state.part
      ? (await load(`${run.number}/${example.index}-${state.kind}`))[Number(state.part)]
      : read?.packed;
  const attention = packed && { ...(await unpackAttention(packed)), shift: read?.shift };
  const point = (/** @type {number[] | null} */ tokens, /** @type {string} */ words) => {
    const stays = tokens === null;
    [tokens, words] = stays ? pinned(run, kind, read?.tokens ?? 0) : [tokens, words];
    if (attention && tokens?.length) attend(stage, attention, kind, tokens, words, caption);
    else {
      stage.attended = null;
      caption.textContent = attention ? "" : `Attention: ${kind.why_no_attention}.`;
    }
    stage.draw();
  };
  point(null, "");
  const article = el(
    "article",
    { class: "column", "aria-label": `Example ${example.id}` },
    pixfound.runs.length > 1 && el("h2", {}, said(run.title)),
    el("div", { class: "left" }, stage.element, caption),
    el(
      "div",
      { class: "right" },
      question(data),
      kindTabs(data),
      asked(kind),
      answerText(kind, read?.tokens ?? 0, point),
      phraseList(kind, read?.tokens ?? 0, point),
      partChoice(kind),
      verdict(kind),
      rowTable(run, kind, stage),
      candidateList(run, kind, stage),
    ),
  );
  return [article, stage];
}

/**
 * The attention of an answer as the current row's extractor reads it: token t is stood for by row t + shift.
 * @param {any} run
 * @param {any} kind
 * @returns {{packed: any, shift: number, subtracts: boolean, tokens: number} | null} tokens: how many have a row
 */
function attentionRead(run, kind) {
  if (!kind.attention) return null;
  const [place, shift, subtracts] = kind.attention_of[run.extractor_of_row[currentRow(run)]];
  const packed = kind.attention[place];
  return { packed, shift, subtracts: Boolean(subtracts), tokens: Math.max(0, packed.tokens - shift) };
}

/** Whether attention is shown less its mean: as the extractor takes it, until somebody chooses. @param {any} read */
function lessMean(read) {
  return state.plain ? state.plain === "0" : (read?.subtracts ?? true);
}

/** The tokens whose attention stays: those picked, else those of the row's chosen phrase. @param {any} run @param {any} kind @param {number} limit @returns {[number[] | null, string]} */
function pinned(run, kind, limit) {
  if (!kind.attention) return [null, ""];
  const tokens = state.at
    .split(" ")
    .filter(Boolean)
    .map(Number)
    .filter((token) => token >= 0 && token < limit);
  if (tokens.length) {
    const start = Math.min(...tokens.map((token) => kind.spans[token][0]));
    return [tokens, kind.answer.slice(start, Math.max(...tokens.map((token) => kind.spans[token][1]))).trim()];
  }
  const row = currentRow(run);
  const chosen =
    kind.rows?.[row].choice === "candidate" ? kind.candidates[run.extractor_of_row[row]][kind.rows[row].index] : null;
  return chosen?.phrase ? [tokensOf(chosen.span, kind.spans, limit), chosen.phrase] : [null, ""];
}

/**
 * Show where the model looked at some tokens, in the picture and in words.
 * @param {Stage} stage
 * @param {any} attention
 * @param {any} kind
 * @param {number[]} tokens
 * @param {string} words
 * @param {HTMLElement} caption
 */
function attend(stage, attention, kind, tokens, words, caption) {
  const less = lessMean(stage.read) && kind.spans.length > 1;
  const rows = tokens.map((token) => token + attention.shift);
  const values = attentionOf(attention, rows, less);
  const raster = attentionRaster(values, kind.tiles, stage.data.full);
  stage.attended = { tokens, values, raster };
  const whole = rows.reduce((sum, row) => sum + attention.shares[row], 0) / rows.length;
  const peak = raster.values.reduce(
    (best, value, i) => (value > raster.values[best] || Number.isNaN(raster.values[best]) ? i : best),
    0,
  );
  const [height, width] = stage.data.full;
  const x = Math.round((((peak % raster.width) + 0.5) / raster.width) * width);
  const y = Math.round(((Math.floor(peak / raster.width) + 0.5) / raster.height) * height);
  caption.replaceChildren(
    "Saying “",
    said(words.length > 80 ? `${words.slice(0, 79)}…` : words),
    `” (${tokens.length} token${tokens.length > 1 ? "s" : ""}), ${percent(whole)} % of the attention was on the picture, ${less ? "most in comparison with the whole answer" : "most"} at x ${x}, y ${y}.`,
  );
}

/** @param {any} data */
function question(data) {
  return el(
    "dl",
    {},
    data.question && [el("dt", {}, "Question"), el("dd", {}, said(data.question))],
    data.accepted.length > 0 && [el("dt", {}, "Accepted"), el("dd", {}, said(data.accepted.join(" / ")))],
    data.options.length > 0 && [
      el("dt", {}, "Options"),
      el(
        "dd",
        {},
        el(
          "ul",
          { class: "options" },
          data.options.map((/** @type {string} */ option, /** @type {number} */ i) =>
            el("li", {}, said(option), i === data.answer && el("strong", {}, " (true)")),
          ),
        ),
      ),
    ],
    data.expression && [
      el("dt", {}, "Refers to"),
      el("dd", {}, said(data.expression), data.absent && el("strong", {}, " (absent from the picture)")),
    ],
  );
}

/** @param {any} data */
function kindTabs(data) {
  return el(
    "div",
    { class: "kinds", role: "group", "aria-label": "Prompt" },
    KINDS.map(
      (name, i) =>
        data.kinds[i].asked &&
        el(
          "button",
          {
            type: "button",
            "aria-pressed": String(state.kind === name),
            onclick: () => change({ kind: name, at: "" }),
          },
          name,
          name !== "ground" && [" ", mark(data.kinds[i].correct)],
        ),
    ),
  );
}

/** @param {any} kind */
function asked(kind) {
  return el(
    "details",
    {},
    el("summary", {}, kind.rendered ? "Prompt as the model got it" : "Prompt"),
    el("pre", { class: "said", tabindex: 0 }, kind.asked),
  );
}

/** Which layer and head is looked at, where the model has kept them apart. @param {any} kind */
function partChoice(kind) {
  if (!kind.kept?.length) return null;
  return el(
    "label",
    {},
    "attention of ",
    el(
      "select",
      { name: "part", onchange: (/** @type {any} */ e) => change({ part: e.target.value }, true) },
      ["mean over layers and heads", ...kind.kept].map((name, i) =>
        el("option", { value: i ? i - 1 : "", selected: state.part === (i ? String(i - 1) : "") }, name),
      ),
    ),
  );
}

/** @param {any} kind */
function verdict(kind) {
  const words = kind.correct === null ? "Not graded" : kind.correct ? "Right" : "Wrong";
  return el(
    "p",
    {},
    mark(kind.correct),
    ` ${words}: `,
    said(kind.reason),
    kind.cut && el("strong", {}, " The answer was cut by the limit of new tokens."),
  );
}

/** The rows with their choices. @param {any} run @param {any} kind @param {Stage} stage */
function rowTable(run, kind, stage) {
  if (!kind.rows && !MASK_KINDS.includes(state.kind))
    return el("p", { class: "note" }, "A letter is no phrase: masks come from the open and the grounding prompt.");
  if (!kind.rows) return null; // the benchmark has no regions
  const current = currentRow(run);
  return el(
    "table",
    { class: "rows" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["row", "IoU", "choice", "why"].map((head) => el("th", { scope: "col" }, head)),
      ),
    ),
    el(
      "tbody",
      {},
      run.rows.map((/** @type {string} */ row, /** @type {number} */ i) => {
        const { choice, index, iou, reason } = kind.rows[i];
        const mask = chosenMask(run, { kinds: [kind] }, 0, i);
        return el(
          "tr",
          { class: i === current ? "current" : null, ...peeking(stage, mask && { mask }) },
          el(
            "th",
            { scope: "row" },
            el(
              "button",
              {
                type: "button",
                class: "link",
                "aria-pressed": String(i === current),
                ...peeking(stage, mask && { mask }),
                onclick: () => change({ row }, true),
              },
              row,
            ),
          ),
          el("td", { class: "number" }, two(iou)),
          el("td", {}, choice === "candidate" ? `candidate ${index + 1}` : (choice ?? "unscored")),
          el("td", {}, said(reason)),
        );
      }),
    ),
  );
}

/** The candidates of the row's extractor. @param {any} run @param {any} kind @param {Stage} stage */
function candidateList(run, kind, stage) {
  const proposed = kind.candidates?.[run.extractor_of_row[currentRow(run)]] ?? [];
  if (!proposed.length) return null;
  const { choice, index } = kind.rows[currentRow(run)];
  return el(
    "section",
    {},
    el("h2", {}, "Candidates"),
    el(
      "ol",
      { class: "proposals" },
      proposed.map((/** @type {any} */ one, /** @type {number} */ i) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", class: "link", "aria-pressed": "false", ...peeking(stage, one) },
            one.phrase !== null ? said(one.phrase) : `candidate ${i + 1}`,
          ),
          one.iou !== null && ` IoU ${two(one.iou)}`,
          one.score !== null && `, score ${two(one.score)}`,
          one.name && [", ", said(one.name)],
          choice === "candidate" && index === i && el("strong", {}, " chosen"),
        ),
      ),
    ),
  );
}

/** Listeners that show a mask while it is pointed at. @param {Stage} stage @param {any} candidate */
function peeking(stage, candidate) {
  const show = () => {
    stage.peek = candidate;
    stage.draw();
  };
  const hide = () => {
    stage.peek = null;
    stage.draw();
  };
  return candidate ? { onpointerenter: show, onpointerleave: hide, onfocus: show, onblur: hide } : {};
}
