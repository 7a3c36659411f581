// @ts-check
/** The lists that this browser keeps, one for each model, and the addresses that hold them. */

import { recall, remember } from "./memory.js";

/** As many as the server takes: MAX_COLLECTED. */
export const MOST_PAIRS = 60;

const CHANGED = "pairscope:collection";

/** @typedef {{pair: string, note: string}} Entry a pair as neuron.head */
/** @typedef {{title: string, about: string, entries: Entry[]}} Collection */

/**
 * @param {string} model
 * @returns {Collection}
 */
export function collectionOf(model) {
  const kept = /** @type {Partial<Collection> | null} */ (recall(key(model)));
  return {
    title: String(kept?.title ?? ""),
    about: String(kept?.about ?? ""),
    entries: Array.isArray(kept?.entries) ? kept.entries : [],
  };
}

/**
 * @param {string} model
 * @param {Collection} collection
 */
export function keepCollection(model, collection) {
  remember(key(model), collection);
  dispatchEvent(new Event(CHANGED));
}

/**
 * Call back when a list has changed, here or in another tab.
 * @param {() => void} changed
 */
export function onChange(changed) {
  addEventListener(CHANGED, changed);
  addEventListener("storage", (event) => {
    if (event.key === null || event.key.startsWith("pairscope:collection:")) changed();
  });
}

/**
 * The address that holds a list, as the server writes it.
 * @param {string} page the collection page's address without a list
 * @param {Collection} collection
 */
export function addressOf(page, collection) {
  const query = new URLSearchParams();
  if (collection.entries.length > 0)
    query.set("pairs", collection.entries.map((entry) => entry.pair).join(","));
  if (collection.title) query.set("title", collection.title);
  if (collection.about) query.set("about", collection.about);
  if (collection.entries.some((entry) => entry.note))
    for (const entry of collection.entries) query.append("note", entry.note);
  const text = query.toString().replaceAll("%2C", ",");
  return text ? `${page}?${text}` : page;
}

/** @param {string} model */
function key(model) {
  return `collection:${model}`;
}
