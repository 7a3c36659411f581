// @ts-check
/** The parts of the page that belong to a result, as the server draws them. */

import { part } from "../dom.js";

const PARTS = ["stage", "doubt", "legend", "methods", "heatmaps"];

/**
 * Put the parts of another drawing of the page in place of those that are shown.
 * @param {HTMLElement} root
 * @param {Document} drawn
 */
export function replaceParts(root, drawn) {
  for (const name of PARTS)
    shown(root, name).replaceChildren(...part(drawn, selector(name), HTMLElement).childNodes);
}

/**
 * Show no result, but leave the picture where it is.
 * @param {HTMLElement} root
 */
export function emptyParts(root) {
  for (const name of PARTS) if (name !== "stage") shown(root, name).replaceChildren();
}

/**
 * Whether what is shown can be seen, but not asked or taken away.
 * @param {HTMLElement} root
 * @param {boolean} inert
 */
export function setInert(root, inert) {
  for (const name of PARTS) shown(root, name).inert = inert;
  part(root, "[data-panels]", HTMLElement).inert = inert;
}

/**
 * @param {HTMLElement} root
 * @param {string} name
 */
function shown(root, name) {
  return part(root, selector(name), HTMLElement);
}

/** @param {string} name */
function selector(name) {
  return `[data-part=${name}]`;
}
