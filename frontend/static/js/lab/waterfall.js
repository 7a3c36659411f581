// @ts-check
/** A sum as a waterfall: every bar begins where the one before it ended, the last is the sum. */

import { svg } from "../dom.js";
import { count, number, signed } from "../numbers.js";
import { addressOf, named } from "./pair_names.js";

const WIDTH = 560;
const ROW = 24;
const LABEL = 232;
const VALUE = 66;
const BASE = 30;

/** Colours of a drawing that stands by itself; the page's own bars take theirs from its stylesheet. */
const INK = { text: "#1c1b18", muted: "#605c53", line: "#8d887c", toward: "#d55e00", away: "#0072b2" };

/**
 * @typedef {object} Sum parts that add up to a total, exactly
 * @property {string} title what the total is
 * @property {string} totalName
 * @property {number} total
 * @property {number | null} constant the model's own; null where there is none
 * @property {import("./wire.js").PairContribution[]} pairs
 * @property {{contribution: number, pairs: number}} remainder
 */

/**
 * @typedef {object} Step
 * @property {string} label
 * @property {number} value
 * @property {number} from where its bar begins
 * @property {number} to where it ends
 * @property {import("./wire.js").PairContribution} [pair]
 * @property {boolean} [total]
 */

/**
 * The steps from nothing to the total: constant, pairs, all other pairs, sum.
 * @param {Sum} sum
 * @returns {Step[]}
 */
export function stepsOf({ constant, pairs, remainder, total, totalName }) {
  let reached = 0;
  const step = (/** @type {string} */ label, /** @type {number} */ value) => {
    reached += value;
    return { label, value, from: reached - value, to: reached };
  };
  return [
    ...(constant === null ? [] : [step("constant of the model", constant)]),
    ...pairs.map((pair) => ({ ...step(labelOf(pair), pair.contribution), pair })),
    step(`${count(remainder.pairs)} other pairs`, remainder.contribution),
    { label: totalName, value: total, from: 0, to: total, total: true },
  ];
}

/**
 * The ends of the axis that all bars fit on; zero is on it.
 * @param {Step[]} steps
 */
export function rangeOf(steps) {
  const ends = steps.flatMap(({ from, to }) => [from, to]);
  return { low: Math.min(0, ...ends), high: Math.max(0, ...ends) };
}

/**
 * A drawing that can be kept as a file.
 * @param {Sum} sum
 * @returns {SVGElement}
 */
export function waterfall(sum) {
  const steps = stepsOf(sum);
  const { low, high } = rangeOf(steps);
  const room = WIDTH - LABEL - VALUE - 12;
  const x = (/** @type {number} */ value) => LABEL + 6 + (room * (value - low)) / (high - low || 1);
  const height = BASE + ROW * steps.length + 6;
  return svg(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
      "font-family": "system-ui, sans-serif",
      "font-size": 12,
    },
    svg("title", {}, sum.title),
    svg("rect", { width: WIDTH, height, fill: "#ffffff" }),
    svg("text", { x: 4, y: 14, "font-weight": 600, fill: INK.text }, sum.title),
    svg("line", { x1: x(0), x2: x(0), y1: BASE - 8, y2: height - 4, stroke: INK.line }),
    ...steps.map((step, place) => row(step, BASE + ROW * place, x)),
  );
}

/**
 * @param {Step} step
 * @param {number} top
 * @param {(value: number) => number} x
 */
function row({ label, value, from, to, total }, top, x) {
  const text = { y: top + 15, fill: total ? INK.text : INK.muted, "text-anchor": "end" };
  return svg(
    "g",
    {},
    svg("text", { ...text, x: LABEL - 4 }, shortened(label)),
    svg("rect", {
      x: Math.min(x(from), x(to)),
      y: top + 4,
      width: Math.max(1, Math.abs(x(to) - x(from))),
      height: ROW - 9,
      fill: total ? INK.text : value < 0 ? INK.away : INK.toward,
    }),
    svg("text", { ...text, x: WIDTH - 4 }, total ? number(value) : signed(value)),
  );
}

/** @param {import("./wire.js").PairContribution} pair */
function labelOf(pair) {
  return `${pair.words.slice(0, 2).map(named).join(" · ")} (${addressOf(pair)})`;
}

/** @param {string} label */
function shortened(label) {
  const most = 36;
  if (label.length <= most) return label;
  const end = label.slice(label.lastIndexOf(" ("));
  return `${label.slice(0, most - end.length - 1)}…${end}`;
}
