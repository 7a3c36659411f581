// @ts-check
/** Plots that the server drew, taken away as files. */

import { save } from "./save.js";

/** What the stylesheet says of a plot: a file has none, so each part carries its own. */
const DRAWN = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-linejoin",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
];

/** Buttons with the file's name in `data-save-plot` save the plot of their figure. */
export function wirePlots() {
  for (const button of document.querySelectorAll("[data-save-plot]")) {
    const plot = button.closest("figure")?.querySelector("svg");
    if (!plot) continue;
    button.addEventListener("click", () => {
      const name = `${/** @type {HTMLElement} */ (button).dataset.savePlot}.svg`;
      save(name, "image/svg+xml", new XMLSerializer().serializeToString(standingAlone(plot)));
    });
  }
}

/**
 * @param {SVGSVGElement} plot
 * @returns {Node} a copy that looks the same without the page's stylesheet, on the page's ground
 */
function standingAlone(plot) {
  const copy = /** @type {SVGSVGElement} */ (plot.cloneNode(true));
  const parts = copy.querySelectorAll("*");
  plot.querySelectorAll("*").forEach((part, place) => {
    const style = getComputedStyle(part);
    for (const name of DRAWN) parts[place].setAttribute(name, style.getPropertyValue(name));
  });
  const ground = document.createElementNS(copy.namespaceURI, "rect");
  ground.setAttribute("width", "100%");
  ground.setAttribute("height", "100%");
  ground.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
  copy.prepend(ground);
  return copy;
}
