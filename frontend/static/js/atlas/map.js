// @ts-check
/** Draws the map with Plotly, and turns what is pointed at or chosen on it into pairs. */

import { announce } from "../announce.js";
import { HoverCard } from "./card.js";
import { Chosen } from "./chosen.js";
import { colouring, headColour, normScale } from "./colours.js";
import { writeLabels } from "./labels.js";
import { pointsWithin, readRegion, simplified } from "./region.js";

/** Pixels across a point: from some thousand pairs to 150,000. */
const LARGEST_POINT = 5;
const SMALLEST_POINT = 2.2;

const FULL_VIEW = 1.04;
const ZOOM_STEP = 1.5;
const HOVER_PIXELS = 14;
const DIM = 0.07;

const CONFIG = {
  displayModeBar: false,
  displaylogo: false,
  scrollZoom: true,
  doubleClick: "reset",
  showTips: false,
  responsive: true,
};

/**
 * @param {HTMLElement} root
 * @param {any} plotly
 * @param {import("./pairs.js").Pairs} pairs
 */
export async function drawMap(root, plotly, pairs) {
  const map = new PairsMap(root, plotly, pairs);
  await map.draw();
  map.listen();
}

class PairsMap {
  /**
   * @param {HTMLElement} root
   * @param {any} plotly
   * @param {import("./pairs.js").Pairs} pairs
   */
  constructor(root, plotly, pairs) {
    this.root = root;
    this.plotly = plotly;
    this.pairs = pairs;
    this.plot = /** @type {any} */ (root.querySelector("[data-plot]"));
    this.pairPage = root.dataset.pairPage ?? "";
    this.touch = matchMedia("(pointer: coarse)").matches;
    const card = /** @type {HTMLElement} */ (root.querySelector("[data-hover-card]"));
    this.card = new HoverCard(card, root.dataset.pairs ?? "");
    this.chosen = new Chosen(root);
    this.labelling = 0;
    this.region = readRegion(root.dataset.region ?? "");
  }

  get kind() {
    const chosen = this.root.querySelector("[name=colour]:checked");
    return /** @type {import("./colours.js").Kind} */ (
      chosen instanceof HTMLInputElement ? chosen.value : "norm"
    );
  }

  get dark() {
    const { theme } = document.documentElement.dataset;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  async draw() {
    const { pairs } = this;
    const size = Math.min(LARGEST_POINT, Math.max(SMALLEST_POINT, 420 / Math.sqrt(pairs.x.length)));
    const points = {
      type: "scattergl",
      mode: "markers",
      x: pairs.x,
      y: pairs.y,
      marker: { size, ...this.#colours() },
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: DIM } },
      selectedpoints: this.#within(this.region),
      hoverinfo: "none",
    };
    await this.plotly.newPlot(this.plot, [points], this.#layout(), CONFIG);
    this.#label();
    this.#drawLegend();
  }

  listen() {
    const { plot, root } = this;
    // A finger scrolls the page until it is given something to do on the map.
    if (this.touch)
      for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (
        root.querySelectorAll("[name=drag]")
      ))
        input.checked = false;
    plot.on("plotly_hover", (/** @type {any} */ event) => this.#hover(event));
    plot.on("plotly_unhover", () => this.touch || this.card.hide());
    plot.on("plotly_click", (/** @type {any} */ event) => this.#press(event));
    plot.on("plotly_selected", (/** @type {any} */ event) => void this.#select(event));
    plot.on("plotly_deselect", () => void this.#choose([]));
    for (const event of ["plotly_relayout", "plotly_relayouting"])
      plot.on(event, () => this.#labelSoon());
    // The wheel scrolls the page, as everywhere; with Ctrl, as a pinch sends it, it zooms the map.
    const left = (/** @type {WheelEvent} */ event) =>
      event.ctrlKey || event.metaKey || event.stopImmediatePropagation();
    plot.addEventListener("wheel", left, { capture: true, passive: true });
    root.addEventListener("change", (event) => this.#change(event));
    root.addEventListener("click", (event) => this.#click(event));
    new MutationObserver(() => this.#recolour()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
  }

  #layout() {
    const axis = { visible: false, range: [-FULL_VIEW, FULL_VIEW] };
    const ink = getComputedStyle(this.root).color;
    return {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      hovermode: "closest",
      hoverdistance: HOVER_PIXELS,
      dragmode: this.touch ? false : "pan",
      xaxis: axis,
      yaxis: axis,
      newselection: { line: { color: ink, width: 1.5, dash: "solid" } },
      shapes: this.#outline(this.region),
    };
  }

  /** @param {import("./region.js").Point[]} corners */
  #outline(corners) {
    if (corners.length < 3) return [];
    const path = `M${corners.map((corner) => corner.join(",")).join("L")}Z`;
    return [{ type: "path", path, line: { color: getComputedStyle(this.root).color, width: 1.5 } }];
  }

  /** Points that are not dimmed; null for all. @param {import("./region.js").Point[]} corners */
  #within(corners) {
    return corners.length < 3 ? null : pointsWithin(corners, this.pairs.x, this.pairs.y);
  }

  #colours() {
    const { values, scale, least, most } = colouring(this.pairs, this.kind, this.dark);
    return { color: values, colorscale: scale, cmin: least, cmax: most };
  }

  #recolour() {
    const colours = this.#colours();
    const marker = Object.entries(colours).map(([name, value]) => [`marker.${name}`, [value]]);
    void this.plotly.restyle(this.plot, Object.fromEntries(marker), [0]);
    const ink = getComputedStyle(this.root).color;
    const shapes = this.#outline(this.region);
    void this.plotly.relayout(this.plot, { "newselection.line.color": ink, shapes });
    this.#drawLegend();
  }

  /** @param {any} event */
  #pairOf(event) {
    const [point] = event.points;
    const place = this.pairs.place[point.pointNumber];
    const { neurons } = this.pairs;
    const { xaxis, yaxis } = this.plot._fullLayout;
    return {
      neuron: place % neurons,
      head: Math.floor(place / neurons),
      at: { x: xaxis.d2p(point.x), y: yaxis.d2p(point.y) },
    };
  }

  /** @param {any} event */
  #hover(event) {
    const pair = this.#pairOf(event);
    this.card.show(pair, pair.at);
  }

  /**
   * A finger has no hover: its tap shows the card, which holds a link.
   * @param {any} event
   */
  #press(event) {
    const pair = this.#pairOf(event);
    if (this.touch) this.card.show(pair, pair.at);
    else location.assign(`${this.pairPage}/${pair.neuron}/${pair.head}`);
  }

