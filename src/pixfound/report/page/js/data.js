// The data of the page. They come as scripts, as a page that is opened from disk may fetch no files: each script calls
// pixfound.add(name, json), and load(name) gives a promise of what it holds.
"use strict";

const KINDS = ["open", "choice", "ground"];
const MASK_KINDS = ["open", "ground"]; // those with masks, in the order of an example's `iou` and `regret`
const QUADRANTS = ["both", "vqa_only", "grounding_only", "neither", "unscored"];
/** @type {Record<string, string>} */
const QUADRANT_NAMES = {
  both: "both",
  vqa_only: "answered only",
  grounding_only: "grounded only",
  neither: "neither",
  unscored: "unscored",
};

const pixfound = {
  /** @type {Map<string, {promise: Promise<any>, resolve: (value: any) => void}>} */
  waiting: new Map(),
  /** @param {string} name @param {string} json */
  add(name, json) {
    const found = JSON.parse(json);
    if (name === "runs") start(found);
    else this.waiting.get(name)?.resolve(found);
  },
  /** @type {any[]} the overviews of the runs, each with `number` */
  runs: [],
  /** @type {Stage[]} the pictures of the view of an example, for the console: `pixfound.stages[0].attended.values` */
  stages: [],
};

const KEPT = 300; // examples in memory

/**
 * The data of a script of the folder data/: "0/overview", or "0/17" for the 18th example of the first run.
 * @param {string} name
 * @returns {Promise<any>}
 */
function load(name) {
  const known = pixfound.waiting.get(name);
  if (known) {
    pixfound.waiting.delete(name); // and put back below as the youngest
    pixfound.waiting.set(name, known);
    return known.promise;
  }
  let resolve = (/** @type {any} */ _) => {};
  let reject = (/** @type {any} */ _) => {};
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  pixfound.waiting.set(name, { promise, resolve });
  for (const old of pixfound.waiting.keys()) {
    if (pixfound.waiting.size <= KEPT) break;
    pixfound.waiting.delete(old);
  }
  const script = el("script", {
    src: `data/${name}.js`,
    onload: () => script.remove(),
    onerror: () => {
      pixfound.waiting.delete(name);
      reject(new Error(`data/${name}.js cannot be read: is it beside index.html?`));
    },
  });
  document.head.append(script);
  return promise;
}

/**
 * The data of an example of a run, each mask in its place.
 * @param {any} run
 * @param {any} example
 */
async function loadExample(run, example) {
  const data = await load(`${run.number}/${example.index}`);
  data.ready ??= unfold(data);
  await data.ready;
  return data;
}

/** @param {any} data whose masks are put in the places of their numbers */
async function unfold(data) {
  const masks = new TextDecoder().decode(await inflate(data.masks)).split("\n");
  data.truth = masks[data.truth];
  data.instances = data.instances.map((/** @type {number} */ place) => masks[place]);
  data.ignore = data.ignore === null ? null : masks[data.ignore];
  for (const kind of data.kinds) {
    kind.native = (kind.native ?? []).map((/** @type {number} */ place) => masks[place]);
    for (const one of (kind.candidates ?? []).flat()) one.mask = masks[one.mask];
  }
}

/**
 * The pixels of a mask from COCO's compressed runs: (height * width) bytes, row after row, 1 inside.
 * The runs go down the columns, and each but the first three is a difference from the last but one.
 * @param {string} text
 * @param {number} height
 * @param {number} width
 */
function decodeMask(text, height, width) {
  const pixels = new Uint8Array(height * width);
  const runs = [];
  let x = 0;
  let y = 0;
  for (let at = 0; at < text.length; ) {
    let run = 0;
    let bits = 0;
    let code;
    do {
      code = text.charCodeAt(at++) - 48;
      run |= (code & 31) << bits;
      bits += 5;
    } while (code & 32);
    if (code & 16) run |= -1 << bits;
    if (runs.length > 2) run += runs[runs.length - 2];
    const inside = runs.length % 2;
    runs.push(run);
    while (run > 0) {
      const length = Math.min(run, height - y);
      if (inside) for (let i = 0; i < length; i++) pixels[(y + i) * width + x] = 1;
      run -= length;
      y += length;
      if (y === height) [x, y] = [x + 1, 0];
    }
  }
  return pixels;
}

/**
 * The attention of an answer, unpacked: each token's row is mean + difference.
 * @param {any} packed see attention_rows.py
 * @returns {Promise<{tokens: number, cells: number, mean: Float64Array, differences: Float64Array, shares: number[]}>}
 */
async function unpackAttention(packed) {
  const { tokens, cells, scales, shares } = packed;
  const stored = Array.from(new Uint16Array(await inflate(packed.mean)));
  const mean = Float64Array.from(stored, (step) => step * packed.mean_scale);
  const largestFirst = stored.map((_, cell) => cell).sort((one, other) => stored[other] - stored[one] || one - other);
  const steps = new Int8Array(await inflate(packed.differences));
  const differences = new Float64Array(steps.length);
  largestFirst.forEach((cell, place) => {
    scales.forEach((/** @type {number} */ scale, /** @type {number} */ token) => {
      differences[token * cells + cell] = steps[place * tokens + token] * scale;
    });
  });
  return { tokens, cells, mean, differences, shares };
}

/**
 * Attention to each image token, mean over some tokens of the answer.
 * @param {{cells: number, mean: Float64Array, differences: Float64Array}} attention
 * @param {number[]} tokens
 * @param {boolean} lessMean take away the mean over all tokens, as the extractor does: what is special about these
 */
function attentionOf(attention, tokens, lessMean) {
  const values = lessMean ? new Float64Array(attention.cells) : Float64Array.from(attention.mean);
  for (const token of tokens) {
    for (let i = 0; i < attention.cells; i++) {
      values[i] += attention.differences[token * attention.cells + i] / tokens.length;
    }
  }
  return values;
}

/** @param {string} text base64 of deflated bytes */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}
