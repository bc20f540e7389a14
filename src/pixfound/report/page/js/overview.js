// The view of a whole run: what came out in one sentence, the table, and figures whose parts lead to their examples.
"use strict";

/** @returns {{element: HTMLElement, update: () => void}} */
function overviewView() {
  const element = el("div", { class: "overview" });
  return { element, update: () => element.replaceChildren(...overviewParts().filter((part) => part !== null)) };
}

function overviewParts() {
  const run = currentRun();
  const { metrics } = run;
  const examples = `${metrics.examples} example${metrics.examples === 1 ? "" : "s"}`;
  const pairs = metrics.pairs > 0 && `${metrics.pairs} pair${metrics.pairs === 1 ? "" : "s"}`;
  const absent = metrics.absent > 0 && `${metrics.absent} with an absent object`;
  const count = `${[examples, pairs, absent].filter(Boolean).join(", ")}.`;
  return [
    el("p", { class: "summary" }, run.summary),
    el("p", { class: "note" }, count, pixfound.runs.length > 1 && ` Run ${run.number + 1} of ${pixfound.runs.length}.`),
    tableSection(),
    el(
      "div",
      { class: "figures" },
      scatterFigure(),
      quadrantFigure(run),
      histogramFigure(run),
      (run.when?.prompts ?? []).map((/** @type {[string, any[]]} */ [kind, deciles]) =>
        whenFigure(run.when, kind, deciles),
      ),
      run.tags
        .filter((/** @type {string} */ tag) => metrics.rows[run.rows[currentRow(run)]].by_tag[tag])
        .map((/** @type {string} */ tag) => tagFigure(run, tag)),
    ),
    publishedSection(run),
    failureSection(run),
  ];
}

/** The table of all runs: a line for each row, picked by its name. */
function tableSection() {
  const several = pixfound.runs.length > 1;
  const lines = pixfound.runs.map((run) => [
    several && el("tr", {}, el("th", { scope: "colgroup", colspan: 7, class: "run" }, said(run.title))),
    run.rows.map((/** @type {string} */ row, /** @type {number} */ index) => {
      const found = run.metrics.rows[row];
      const current = run === currentRun() && index === currentRow(run);
      const shares = [run.metrics.vqa.A, run.metrics.vqa.A_dagger, found.M, found.M_dagger, found.S];
      return el(
        "tr",
        { class: current ? "current" : null },
        el(
          "th",
          { scope: "row" },
          el("a", { href: addressOf({ run: String(run.number), row }), "aria-current": current ? "true" : null }, row),
          index === run.main && el("span", { class: "note" }, " the model’s score"),
        ),
        shares.map((share) => el("td", {}, bar(share), el("span", { class: "number" }, withInterval(share)))),
        el("td", { class: "number" }, percent(found.false_positives_on_absent.M_dagger?.value)),
      );
    }),
  ]);
  const heads = ["row", "A", "A†", "M", "M†", "S", "FP absent"];
  return el(
    "section",
    { "aria-label": "Table" },
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of rows" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            heads.map((head) => el("th", { scope: "col" }, head)),
          ),
        ),
        el("tbody", {}, lines),
      ),
    ),
    el(
      "p",
      { class: "note" },
      "In percent, with 95 % bootstrap intervals clustered by pair. A: right answers to the open question; A†: by letter; M, M†: mean IoU of the masks under the open and the grounding prompt; S: harmonic mean of the better A and the better M; FP absent: how often something is shown of an absent object. Pick a row: figures and examples follow.",
    ),
  );
}

/** Figures of others beside the run's, a table each; nothing where there are none. @param {any} run */
function publishedSection(run) {
  if (!run.published.length) return null;
  return el(
    "section",
    { "aria-label": "Figures of others" },
    el("h2", {}, "Figures of others"),
    run.published.map((/** @type {any} */ table) => [
      el(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": table.title },
        el(
          "table",
          {},
          el("caption", {}, said(table.title)),
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              table.headers.map((/** @type {string} */ head) => el("th", { scope: "col" }, said(head))),
            ),
          ),
          el(
            "tbody",
            {},
            table.lines.map((/** @type {string[]} */ [name, ...cells]) =>
              el(
                "tr",
                {},
                el("th", { scope: "row" }, said(name)),
                cells.map((cell) => el("td", { class: "number" }, said(cell))),
              ),
            ),
          ),
        ),
      ),
      el("p", { class: "note" }, "Source: ", said(table.source), "."),
    ]),
  );
}

/** Failures by cause, and what was left unscored. @param {any} run */
function failureSection(run) {
  /** @type {Map<string, any[]>} */
  const causes = new Map();
  for (const example of run.examples) {
    for (const reason of example.failed) {
      const cause = reason.replace(/'[^']*'|"[^"]*"|\d+/g, "…");
      causes.set(cause, [...(causes.get(cause) ?? []), [example, reason]]);
    }
  }
  return el(
    "section",
    {},
    el("h2", {}, "Failures"),
    causes.size
      ? el(
          "ul",
          {},
          [...causes.values()].map((of) =>
            el(
              "li",
              {},
              of.length > 1 ? `${of.length} examples, ` : "1 example, ",
              el(
                "a",
                { href: addressOf({ view: "example", example: of[0][0].id }) },
                of.length > 1 ? "the first" : said(of[0][0].id),
              ),
              ": ",
              said(of[0][1]),
            ),
          ),
        )
      : el("p", {}, "No example has failed."),
    run.unscored && el("p", {}, "Unscored, neither right nor wrong: ", said(run.unscored), "."),
  );
}
