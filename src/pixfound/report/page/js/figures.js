// Figures as SVG, each with a way to keep it as a file. Colours come from page.css.
"use strict";

const WIDTH = 400; // pixels of most figures, as wide as a column of them: texts keep their size

/**
 * A figure with its title, and buttons that save it.
 * @param {string} title
 * @param {SVGElement} picture
 * @param {string} [note]
 */
function figure(title, picture, note = "") {
  picture.setAttribute("role", "group");
  picture.setAttribute("aria-label", title);
  const name = title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return el(
    "figure",
    {},
    el(
      "figcaption",
      {},
      el("h2", {}, title),
      el(
        "button",
        { type: "button", class: "small", "aria-label": `${title} as SVG`, onclick: () => saveSvg(picture, name) },
        "SVG",
      ),
      el(
        "button",
        { type: "button", class: "small", "aria-label": `${title} as PNG`, onclick: () => savePng(picture, name) },
        "PNG",
      ),
    ),
    note && el("p", { class: "note" }, note),
    el("div", { class: "picture" }, picture),
  );
}

/**
 * A part of a figure that can be pointed at and picked, by mouse and by keyboard.
 * @param {string} tip
 * @param {Record<string, string>} changes of the state
 * @param {...any} children
 */
function pick(tip, changes, ...children) {
  return svg("a", { href: addressOf(changes), "data-tip": tip, "aria-label": tip }, ...children);
}

/**
 * A share on a track from 0 to 1, with its interval.
 * @param {any} value {value, low, high} of metrics.json
 */
function bar(value, width = 130) {
  const size = { width, height: 16, viewBox: `0 0 ${width} 16`, preserveAspectRatio: "none", "aria-hidden": "true" };
  if (!value || value.value === null) return null;
  return svg(
    "svg",
    size,
    svg("rect", { class: "track", width, height: 10, y: 3 }),
    svg("rect", { class: "fill", width: width * value.value, height: 10, y: 3 }),
    svg("path", { class: "interval", d: whisker(width * value.low, width * value.high, 8) }),
  );
}

/** @param {number} from @param {number} to @param {number} y */
function whisker(from, to, y) {
  return `M${from} ${y - 4}v8M${from} ${y}H${to}M${to} ${y - 4}v8`;
}

/** @param {any} value */
function withInterval(value) {
  return !value || value.value === null
    ? "–"
    : `${percent(value.value)} [${percent(value.low)}, ${percent(value.high)}]`;
}

