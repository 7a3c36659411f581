// @ts-check
/** Putting pairs on the list from wherever they are shown, and the way to the list. */

import { announce } from "./announce.js";
import { addressOf, collectionOf, keepCollection, MOST_PAIRS, onChange } from "./collection.js";

const PAIR_ADDRESS = /\/([^/]+)\/pairs\/(\d+)\/(\d+)$/;

export function wireCollecting() {
  const link = document.querySelector("a[data-collection]");
  const page = link instanceof HTMLAnchorElement ? link.getAttribute("href") ?? "" : "";
  const draw = () => {
    for (const button of document.querySelectorAll("[data-collect]")) mark(button);
    if (link instanceof HTMLAnchorElement) count(link, page);
  };
  document.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("[data-collect]");
    if (button) toggle(button);
  });
  onChange(draw);
  // A page that comes back from the browser's memory may be older than the list.
  addEventListener("pageshow", draw);
  draw();
}

/**
 * @param {Element} button
 * @returns {{model: string, pair: string}}
 */
function subject(button) {
  const found = PAIR_ADDRESS.exec(button.getAttribute("data-collect") ?? "");
  if (!found) throw new Error("a button collects what is no pair");
  return { model: decodeURIComponent(found[1]), pair: `${found[2]}.${found[3]}` };
}

/** @param {Element} button */
function mark(button) {
  const { model, pair } = subject(button);
  const held = collectionOf(model).entries.some((entry) => entry.pair === pair);
  button.setAttribute("aria-pressed", String(held));
  if (button.hasAttribute("data-collect-long"))
    button.textContent = held ? "In your collection" : "Add to collection";
}

/** @param {Element} button */
function toggle(button) {
  const { model, pair } = subject(button);
  const list = collectionOf(model);
  const without = list.entries.filter((entry) => entry.pair !== pair);
  const adds = without.length === list.entries.length;
  if (adds && without.length >= MOST_PAIRS) {
    announce(`A collection holds at most ${MOST_PAIRS} pairs.`);
    return;
  }
  keepCollection(model, { ...list, entries: adds ? [...without, { pair, note: "" }] : without });
  announce(adds ? "Added to your collection" : "Taken off your collection");
}

/**
 * @param {HTMLAnchorElement} link
 * @param {string} page
 */
function count(link, page) {
  const list = collectionOf(link.dataset.collection ?? "");
  link.href = addressOf(page, list);
  const place = link.querySelector("[data-collection-count]");
  if (place) place.textContent = list.entries.length > 0 ? String(list.entries.length) : "";
}
