// @ts-check
/** Which clusters' words are written on the map: the largest for which there is room. */

const MOST = 90;
const LETTER = 6.6;
const LINE = 17;
const GAP = 8;

/** Pixels by which the stylesheet lifts a word above its clump, which it would cover. */
const LIFT = 5;

/** The same word again only this far away, in pixels. */
const SAME_WORD = 170;

/**
 * @typedef {object} View what of the map is seen, and on how many pixels
 * @property {[number, number]} x
 * @property {[number, number]} y
 * @property {number} width
 * @property {number} height
 */

/**
 * Write the words over the points.
 * @param {HTMLElement} layer
 * @param {import("./pairs.js").Pairs["clusters"]} clusters
 * @param {View} view
 */
export function writeLabels(layer, clusters, view) {
  const labels = labelsFor(clusters, view).map(({ word, x, y }) => {
    const label = document.createElement("span");
    label.textContent = word;
    label.style.left = `${(100 * (x - view.x[0])) / (view.x[1] - view.x[0])}%`;
    label.style.bottom = `${(100 * (y - view.y[0])) / (view.y[1] - view.y[0])}%`;
    return label;
  });
  layer.replaceChildren(...labels);
}

/**
 * @param {import("./pairs.js").Pairs["clusters"]} clusters
 * @param {View} view
 * @returns {import("./pairs.js").Pairs["clusters"]}
 */
function labelsFor(clusters, view) {
  const across = view.width / (view.x[1] - view.x[0]);
  const down = view.height / (view.y[1] - view.y[0]);
  /** @type {{left: number, right: number, y: number, word: string}[]} */
  const taken = [];
  const bySize = clusters.filter((cluster) => cluster.pairs > 0).sort((a, b) => b.pairs - a.pairs);
  return bySize.filter((cluster) => {
    if (taken.length >= MOST) return false;
    const x = (cluster.x - view.x[0]) * across;
    const y = (cluster.y - view.y[0]) * down;
    const half = (cluster.word.length * LETTER) / 2;
    const box = { left: x - half - GAP, right: x + half + GAP, y, word: cluster.word };
    if (box.left < 0 || box.right > view.width || y < 0 || y > view.height - LINE - LIFT) return false;
    if (taken.some((other) => inTheWay(box, other))) return false;
    taken.push(box);
    return true;
  });
}

/**
 * @param {{left: number, right: number, y: number, word: string}} a
 * @param {{left: number, right: number, y: number, word: string}} b
 */
function inTheWay(a, b) {
  const apart = Math.abs(a.y - b.y);
  if (a.word === b.word && apart < SAME_WORD)
    return Math.abs(a.left + a.right - b.left - b.right) / 2 < SAME_WORD;
  return apart < LINE && a.left < b.right && b.left < a.right;
}
