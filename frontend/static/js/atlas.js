// @ts-check
/** The map of all pairs: nothing of it is loaded before it comes into view. */

import { showProblem } from "./api.js";
import { drawMap } from "./atlas/map.js";
import { loadPlotly } from "./atlas/plotly.js";
import { fetchPairs } from "./atlas/pairs.js";

const NEAR = "300px";

/** @param {HTMLElement} root */
function start(root) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      void open(root);
    },
    { rootMargin: NEAR },
  );
  observer.observe(root);
}

/** @param {HTMLElement} root */
async function open(root) {
  const problem = /** @type {HTMLElement} */ (root.querySelector("[data-map-problem]"));
  if (!hasWebGL()) {
    problem.hidden = false;
    root.dataset.state = "failed";
    return;
  }
  try {
    const [plotly, pairs] = await Promise.all([
      loadPlotly(root.dataset.plotly ?? ""),
      fetchPairs(root.dataset.map ?? ""),
    ]);
    await drawMap(root, plotly, pairs);
    root.dataset.state = "ready";
  } catch (error) {
    showProblem(problem, error);
    root.dataset.state = "failed";
  }
}

function hasWebGL() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl"));
}

const root = document.querySelector("[data-atlas]");
if (root instanceof HTMLElement) start(root);
