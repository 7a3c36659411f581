// @ts-check
/** What this browser remembers: small JSON values in localStorage, which may be forbidden. */

const PREFIX = "pairscope:";

/**
 * @param {string} key
 * @returns {unknown} null when nothing is remembered
 */
export function recall(key) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key) ?? "null");
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 */
export function remember(key, value) {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works without.
  }
}

/** @returns {Record<string, string>} delete tokens by share id */
export function tokens() {
  const known = recall("tokens");
  return known && typeof known === "object" ? /** @type {Record<string, string>} */ (known) : {};
}
