// Making elements. All text of models and data enters the page here, as text and never as markup.
"use strict";

/**
 * An element with attributes, listeners ("on..." names) and children; null and false children are left out.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...any} children
 * @returns {any}
 */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...any} children
 * @returns {any}
 */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/**
 * @param {Element} element
 * @param {Record<string, any>} attributes
 * @param {any[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/**
 * Text of a model or of data: isolated, so that marks of direction in it move nothing outside.
 * @param {string | null} text
 * @param {string} [tag]
 */
function said(text, tag = "bdi") {
  return el(tag, { class: "said", dir: "auto" }, text ?? "");
}

/**
 * A list to choose from, with its label.
 * @param {string} label
 * @param {Record<string, any>} attributes of the list
 * @param {string[][]} options [value, text]
 * @param {string} [chosen]
 */
function choice(label, attributes, options, chosen) {
  const list = options.map(([value, text]) => el("option", { value, selected: value === chosen }, text));
  return el("label", {}, el("span", {}, label), el("select", attributes, list));
}

/**
 * A share as a percentage.
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
function percent(value, digits = 1) {
  return value === null || value === undefined ? "–" : (100 * value).toFixed(digits);
}

/**
 * An IoU with two digits.
 * @param {number | null | undefined} value
 */
function two(value) {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}
