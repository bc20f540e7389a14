// Drawing over an example's picture: masks, attention, points, boxes, tiles.
"use strict";

/** Red, green and blue of each layer; the CSS has the same for the legend. @type {Record<string, number[]>} */
const COLOURS = {
  truth: [0, 158, 115],
  choice: [213, 94, 0],
  candidates: [86, 180, 233],
  native: [204, 121, 167],
  ignore: [128, 128, 128],
  peek: [240, 228, 66],
};

/**
 * A picture of a mask, its rim opaque and the rest as opaque as asked.
 * @param {string} runs or "full"
 * @param {number[]} size (H, W)
 * @param {number[]} colour
 * @param {number} opacity
 * @param {number} [longest] of its sides, where a smaller picture will do
 */
function maskPicture(runs, size, colour, opacity, longest = Infinity) {
  const whole = runs === "full" ? new Uint8Array(size[0] * size[1]).fill(1) : decodeMask(runs, size[0], size[1]);
  const [height, width] = fitted(size, longest);
  const mask = height === size[0] ? whole : sampled(whole, size, [height, width]);
  const canvas = el("canvas", { width, height });
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer); // a number a pixel: opacity, blue, green, red
  const opaque = ((255 << 24) | (colour[2] << 16) | (colour[1] << 8) | colour[0]) >>> 0;
  const inner = ((Math.round(255 * opacity) << 24) | (opaque & 0xffffff)) >>> 0;
  for (let y = 0, i = 0; y < height; y++) {
    const edge = y === 0 || y === height - 1;
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      const rim =
        edge || x === 0 || x === width - 1 || !(mask[i - 1] && mask[i + 1] && mask[i - width] && mask[i + width]);
      pixels[i] = rim ? opaque : inner;
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

/** @param {number[]} size @param {number} longest @returns {number[]} (H, W) of at most that length */
function fitted(size, longest) {
  const scale = Math.min(1, longest / Math.max(...size));
  return size.map((side) => Math.max(1, Math.round(side * scale)));
}

/**
 * The nearest pixels of a mask in a smaller picture.
 * @param {Uint8Array} mask
 * @param {number[]} size of the mask
 * @param {number[]} small
 */
function sampled(mask, [height, width], [smallHeight, smallWidth]) {
  const found = new Uint8Array(smallHeight * smallWidth);
  for (let y = 0, i = 0; y < smallHeight; y++) {
    const line = Math.floor(((y + 0.5) * height) / smallHeight) * width;
    for (let x = 0; x < smallWidth; x++, i++) found[i] = mask[line + Math.floor(((x + 0.5) * width) / smallWidth)];
  }
  return found;
}

/** Red, green and blue by which instances are told apart. @type {number[][]} */
const INSTANCES = [COLOURS.truth, COLOURS.candidates, COLOURS.native, COLOURS.peek, COLOURS.choice];

const THUMB = 200; // pixels of the longer side of the masks on a card

/**
 * The truth and a chosen mask on a card.
 * @param {any} canvas
 * @param {any} data
 * @param {string | null} chosen
 */
function drawMasks(canvas, data, chosen) {
  [canvas.height, canvas.width] = fitted(data.size, THUMB);
  const context = canvas.getContext("2d");
  if (chosen) context.drawImage(maskPicture(chosen, data.size, COLOURS.choice, 0.4, THUMB), 0, 0);
  context.drawImage(maskPicture(data.truth, data.size, COLOURS.truth, 0.15, THUMB), 0, 0);
}

/**
 * Weights by which cells spread over [start, end) give each of some pixels: bicubic, as attention_maps.py takes them.
 * @param {number} cells
 * @param {number} start
 * @param {number} end
 * @param {number} pixels
 * @returns {({weights: [number, number][]} | null)[]} null outside
 */
function bicubic(cells, start, end, pixels) {
  const kernel = (/** @type {number} */ d) => {
    const a = -0.75;
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
  };
  return Array.from({ length: pixels }, (_, pixel) => {
    const middle = pixel + 0.5;
    if (middle < start || middle >= end) return null;
    const centre = ((middle - start) / (end - start)) * cells - 0.5;
    const base = Math.floor(centre);
    return {
      weights: [-1, 0, 1, 2].map((offset) => [
        Math.min(cells - 1, Math.max(0, base + offset)),
        kernel(Math.abs(centre - base - offset)),
      ]),
    };
  });
}

const RASTER = 240; // pixels, the longer side at which attention is computed before it is drawn larger

/**
 * Attention over the picture: (height, width) values; where no tile is, NaN. Overlapping tiles are averaged.
 * @param {Float64Array} values of the image tokens
 * @param {number[][]} tiles [first, rows, columns, stride, x0, y0, x1, y1]
 * @param {number[]} full (H, W) of the frame of the tiles
 */
function attentionRaster(values, tiles, [fullHeight, fullWidth]) {
  const scale = Math.min(1, RASTER / Math.max(fullHeight, fullWidth));
  const [height, width] = [Math.max(1, Math.round(fullHeight * scale)), Math.max(1, Math.round(fullWidth * scale))];
  const [down, across] = [height / fullHeight, width / fullWidth];
  const sum = new Float64Array(height * width);
  const count = new Uint8Array(height * width);
  for (const [first, rows, columns, stride, x0, y0, x1, y1] of tiles) {
    const ys = bicubic(rows, y0 * down, y1 * down, height);
    const xs = bicubic(columns, x0 * across, x1 * across, width);
    for (let y = 0; y < height; y++) {
      const line = ys[y];
      if (!line) continue;
      const cells = Array.from({ length: columns }, (_, c) =>
        line.weights.reduce((total, [r, w]) => total + w * values[first + r * stride + c], 0),
      );
      for (let x = 0; x < width; x++) {
        const column = xs[x];
        if (!column) continue;
        sum[y * width + x] += column.weights.reduce((total, [c, w]) => total + w * cells[c], 0);
        count[y * width + x] += 1;
      }
    }
  }
  return { height, width, values: sum.map((total, i) => (count[i] ? total / count[i] : NaN)) };
}

/** @param {{height: number, width: number, values: Float64Array}} raster */
function attentionPicture({ height, width, values }) {
  const most = values.reduce((highest, value) => Math.max(highest, value || 0), 1e-30);
  const canvas = el("canvas", { width, height });
  const picture = new ImageData(width, height);
  values.forEach((value, i) => {
    const strength = Math.max(0, value / most) || 0;
    picture.data.set(
      [
        255 * Math.min(1, 0.5 + 1.2 * strength),
        255 * Math.max(0, 1.6 * strength - 0.6),
        60 * (1 - strength),
        255 * Math.sqrt(strength),
      ],
      4 * i,
    );
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

const KEPT_MASKS = 40; // pictures of masks of an example in memory

/** An example's picture with its layers. */
class Stage {
  /** @param {any} run @param {any} data of the example */
  constructor(run, data) {
    this.run = run;
    this.data = data;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    const [height, width] = data.size;
    this.element = el(
      "div",
      { class: `stage${Math.max(height, width) < 300 ? " tiny" : ""}` },
      data.image
        ? el("img", { src: data.image, alt: `Picture of example ${data.id}`, width, height })
        : el("div", { class: "missing" }, "The picture cannot be read."),
      this.canvas,
    );
    this.element.style.aspectRatio = `${width} / ${height}`;
    this.element.style.maxWidth = `min(100%, ${Math.max(512, width)}px, calc(var(--tallest) * ${width / height}))`;
    /** Pictures of masks that were drawn before. @type {Map<string, any>} */
    this.pictures = new Map();
    /** What is attended to, and a candidate that is pointed at. @type {any} */
    this.attended = null;
    /** @type {any} */
    this.peek = null;
    /** How the row's extractor reads attention. @type {any} */
    this.read = null;
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  draw() {
    const { clientWidth, clientHeight } = this.element;
    if (!clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    const context = this.canvas.getContext("2d");
    const layers = state.layers.split(" ");
    const kind = this.data.kinds[KINDS.indexOf(state.kind)];
    const row = currentRow(this.run);
    const proposed = kind.candidates?.[this.run.extractor_of_row[row]] ?? [];
    const chosen = kind.rows?.[row].choice === "candidate" ? proposed[kind.rows[row].index] : null;
    const opacity = Number(state.blend);
    const mask = (
      /** @type {string | null} */ mask,
      /** @type {string} */ layer,
      /** @type {number} */ strength,
      colour = COLOURS[layer],
    ) => {
      if (!mask) return;
      const key = layer + mask;
      const picture = this.pictures.get(key) ?? maskPicture(mask, this.data.size, colour, strength);
      if (this.pictures.size > KEPT_MASKS) this.pictures.clear();
      this.pictures.set(key, picture);
      context.imageSmoothingEnabled = false;
      context.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
    };
    context.globalAlpha = opacity;
    if (layers.includes("attention") && this.attended) {
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(attentionPicture(this.attended.raster), 0, 0, this.canvas.width, this.canvas.height);
    }
    if (layers.includes("native")) for (const one of kind.native ?? []) mask(one, "native", 0.5);
    if (layers.includes("candidates")) for (const one of proposed) mask(one.mask, "candidates", 0.25);
    if (layers.includes("choice")) mask(chosenMask(this.run, this.data, KINDS.indexOf(state.kind), row), "choice", 0.6);
    if (layers.includes("truth")) mask(this.data.truth, "truth", 0.4);
    if (layers.includes("instances"))
      for (const [i, one] of this.data.instances.entries())
        mask(one, `instance ${i} `, 0.4, INSTANCES[i % INSTANCES.length]);
    if (layers.includes("ignore")) mask(this.data.ignore, "ignore", 0.7);
    if (this.peek) mask(this.peek.mask, "peek", 0.6);
    context.globalAlpha = 1;
    if (layers.includes("boxes")) this.drawBoxes(context);
    if (layers.includes("tiles")) this.drawTiles(context, kind.tiles ?? []);
    if (layers.includes("marks")) this.drawMarks(context, proposed, this.peek ?? chosen);
  }

  /** The annotated boxes. @param {any} context */
  drawBoxes(context) {
    const [across, down] = this.scales();
    context.strokeStyle = `rgb(${COLOURS.truth})`;
    context.lineWidth = Math.max(2, this.canvas.width / 200);
    for (const [x0, y0, x1, y1] of this.data.boxes) {
      context.strokeRect(x0 * across, y0 * down, (x1 - x0) * across, (y1 - y0) * down);
    }
  }

  /** Points and boxes that were said or taken, those of one candidate larger. @param {any} context @param {any[]} proposed @param {any} chosen */
  drawMarks(context, proposed, chosen) {
    const [across, down] = this.scales();
    const unit = Math.max(2, this.canvas.width / 180);
    for (const one of chosen ? [...proposed, chosen] : proposed) {
      const size = one === chosen ? 2 : 1;
      for (const [colour, width] of /** @type {[string, number][]} */ ([
        ["black", unit * size * 0.9],
        ["#f0e442", unit * size * 0.5],
      ])) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        if (one.point) context.arc((one.point[0] + 0.5) * across, (one.point[1] + 0.5) * down, unit * size * 1.8, 0, 7);
        if (one.box) {
          const [x0, y0, x1, y1] = one.box;
          context.rect(x0 * across, y0 * down, (x1 - x0) * across, (y1 - y0) * down);
        }
        context.stroke();
      }
    }
  }

  /** The grids of the image tokens. @param {any} context @param {number[][]} tiles */
  drawTiles(context, tiles) {
    const [across, down] = this.scales();
    context.strokeStyle = "rgba(255, 255, 255, 0.7)";
    tiles.forEach(([, rows, columns, , x0, y0, x1, y1], number) => {
      context.lineWidth = 1;
      context.setLineDash(number % 2 ? [4, 4] : []);
      context.beginPath();
      for (let c = 0; c <= columns; c++) {
        const x = (x0 + ((x1 - x0) * c) / columns) * across;
        context.moveTo(x, y0 * down);
        context.lineTo(x, y1 * down);
      }
      for (let r = 0; r <= rows; r++) {
        const y = (y0 + ((y1 - y0) * r) / rows) * down;
        context.moveTo(x0 * across, y);
        context.lineTo(x1 * across, y);
      }
      context.stroke();
    });
    context.setLineDash([]);
  }

  /** Pixels of the canvas for each of the original image, across and down. */
  scales() {
    const [height, width] = this.data.full;
    return [this.canvas.width / width, this.canvas.height / height];
  }
}
