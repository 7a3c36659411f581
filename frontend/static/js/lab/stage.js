// @ts-check
/** The picture under a mask or a map: opacity, one class alone, and what is at a place of it. */

import { announce } from "../announce.js";
import { part } from "../dom.js";
import { recall, remember } from "../memory.js";
import { number } from "../numbers.js";
import { Cursor, WHOLE, cover, within } from "./cursor.js";
import { BACKGROUND, drawMask, readMask } from "./mask.js";

/** Classes whose logits are read out at a place, the strongest first. */
const CLASSES_READ = 3;

/** @typedef {{name: string, colour: string, logits: import("./wire.js").Cells | null}} StageClass */

/**
 * @typedef {object} StageMap
 * @property {string} url a picture of the map, transparent where it is zero
 * @property {string} title
 * @property {import("./wire.js").Cells} cells
 * @property {number} scale the value at full colour
 * @property {import("./wire.js").Region | null} region what it covers; null for all of the picture
 * @property {import("./cursor.js").Choice} [choice] what a press asks; else what it asks of the mask
 */

export class Stage {
  /**
   * @param {HTMLElement} root
   * @param {StageClass[]} classes by place
   */
  constructor(root, classes) {
    this.root = root;
    this.classes = classes;
    this.layers = part(root, "[data-layers]", HTMLElement);
    this.overlay = part(root, "[data-overlay]", HTMLImageElement);
    this.canvas = part(root, "[data-isolated]", HTMLCanvasElement);
    this.reading = part(root, "[data-under-pointer]", HTMLElement);
    /** @type {import("./mask.js").Mask | null} */
    this.mask = null;
    /** The class that is wanted alone. */
    this.alone = -1;
    /** @type {StageMap | null} */
    this.map = null;
    /** @type {Cursor | null} of the mask's cells */
    this.cells = null;
    /** @type {Cursor | null} of what is chosen from now */
    this.cursor = null;
    void this.#readMask();
    this.#wireOpacity();
    fit(this.layers);
    this.layers.addEventListener("pointermove", (event) => this.#point(event));
    this.layers.addEventListener("pointerleave", () => (this.reading.textContent = ""));
    part(root, "[data-map-close]", HTMLElement).addEventListener("click", () => {
      this.showMask();
      this.layers.focus();
    });
  }

  /**
   * Let people choose a cell, by pointer or with arrow keys and Enter.
   * @param {{rows: number, columns: number}} grid
   * @param {(row: number, column: number) => void} onChoose
   */
  offerCells({ rows, columns }, onChoose) {
    const { layers } = this;
    const choice = { label: layers.dataset.label ?? "", onChoose };
    this.cells = new Cursor(this.#mark, { rows, columns, region: WHOLE }, choice);
    layers.tabIndex = 0;
    layers.setAttribute("role", "application");
    layers.classList.add("stage__layers--chosen-from");
    this.#chooseFrom(this.cells);
    layers.addEventListener("click", (event) => {
      const at = this.#place(event);
      if (at && this.cursor?.moveTo(at)) this.cursor.choose();
    });
    layers.addEventListener("keydown", (event) => {
      const { cursor } = this;
      if (!cursor || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Enter" || event.key === " ") cursor.choose();
      else if (!cursor.press(event.key)) return;
      event.preventDefault();
      const { x, y } = cursor.middle;
      const text = this.#reading(x, y);
      this.reading.textContent = text;
      announce(`Row ${cursor.row + 1}, column ${cursor.column + 1}: ${text}`);
    });
  }

  /**
   * Mark a cell of the mask as the one that is spoken of.
   * @param {number} row
   * @param {number} column
   */
  markCell(row, column) {
    this.cells?.keep(row, column);
    this.cursor?.draw();
  }

  /**
   * Mark a cell of the map that is shown.
   * @param {number} row
   * @param {number} column
   */
  markOnMap(row, column) {
    if (this.cursor !== this.cells) this.cursor?.keep(row, column);
  }

  /** @param {Cursor | null} cursor */
  #chooseFrom(cursor) {
    this.cursor = cursor;
    if (!cursor) return;
    this.layers.setAttribute("aria-label", cursor.choice.label);
    cursor.draw();
  }

  get #mark() {
    return part(this.layers, "[data-cursor]", HTMLElement);
  }

  /**
   * Show one class alone; all of them for -1.
   * @param {number} place
   */
  isolate(place) {
    this.alone = place;
    const alone = place >= 0 && this.mask !== null && this.map === null;
    this.overlay.hidden = alone || this.map !== null;
    this.canvas.hidden = !alone;
    if (alone && this.mask) {
      const colours = this.classes.map((kind) => kind.colour);
      drawMask(this.canvas, this.mask, colours, place);
    }
  }

  /**
   * Show a signed map in place of the mask, with its scale.
   * @param {StageMap} map
   */
  showMap(map) {
    this.map = map;
    const image = part(this.layers, "[data-map]", HTMLImageElement);
    const region = map.region ?? WHOLE;
    cover(image, region);
    image.src = map.url;
    image.alt = map.title;
    image.hidden = false;
    part(this.root, "[data-map-title]", HTMLElement).textContent = map.title;
    part(this.root, "[data-map-low]", HTMLElement).textContent = number(-map.scale);
    part(this.root, "[data-map-high]", HTMLElement).textContent = `+${number(map.scale)}`;
    this.#label(true);
    this.isolate(this.alone);
    const grid = { rows: map.cells.length, columns: map.cells[0].length, region };
    this.#chooseFrom(map.choice ? new Cursor(this.#mark, grid, map.choice) : this.cells);
    announce(`The picture shows: ${map.title}`);
  }

  /** Show the mask again. */
  showMask() {
    this.map = null;
    part(this.layers, "[data-map]", HTMLImageElement).hidden = true;
    this.#label(false);
    this.isolate(this.alone);
    this.#chooseFrom(this.cells);
  }

  /**
   * Show another mask of the same classes.
   * @param {{overlay_url: string, mask_url: string}} result
   */
  showResult({ overlay_url, mask_url }) {
    this.showMask();
    if (this.overlay.getAttribute("src") === overlay_url) return;
    this.overlay.src = overlay_url;
    this.root.dataset.mask = mask_url;
    this.mask = null;
    void this.#readMask();
  }

  /** @param {boolean} map whether a map is shown */
  #label(map) {
    part(this.root, "[data-map-about]", HTMLElement).hidden = !map;
    part(this.root, "[data-mask-about]", HTMLElement).hidden = map;
    this.reading.textContent = "";
  }

