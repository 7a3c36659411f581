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

/** Bars are cut when all of them together are this many times as long as the named pairs'. */
const CUT = 2.5;

/** Room for the bars that are cut, in lengths of the named pairs' part of the axis. */
const BEYOND = 0.15;

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
 * The ends of the axis; zero is on it.  Where the many small pairs outweigh the named ones, the
 * axis is that of the named ones, and longer bars are cut at its end.
 * @param {Step[]} steps
 * @returns {{low: number, high: number}}
 */
export function rangeOf(steps) {
  const all = endsOf(steps);
  const named = endsOf(steps.filter((step) => step.pair));
  const cut = all.high - all.low > CUT * (named.high - named.low) && named.high > named.low;
  if (!cut) return all;
  const beyond = BEYOND * (named.high - named.low);
  return {
    low: Math.max(all.low, named.low - (named.low < 0 ? beyond : 0)),
    high: Math.min(all.high, named.high + beyond),
  };
}

/** @param {Step[]} steps */
function endsOf(steps) {
  const ends = steps.flatMap(({ from, to }) => [from, to]);
  return { low: Math.min(0, ...ends), high: Math.max(0, ...ends) };
}

/**
 * Where a bar lies on an axis, in shares of its length, and whether an end of it is beyond.
 * @param {Step} step
 * @param {{low: number, high: number}} range
 */
export function placeOf({ from, to }, { low, high }) {
  const share = (/** @type {number} */ value) => (value - low) / (high - low || 1);
  const left = share(Math.min(from, to));
  const right = share(Math.max(from, to));
  return {
    left: Math.max(left, 0),
    right: Math.min(Math.max(right, 0), 1),
    cutLeft: left < -1e-9,
    cutRight: right > 1 + 1e-9,
  };
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
    ...steps.map((step, place) => row(step, BASE + ROW * place, { low, high }, x)),
  );
}

/**
 * @param {Step} step
 * @param {number} top
 * @param {{low: number, high: number}} range
 * @param {(value: number) => number} x
 */
function row(step, top, range, x) {
  const { label, value, total } = step;
  const { left, right, cutLeft, cutRight } = placeOf(step, range);
  const across = (/** @type {number} */ share) => x(range.low + share * (range.high - range.low));
  const fill = total ? INK.text : value < 0 ? INK.away : INK.toward;
  const middle = top + ROW / 2;
  const text = { y: top + 15, fill: total ? INK.text : INK.muted, "text-anchor": "end" };
  return svg(
    "g",
    {},
    svg("text", { ...text, x: LABEL - 4 }, shortened(label)),
    svg("rect", {
      x: across(left),
      y: top + 4,
      width: Math.max(1, across(right) - across(left)),
      height: ROW - 9,
      fill,
    }),
    ...(cutLeft ? [arrow(across(0), middle - 1, -5, fill)] : []),
    ...(cutRight ? [arrow(across(1), middle - 1, 5, fill)] : []),
    svg("text", { ...text, x: WIDTH - 4 }, total ? number(value) : signed(value)),
  );
}

/**
 * The end of a bar that goes on beyond the axis.
 * @param {number} x
 * @param {number} y
 * @param {number} length negative to the left
 * @param {string} fill
 */
function arrow(x, y, length, fill) {
  return svg("path", { d: `M${x} ${y - 7}l${length} 7l${-length} 7z`, fill });
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