/** The better accuracy against the better mean IoU, a point for each row of each run. */
function scatterFigure() {
  const size = 340;
  const pad = 40;
  const at = (/** @type {number} */ share) => pad + share * (size - 2 * pad);
  const parts = [];
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(
      svg("path", { class: "axis", d: `M${at(tick)} ${at(0)}V${at(1)}M${at(0)} ${at(tick)}H${at(1)}` }),
      svg("text", { x: at(tick), y: size - 22, "text-anchor": "middle" }, `${100 * tick}`),
      svg("text", { x: pad - 8, y: size - at(tick) + 4, "text-anchor": "end" }, `${100 * tick}`),
    );
  }
  parts.push(
    svg("text", { x: size / 2, y: size - 4, "text-anchor": "middle" }, "mean IoU of the masks, %"),
    svg(
      "text",
      { x: 12, y: size / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${size / 2})` },
      "accuracy of the answers, %",
    ),
  );
  let points = 0;
  for (const run of pixfound.runs) {
    run.rows.forEach((/** @type {string} */ row, /** @type {number} */ index) => {
      const found = run.metrics.rows[row];
      const iou = found[found.grounding_prompt === "ground" ? "M_dagger" : "M"];
      const best = run.metrics.vqa.best;
      if (iou.value === null || best.value === null) return;
      points++;
      const [x, y] = [at(iou.value), size - at(best.value)];
      const current = run === currentRun() && index === currentRow(run);
      const tip = `${pixfound.runs.length > 1 ? `${run.title}, ` : ""}${row}: accuracy ${withInterval(best)}, IoU ${withInterval(iou)}`;
      parts.push(
        pick(
          tip,
          { run: String(run.number), row },
          svg("path", { class: "interval", d: whisker(at(iou.low), at(iou.high), y) }),
          svg("circle", {
            class: `run${run.number % 6}${current ? " current" : ""}`,
            cx: x,
            cy: y,
            r: current ? 8 : 6,
          }),
        ),
      );
    });
  }
  if (!points) return null;
  return el(
    "div",
    {},
    figure(
      "Accuracy against IoU",
      svg("svg", { viewBox: `0 0 ${size} ${size}`, width: size, height: size }, parts),
      "Each point is a row; the better kind of prompt of each.",
    ),
    pixfound.runs.length > 1 &&
      el(
        "ul",
        { class: "legend" },
        pixfound.runs.map((run) => el("li", {}, el("span", { class: `swatch run${run.number % 6}` }), said(run.title))),
      ),
  );
}

/** The quadrants of each row of a run, as bars. @param {any} run */
function quadrantFigure(run) {
  if (run.examples.every((/** @type {any} */ e) => e.quadrants.every((/** @type {string} */ q) => q === "unscored")))
    return null;
  const [width, left, step] = [WIDTH, 110, 24];
  const parts = run.rows.map((/** @type {string} */ row, /** @type {number} */ index) => {
    const counts = QUADRANTS.map((name) => countOf(run, index, name));
    let x = left;
    const y = index * step;
    return [
      svg(
        "text",
        { x: left - 8, y: y + 15, "text-anchor": "end", class: index === currentRow(run) ? "current" : "" },
        shortened(row),
      ),
      counts.map((count, i) => {
        if (!count) return null;
        const length = (count / run.examples.length) * (width - left);
        const part = svg("rect", { class: QUADRANTS[i], x, y: y + 2, width: length, height: step - 6 });
        const text =
          length > 22 &&
          svg("text", { x: x + length / 2, y: y + 15, "text-anchor": "middle", class: "inside" }, String(count));
        x += length;
        return pick(
          `${row}, ${QUADRANT_NAMES[QUADRANTS[i]]}: ${count} examples`,
          { view: "examples", row, quadrant: QUADRANTS[i] },
          part,
          text,
        );
      }),
    ];
  });
  const height = run.rows.length * step;
  return el(
    "div",
    {},
    figure(
      "Answered and grounded",
      svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height }, parts),
      `Grounded: an IoU over ${run.metrics.iou_threshold}, or nothing shown of an absent object. Pick a part to see its examples.`,
    ),
    el(
      "ul",
      { class: "legend" },
      QUADRANTS.map((name) => el("li", {}, el("span", { class: `swatch ${name}` }), QUADRANT_NAMES[name])),
    ),
  );
}

/** @param {any} run @param {number} row @param {string} name of a quadrant */
function countOf(run, row, name) {
  return run.examples.filter((/** @type {any} */ e) => e.quadrants[row] === name).length;
}

/** How the IoU of the current row is spread. @param {any} run */
function histogramFigure(run) {
  const [width, height, bins, pad] = [WIDTH, 170, 20, 28];
  const row = currentRow(run);
  const values = run.examples
    .map((/** @type {any} */ e) => e.iou[maskKind()][row])
    .filter((/** @type {any} */ v) => v !== null);
  if (!values.length) return null;
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[Math.min(bins - 1, Math.floor(value * bins))]++;
  const most = Math.max(1, ...counts);
  const step = (width - 2 * pad) / bins;
  const parts = counts.map((count, i) => {
    const length = (count / most) * (height - 2 * pad);
    const [from, to] = [(i / bins).toFixed(2), ((i + 1) / bins).toFixed(2)];
    return pick(
      `IoU ${from} to ${to}: ${count} examples`,
      { view: "examples", row: run.rows[row], from: String(Number(from)), to: String(Number(to)) },
      svg("rect", { class: "hit", x: pad + i * step, y: pad - 8, width: step, height: height - 2 * pad + 8 }),
      svg("rect", { class: "fill", x: pad + i * step + 1, y: height - pad - length, width: step - 2, height: length }),
      count > 0 &&
        svg(
          "text",
          { class: "count", x: pad + (i + 0.5) * step, y: height - pad - length - 3, "text-anchor": "middle" },
          String(count),
        ),
    );
  });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(
      svg("text", { x: pad + tick * (width - 2 * pad), y: height - 10, "text-anchor": "middle" }, String(tick)),
    );
  }
  const prompt = MASK_KINDS[maskKind()];
  return figure(
    `IoU of ${run.rows[row]}, ${prompt} prompt`,
    svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height }, parts),
    `${values.length} examples; pick a bar to see its examples.`,
  );
}

/** Mean IoU of the current row by the values of a tag. @param {any} run @param {string} tag */
function tagFigure(run, tag) {
  const row = run.rows[currentRow(run)];
  const found = run.metrics.rows[row].by_tag[tag].values;
  const name = maskKind() ? "M_dagger" : "M";
  const values = Object.keys(found);
  const [width, left, step] = [WIDTH, 120, 24];
  const scale = width - left - 45;
  const parts = values.map((value, i) => {
    const share = found[value][name];
    const y = i * step;
    return pick(
      `${value}: IoU ${withInterval(share)}, ${share.count} examples`,
      { view: "examples", row, tags: JSON.stringify([[tag, value]]) },
      svg("text", { x: left - 8, y: y + 16, "text-anchor": "end" }, shortened(value)),
      svg("rect", { class: "track", x: left, y: y + 5, width: scale, height: 14 }),
      share.value !== null && svg("rect", { class: "fill", x: left, y: y + 5, width: scale * share.value, height: 14 }),
      share.value !== null &&
        svg("path", { class: "interval", d: whisker(left + scale * share.low, left + scale * share.high, y + 12) }),
      svg("text", { x: width, y: y + 16, "text-anchor": "end" }, percent(share.value)),
    );
  });
  const height = values.length * step;
  return figure(
    `Mean IoU by ${tag}`,
    svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height }, parts),
    `Row ${row}, ${MASK_KINDS[maskKind()]} prompt, in percent.`,
  );
}

/**
 * Where in the answers the phrase lies whose mask is best, in tenths of the answer, and what null models give.
 * @param {any} when
 * @param {string} kind
 * @param {any[]} deciles
 */
function whenFigure(when, kind, deciles) {
  const [width, height, pad] = [WIDTH, 190, 28];
  const step = (width - 2 * pad) / 10;
  const high = Math.max(
    0.01,
    ...deciles.flatMap((one) => [one.high, ...Object.values(one.nulls).map((of) => of.value)]),
  );
  const at = (/** @type {number} */ share) => height - pad - (share / high) * (height - 2 * pad);
  const parts = deciles.map((one, i) => {
    const x = pad + i * step;
    const nulls = Object.entries(one.nulls);
    const tip = `${10 * i} to ${10 * i + 10} % of the answer: ${withInterval(one)} %; ${nulls.map(([name, of]) => `${name} ${percent(of.value)} %, p ${of.p.toFixed(3)}`).join("; ")}`;
    return svg(
      "g",
      { "data-tip": tip },
      svg("rect", { class: "hit", x, y: pad, width: step, height: height - 2 * pad }),
      svg("rect", { class: "fill", x: x + 2, y: at(one.value), width: step - 4, height: height - pad - at(one.value) }),
      svg("path", { class: "interval", d: `M${x + step / 2} ${at(one.low)}V${at(one.high)}` }),
      nulls.map(([, of], n) => svg("path", { class: `null${n % 3}`, d: `M${x + 2} ${at(of.value)}h${step - 4}` })),
      svg("text", { x, y: height - 10, "text-anchor": "middle" }, String(10 * i)),
    );
  });
  parts.push(svg("text", { x: width - pad, y: height - 10, "text-anchor": "middle" }, "100"));
  const names = Object.keys(deciles[0].nulls);
  return el(
    "div",
    {},
    figure(
      `When grounding emerges, ${kind} prompt`,
      svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height }, parts),
      `Share of examples by where the best phrase lies: its ${when.place}, % of the ${when.unit} of the answer; row ${when.row}.`,
    ),
    el(
      "ul",
      { class: "legend" },
      names.map((name, n) => el("li", {}, el("span", { class: `swatch null${n % 3}` }), name.replaceAll("_", " "))),
    ),
  );
}

/** @param {string} text */
function shortened(text) {
  return text.length > 18 ? `${text.slice(0, 17)}…` : text;
}

/**
 * The figure as text of an SVG file that needs no style sheet.
 * @param {SVGElement} picture
 */
function standalone(picture) {
  const copy = /** @type {SVGElement} */ (picture.cloneNode(true));
  const from = picture.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((element, i) => {
    const style = getComputedStyle(from[i]);
    for (const name of ["fill", "stroke", "stroke-width", "font-size", "font-family", "opacity"]) {
      element.setAttribute(name, style.getPropertyValue(name));
    }
    for (const name of ["class", "href", "data-tip", "aria-label"]) element.removeAttribute(name);
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

/** @param {SVGElement} picture @param {string} name */
function saveSvg(picture, name) {
  save(new Blob([standalone(picture)], { type: "image/svg+xml" }), `${name}.svg`);
}

/** @param {SVGElement} picture @param {string} name */
async function savePng(picture, name) {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(standalone(picture))}`;
  await image.decode();
  const canvas = el("canvas", { width: 2 * image.width, height: 2 * image.height });
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((/** @type {Blob} */ blob) => save(blob, `${name}.png`));
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const address = URL.createObjectURL(blob);
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
