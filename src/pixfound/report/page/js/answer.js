// An answer whose words can be pointed at to see where the model looked when it said them.
"use strict";

/**
 * The words of an answer, each with its tokens: pieces of one word are joined, as long as its script has spaces.
 * @param {string} text
 * @param {number[][]} spans of the tokens, in characters of the text
 * @param {number} limit number of tokens that have attention
 * @returns {{start: number, end: number, tokens: number[]}[]} words in order; what is between them belongs to none
 */
function wordsOf(text, spans, limit) {
  const within = (/** @type {string} */ s) =>
    /^[\p{L}\p{N}\p{M}]*$/u.test(s) && !/[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}]/u.test(s);
  /** @type {{start: number, end: number, tokens: number[]}[]} */
  const words = [];
  spans.slice(0, limit).forEach(([from, to], token) => {
    const piece = text.slice(from, to);
    const start = from + piece.length - piece.trimStart().length;
    if (start >= to) return; // special tokens, and white space alone
    const last = words[words.length - 1];
    if (last && start < last.end)
      last.tokens.push(token); // several tokens of one character
    else if (last && start === last.end && within(text.slice(last.start, to))) {
      last.tokens.push(token);
      last.end = to;
    } else words.push({ start, end: to, tokens: [token] });
  });
  return words;
}

/**
 * Tokens whose characters overlap a span.
 * @param {number[]} span
 * @param {number[][]} spans
 * @param {number} limit
 */
function tokensOf([start, end], spans, limit) {
  return spans.flatMap(([from, to], token) => (token < limit && from < end && to > start && to > from ? [token] : []));
}

/**
 * The answer as text, its words as buttons where there is attention.
 * @param {any} kind data of the prompt
 * @param {number} limit number of tokens that have attention
 * @param {(tokens: number[] | null, words: string) => void} point shows the attention of tokens; null: of what stays
 */
function answerText(kind, limit, point) {
  if (kind.answer === null) return el("p", { class: "note" }, "There is no answer: ", said(kind.reason));
  const box = el("div", { class: "answer said", dir: "auto", tabindex: 0, role: "group", "aria-label": "Answer" });
  if (!kind.attention) {
    box.append(kind.answer || "(nothing)");
    return box;
  }
  const chosen = state.at;
  let place = 0;
  for (const { start, end, tokens } of wordsOf(kind.answer, kind.spans, limit)) {
    box.append(
      kind.answer.slice(place, start),
      pointable(kind.answer.slice(start, end), tokens, "word", chosen, point),
    );
    place = end;
  }
  box.append(kind.answer.slice(place));
  return box;
}

/**
 * Text that shows its attention while it is pointed at, and goes on when it is picked.
 * @param {string} text
 * @param {number[]} tokens
 * @param {string} name class
 * @param {string} chosen tokens that are picked
 * @param {(tokens: number[] | null, words: string) => void} point
 */
function pointable(text, tokens, name, chosen, point) {
  const key = tokens.join(" ");
  return el(
    "button",
    {
      type: "button",
      class: name,
      "aria-pressed": String(key === chosen),
      onpointerenter: () => point(tokens, text),
      onpointerleave: () => point(null, ""),
      onfocus: () => point(tokens, text),
      onblur: () => point(null, ""),
      onclick: () => change({ at: key === state.at ? "" : key }, true),
    },
    text,
  );
}

/**
 * The phrases of an answer whose attention gave a point, and the whole answer.
 * @param {any} kind
 * @param {number} limit number of tokens that have attention
 * @param {(tokens: number[] | null, words: string) => void} point
 */
function phraseList(kind, limit, point) {
  if (!kind.attention) return el("p", { class: "note" }, `Words cannot be pointed at: ${kind.why_no_attention}.`);
  const phrases = new Map();
  for (const one of (kind.candidates ?? []).flat()) {
    if (one.phrase !== null) phrases.set(one.span.join(), one);
  }
  const every = kind.spans.map((/** @type {any} */ _, /** @type {number} */ token) => token).slice(0, limit);
  const shown = [...phrases.values()]
    .map((one) => [one.phrase, tokensOf(one.span, kind.spans, limit)])
    .filter(([, tokens]) => tokens.length);
  return el(
    "p",
    { class: "phrases" },
    "Point at a word, or at ",
    [["the whole answer", every], ...shown].map(([text, tokens]) => [
      pointable(text, tokens, "phrase", state.at, point),
      " ",
    ]),
    kind.spans.length > limit && ` (the page has the attention of the first ${limit} tokens)`,
  );
}
