// @ts-check
/** How pairs are named. */

/**
 * As addresses and the API name a pair.
 * @param {{neuron: number, head: number}} pair
 */
export function addressOf({ neuron, head }) {
  return `${neuron}.${head}`;
}

/**
 * A word of a pair; those that it points away from have a minus.
 * @param {import("./wire.js").Word} word
 */
export function named({ word, weight }) {
  return weight < 0 ? `\u2212${word}` : word;
}
