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

/** @returns {Record<string, string>} delete tokens of this browser's uploads */
export function uploads() {
  const known = recall("uploads");
  return known && typeof known === "object" ? /** @type {Record<string, string>} */ (known) : {};
}

/** Uploads whose tokens are remembered: most expire within a day. */
const UPLOADS_REMEMBERED = 50;

/**
 * Keep what deletes an upload.
 * @param {string} image
 * @param {string} token
 */
export function rememberUpload(image, token) {
  const newest = Object.entries({ ...uploads(), [image]: token }).slice(-UPLOADS_REMEMBERED);
  remember("uploads", Object.fromEntries(newest));
}