  /** @param {any} event */
  async #select(event) {
    if (!event) return;
    const { lassoPoints: lasso, range } = event;
    if (lasso)
      await this.#choose(simplified(lasso.x.map((/** @type {number} */ x, /** @type {number} */ place) => [x, lasso.y[place]])));
    else if (range) {
      const [[left, right], [bottom, top]] = [range.x, range.y];
      await this.#choose([[left, bottom], [right, bottom], [right, top], [left, top]]);
    }
  }

  /** @param {import("./region.js").Point[]} corners */
  async #choose(corners) {
    this.region = corners;
    // The outline stands for Plotly's own selection, which would offer its corners for dragging.
    const outline = { selections: [], shapes: this.#outline(corners) };
    const points = { selectedpoints: [this.#within(corners)] };
    await this.plotly.update(this.plot, points, outline, [0]);
    await this.chosen.show(corners);
  }

  /** @param {Event} event */
  #change(event) {
    const input = event.target;
    if (!(input instanceof HTMLInputElement)) return;
    if (input.name === "colour") {
      this.#recolour();
      this.chosen.remember("colour", input.value === "norm" ? null : input.value);
      announce(`Coloured by ${input.value}`);
    } else if (input.name === "drag") {
      void this.plotly.relayout(this.plot, { dragmode: input.value });
    }
  }

  /** @param {Event} event */
  #click(event) {
    const button = /** @type {Element} */ (event.target).closest("button");
    if (!(button instanceof HTMLButtonElement)) return;
    if (button.dataset.zoom === "in") this.#zoom(1 / ZOOM_STEP);
    else if (button.dataset.zoom === "out") this.#zoom(ZOOM_STEP);
    else if (button.dataset.zoom === "all") this.#look([-FULL_VIEW, FULL_VIEW], [-FULL_VIEW, FULL_VIEW]);
    else if (button.dataset.head) this.#single(button);
  }

  /** @param {number} factor */
  #zoom(factor) {
    const { xaxis, yaxis } = this.plot._fullLayout;
    const [x, y] = [xaxis.range, yaxis.range].map(([low, high]) => {
      const middle = (low + high) / 2;
      const half = ((high - low) / 2) * factor;
      return /** @type {[number, number]} */ ([middle - half, middle + half]);
    });
    this.#look(x, y);
  }

  /**
   * @param {[number, number]} x
   * @param {[number, number]} y
   */
  #look(x, y) {
    this.card.hide();
    void this.plotly.relayout(this.plot, { "xaxis.range": x, "yaxis.range": y });
  }

  /** Only the pairs of one head, or all again. @param {HTMLButtonElement} button */
  #single(button) {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    for (const other of this.root.querySelectorAll("[data-head]"))
      other.setAttribute("aria-pressed", String(other === button && pressed));
    const head = Number(button.dataset.head);
    const { place, neurons } = this.pairs;
    const points = [];
    for (let point = 0; pressed && point < place.length; point += 1)
      if (Math.floor(place[point] / neurons) === head) points.push(point);
    const undimmed = pressed ? points : this.#within(this.region);
    void this.plotly.restyle(this.plot, { selectedpoints: [undimmed] }, [0]);
    announce(pressed ? `Only head ${head}` : "All heads");
  }

  #labelSoon() {
    cancelAnimationFrame(this.labelling);
    this.labelling = requestAnimationFrame(() => this.#label());
  }

  #label() {
    const { xaxis, yaxis } = this.plot._fullLayout;
    const [width, height] = [xaxis._length, yaxis._length];
    const layer = /** @type {HTMLElement} */ (this.root.querySelector("[data-labels]"));
    writeLabels(layer, this.pairs.clusters, { x: xaxis.range, y: yaxis.range, width, height });
  }

  #drawLegend() {
    for (const legend of this.root.querySelectorAll("[data-legend]"))
      /** @type {HTMLElement} */ (legend).hidden = legend.getAttribute("data-legend") !== this.kind;
    const bar = /** @type {HTMLElement} */ (this.root.querySelector("[data-norm-scale]"));
    const stops = normScale(this.dark).map(([at, colour]) => `${colour} ${100 * at}%`);
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    for (const button of this.root.querySelectorAll("[data-head]")) {
      const swatch = /** @type {HTMLElement} */ (button.firstElementChild);
      swatch.style.background = headColour(Number(button.getAttribute("data-head")), this.dark);
    }
  }
}
