// @ts-check
/** Results as the server draws them and as the API tells them, kept for undo and redo. */

import { call } from "../api.js";

/** Steps whose results need not be fetched again; each is up to 200 KB. */
const STEPS_KEPT = 50;

/** @typedef {import("./wire.js").Segmentation} Segmentation */

export class Drawn {
  /** @param {string} api address of the model in the API */
  constructor(api) {
    this.api = api;
    /** @type {Map<string, string>} */
    this.pages = new Map();
    /** @type {Map<string, Segmentation>} */
    this.results = new Map();
  }

  /**
   * The page at an address.
   * @param {string} url
   * @param {AbortSignal} [signal]
   */
  async page(url, signal) {
    const known = this.pages.get(url);
    if (known !== undefined) return known;
    const answer = await fetch(url, { signal });
    if (!answer.ok) throw new Error("The result could not be shown.");
    const html = await answer.text();
    keep(this.pages, url, html);
    return html;
  }

  /**
   * The result of an id.
   * @param {string} id
   * @returns {Promise<Segmentation>}
   */
  async result(id) {
    return this.results.get(id) ?? (await call(`${this.api}/segmentations/${id}`));
  }

  /** @param {Segmentation} made */
  keep(made) {
    keep(this.results, made.id, made);
  }
}

/**
 * @template T
 * @param {Map<string, T>} map
 * @param {string} key
 * @param {T} value
 */
function keep(map, key, value) {
  const [oldest] = map.keys();
  if (map.size >= STEPS_KEPT && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}
