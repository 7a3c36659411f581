// @ts-check
/** What the map shows of every pair. */

import { call } from "../api.js";
import { readSafetensors } from "../safetensors.js";

const STEPS = 65535;

/**
 * @typedef {object} Pairs all pairs in the order in which they are drawn: the strongest last, on top
 * @property {Float32Array} x from -1 to 1
 * @property {Float32Array} y
 * @property {Uint32Array} place flat number of each: head * neurons + neuron
 * @property {Int16Array} cluster -1 for none
 * @property {Float32Array} percentile of the norm
 * @property {number} neurons
 * @property {number} heads
 * @property {{word: string, x: number, y: number, pairs: number}[]} clusters
 */

/**
 * @param {string} url of the map's JSON
 * @returns {Promise<Pairs>}
 */
export async function fetchPairs(url) {
  const map = await call(url);
  const response = await fetch(map.arrays_url);
  if (!response.ok) throw new Error("The map's data could not be loaded.");
  const { position, cluster, percentile } = readSafetensors(await response.arrayBuffer());
  const place = Uint32Array.from({ length: map.pairs }, (_, index) => index);
  place.sort((a, b) => percentile[a] - percentile[b]);
  return {
    x: Float32Array.from(place, (p) => (2 * position[2 * p]) / STEPS - 1),
    y: Float32Array.from(place, (p) => (2 * position[2 * p + 1]) / STEPS - 1),
    place,
    cluster: Int16Array.from(place, (p) => cluster[p]),
    percentile: Float32Array.from(place, (p) => percentile[p] / 100),
    neurons: map.neurons,
    heads: map.heads,
    clusters: map.clusters,
  };
}
