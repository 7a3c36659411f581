// @ts-check
/** A sum over pairs on the page: one row a part, with images and words, as a waterfall. */

import { element, fromTemplate, part, svg } from "../dom.js";
import { number, signed } from "../numbers.js";
import { addressOf, named } from "./pair_names.js";
import { placeOf, rangeOf, stepsOf } from "./waterfall.js";

/**
 * @typedef {object} RowActions
 * @property {(address: string) => void} map show where in the picture this pair's value comes from
 * @property {(address: string) => void} off switch this pair off
 */

/**
 * @param {import("./waterfall.js").Sum} sum
 * @param {RowActions} actions
 * @returns {HTMLElement} a list
 */
export function pairRows(sum, actions) {
  const steps = stepsOf(sum);
  const range = rangeOf(steps);
  return element(
    "ol",
    { class: "pair-rows", "aria-label": sum.title },
    ...steps.map((step) =>
      step.pair ? pairRow(step, step.pair, range, actions) : plainRow(step, range),
    ),
  );
}

/**
 * @param {import("./waterfall.js").Step} step
 * @param {import("./wire.js").PairContribution} pair
 * @param {{low: number, high: number}} range
 * @param {RowActions} actions
 */
function pairRow(step, pair, range, actions) {
  const row = fromTemplate("pair-row");
  const address = addressOf(pair);
  part(row, "[data-pair-link]", HTMLAnchorElement).href = pair.url;
  part(row, "[data-images]", HTMLElement).append(...pair.thumbnails.slice(0, 3).map(thumb));
  part(row, "[data-words]", HTMLElement).replaceChildren(...words(pair));
  part(row, "[data-name]", HTMLElement).textContent = `(${pair.neuron}, ${pair.head})`;
  part(row, "[data-bar]", HTMLElement).append(bar(step, range));
  part(row, "[data-value]", HTMLElement).textContent = signed(step.value);
  /** @type {["map" | "off", string][]} */
  const buttons = [
    ["map", `Map of pair ${address} on the picture`],
    ["off", `Switch off pair ${address}`],
  ];
  for (const [name, label] of buttons) {
    const button = part(row, `[data-${name}]`, HTMLButtonElement);
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => actions[name](address));
  }
  return row;
}

/**
 * @param {import("./waterfall.js").Step} step
 * @param {{low: number, high: number}} range
 */
function plainRow(step, range) {
  return element(
    "li",
    { class: step.total ? "pair-row pair-row--sum" : "pair-row pair-row--plain" },
    element("span", { class: "pair-row__words" }, step.label),
    element("span", { class: "pair-row__bar" }, bar(step, range)),
    element(
      "span",
      { class: "pair-row__value" },
      step.total ? number(step.value) : signed(step.value),
    ),
  );
}

/**
 * The first words of a pair, those that it points away from with a minus.
 * @param {{words: import("./wire.js").Word[]}} pair
 * @returns {(Node | string)[]}
 */
function words({ words: all }) {
  if (all.length === 0) return ["no words"];
  return all.slice(0, 3).flatMap((word, place) => {
    const kind = word.weight < 0 ? "word word--away" : "word";
    const shown = element("span", { class: kind }, named(word));
    return place === 0 ? [shown] : [element("span", { class: "dot" }, " · "), shown];
  });
}

/** @param {{url: string, heatmap_url: string | null}} image */
function thumb({ url, heatmap_url }) {
  const size = { width: "128", height: "128", alt: "", loading: "lazy", decoding: "async" };
  const place = element("span", { class: "thumb" }, element("img", { src: url, ...size }));
  if (heatmap_url)
    place.append(element("img", { class: "thumb__heat", src: heatmap_url, ...size }));
  return place;
}

/**
 * @param {import("./waterfall.js").Step} step
 * @param {{low: number, high: number}} range
 */
function bar(step, range) {
  const { left, right, cutLeft, cutRight } = placeOf(step, range);
  const kind = step.total ? "sum" : step.value < 0 ? "away" : "toward";
  const zero = (100 * -range.low) / (range.high - range.low || 1);
  return svg(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { class: "axis", x1: zero, x2: zero, y1: -2, y2: 12 }),
    svg("rect", {
      class: kind,
      x: 100 * left,
      y: 1,
      width: Math.max(0.4, 100 * (right - left)),
      height: 8,
    }),
    ...(cutLeft ? [svg("path", { class: kind, d: "M0 1L-1.6 5L0 9z" })] : []),
    ...(cutRight ? [svg("path", { class: kind, d: "M100 1L101.6 5L100 9z" })] : []),
  );
}