  #wireOpacity() {
    const slider = part(this.root, "[data-opacity]", HTMLInputElement);
    const known = recall("mask-opacity");
    if (typeof known === "number") slider.value = String(known);
    const apply = () =>
      this.layers.style.setProperty("--mask-opacity", String(Number(slider.value) / 100));
    slider.addEventListener("input", apply);
    slider.addEventListener("change", () => remember("mask-opacity", Number(slider.value)));
    apply();
  }

  async #readMask() {
    const url = this.root.dataset.mask ?? "";
    try {
      const mask = await readMask(
        url,
        this.classes.map((kind) => kind.colour),
      );
      if (this.root.dataset.mask !== url) return;
      this.mask = mask;
      this.isolate(this.alone);
    } catch {
      // Without its pixels the mask is still a picture; it only has no names under the pointer.
    }
  }

  /** @param {PointerEvent} event */
  #point(event) {
    const at = this.#place(event);
    this.reading.textContent = at ? this.#reading(at.x, at.y) : "";
  }

  /**
   * @param {MouseEvent} event
   * @returns {{x: number, y: number} | null} in widths and heights of the picture
   */
  #place(event) {
    const box = this.layers.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : null;
  }

  /**
   * The class at a place and the strongest logits there; of a map, its value.
   * @param {number} x from the left, in widths of the picture
   * @param {number} y from the top, in heights of the picture
   */
  #reading(x, y) {
    if (this.map) return this.#valueOnMap(this.map, x, y);
    if (!this.mask) return "";
    const { width, height, places } = this.mask;
    const place = places[Math.floor(y * height) * width + Math.floor(x * width)];
    const name = place === BACKGROUND ? "background" : (this.classes[place]?.name ?? "");
    const logits = this.classes
      .flatMap(({ name: other, logits: cells }) =>
        cells ? [{ other, logit: cellAt(cells, x, y) }] : [],
      )
      .sort((one, two) => two.logit - one.logit)
      .slice(0, CLASSES_READ)
      .map(({ other, logit }) => `${other} ${number(logit)}`);
    const { above } = this.root.dataset;
    const of = above ? `above ${above}: ` : "";
    return logits.length > 0 ? `${name} (${of}${logits.join(", ")})` : name;
  }

  /**
   * @param {StageMap} map
   * @param {number} x
   * @param {number} y
   */
  #valueOnMap({ cells, region }, x, y) {
    const inside = within(region ?? WHOLE, { x, y });
    if (!inside) return "outside of what the model sees at once";
    return number(cellAt(cells, inside.x, inside.y));
  }
}

/**
 * Make the layers as wide as their picture is drawn, so that a place in them is one in the picture.
 * @param {HTMLElement} layers
 */
export function fit(layers) {
  const picture = layers.querySelector("img");
  const apply = () => {
    if (!picture) return;
    const width = picture.naturalWidth || Number(picture.getAttribute("width"));
    const height = picture.naturalHeight || Number(picture.getAttribute("height"));
    if (width && height) layers.style.setProperty("--ratio", String(width / height));
  };
  picture?.addEventListener("load", apply);
  apply();
}

/**
 * @param {import("./wire.js").Cells} cells
 * @param {number} x in [0, 1)
 * @param {number} y in [0, 1)
 */
function cellAt(cells, x, y) {
  return cells[Math.floor(y * cells.length)][Math.floor(x * cells[0].length)];
}
