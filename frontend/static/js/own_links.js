// @ts-check
/** Share links that this browser made: where they are, and what deletes them. */

import { recall, remember } from "./memory.js";

/**
 * @typedef {object} OwnLink
 * @property {string} id
 * @property {string} url
 * @property {string} token what deletes it
 * @property {string} title
 * @property {string} view the address of what it shows
 */

const KEY = "links";

/** @returns {OwnLink[]} the newest first */
export function ownLinks() {
  const known = recall(KEY);
  return Array.isArray(known) ? known : [];
}

/** @param {OwnLink} link */
export function rememberLink(link) {
  remember(KEY, [link, ...ownLinks()]);
}

/** @param {string} id of a link that is deleted */
export function forgetLink(id) {
  remember(
    KEY,
    ownLinks().filter((link) => link.id !== id),
  );
}

/**
 * Links to a result, whatever else they show.
 * @param {string} segmentation
 */
export function linksTo(segmentation) {
  return ownLinks().filter(
    ({ view }) => new URL(view, location.href).searchParams.get("segmentation") === segmentation,
  );
}
