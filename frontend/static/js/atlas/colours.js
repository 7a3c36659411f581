// @ts-check
/** Colours of the map's points: by norm, by head, or by concept. */

/** Far apart round the circle for numbers that follow one another. */
const GOLDEN_ANGLE = 137.508;

/** More would not be told apart. */
const CONCEPT_HUES = 23;

/** @typedef {"norm" | "head" | "concept"} Kind */

/**
 * @param {import("./pairs.js").Pairs} pairs
 * @param {Kind} kind
 * @param {boolean} dark
 * @returns {{values: ArrayLike<number>, scale: [number, string][], least: number, most: number}}
 *   a number for each point, and the colour of each number
 */
export function colouring(pairs, kind, dark) {
  if (kind === "norm")
    return { values: pairs.percentile, scale: normScale(dark), least: 0, most: 100 };
  const { values, hues } = kind === "head" ? byHead(pairs) : byConcept(pairs);
  return { values, scale: steps(hues, dark), least: -0.5, most: hues.length - 0.5 };
}

/**
 * Colour of a head, as everywhere on the map.
 * @param {number} head
 * @param {boolean} dark
 */
export function headColour(head, dark) {
  return shade(hueOf(head), dark);
}

/**
 * Even in lightness to where most pairs are, then fast: the few strong ones stand out.
 * @param {boolean} dark
 * @returns {[number, string][]}
 */
export function normScale(dark) {
  const colours = dark
    ? ["#2f2e2a", "#37423d", "#3d6a60", "#55b39d", "#d5fff2"]
    : ["#e4e0d6", "#c3cfc6", "#7fb0a2", "#0a6656", "#021f1a"];
  return [0, 0.5, 0.85, 0.97, 1].map((at, place) => [at, colours[place]]);
}

/** @param {import("./pairs.js").Pairs} pairs */
function byHead(pairs) {
  const values = Float32Array.from(pairs.place, (p) => Math.floor(p / pairs.neurons));
  return { values, hues: Array.from({ length: pairs.heads }, (_, head) => hueOf(head)) };
}

/**
 * Clusters of the same word share a colour.
 * @param {import("./pairs.js").Pairs} pairs
 */
function byConcept(pairs) {
  const words = [...new Set(pairs.clusters.map((cluster) => cluster.word))];
  const number = new Map(words.map((word, place) => [word, place % CONCEPT_HUES]));
  const own = pairs.clusters.map((cluster) => number.get(cluster.word) ?? 0);
  const values = Float32Array.from(pairs.cluster, (c) => (c < 0 ? 0 : own[c]));
  return { values, hues: Array.from({ length: CONCEPT_HUES }, (_, place) => hueOf(place)) };
}

/** @param {number} place */
function hueOf(place) {
  return (place * GOLDEN_ANGLE) % 360;
}

/**
 * @param {number} hue
 * @param {boolean} dark
 */
function shade(hue, dark) {
  return dark ? `hsl(${hue.toFixed(1)}, 58%, 64%)` : `hsl(${hue.toFixed(1)}, 58%, 42%)`;
}

/**
 * A scale of level steps, one for each hue.
 * @param {number[]} hues
 * @param {boolean} dark
 * @returns {[number, string][]}
 */
function steps(hues, dark) {
  return hues.flatMap((hue, place) => {
    const colour = shade(hue, dark);
    return /** @type {[number, string][]} */ ([
      [place / hues.length, colour],
      [(place + 1) / hues.length, colour],
    ]);
  });
}
