// @ts-check
/** The picture under its mask: opacity, one class alone, and what is under the pointer. */

import { recall, remember } from "../memory.js";
import { BACKGROUND, drawMask, readMask } from "./mask.js";

/** @typedef {{name: string, colour: string}} StageClass */

export class Stage {
  /**
   * @param {HTMLElement} root
   * @param {StageClass[]} classes by place
   */
  constructor(root, classes) {
    this.root = root;
    this.classes = classes;
    this.layers = part(root, "[data-layers]");
    this.overlay = part(root, "[data-overlay]");
    this.canvas = /** @type {HTMLCanvasElement} */ (part(root, "[data-isolated]"));
    this.reading = part(root, "[data-under-pointer]");
    /** @type {import("./mask.js").Mask | null} */
    this.mask = null;
    /** The class that is wanted alone. */
    this.alone = -1;
    void this.#readMask();
    this.#wireOpacity();
    fit(this.layers);
    this.layers.addEventListener("pointermove", (event) => this.#read(event));
    this.layers.addEventListener("pointerleave", () => (this.reading.textContent = ""));
  }

  /**
   * Show one class alone; all of them for -1.
   * @param {number} place
   */
  isolate(place) {
    this.alone = place;
    const alone = place >= 0 && this.mask !== null;
    this.overlay.hidden = alone;
    this.canvas.hidden = !alone;
    if (alone && this.mask) {
      const colours = this.classes.map((kind) => kind.colour);
      drawMask(this.canvas, this.mask, colours, place);
    }
  }

  #wireOpacity() {
    const slider = /** @type {HTMLInputElement} */ (part(this.root, "[data-opacity]"));
    const known = recall("mask-opacity");
    if (typeof known === "number") slider.value = String(known);
    const apply = () =>
      this.layers.style.setProperty("--mask-opacity", String(Number(slider.value) / 100));
    slider.addEventListener("input", apply);
    slider.addEventListener("change", () => remember("mask-opacity", Number(slider.value)));
    apply();
  }

  async #readMask() {
    try {
      this.mask = await readMask(this.root.dataset.mask ?? "");
      this.isolate(this.alone);
    } catch {
      // Without its pixels the mask is still a picture; it only has no names under the pointer.
    }
  }

  /** @param {PointerEvent} event */
  #read(event) {
    const box = this.layers.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    this.reading.textContent = x >= 0 && y >= 0 && x < 1 && y < 1 ? this.#name(x, y) : "";
  }

  /**
   * @param {number} x from the left, in widths of the picture
   * @param {number} y from the top, in heights of the picture
   */
  #name(x, y) {
    if (!this.mask) return "";
    const { width, height, places } = this.mask;
    const place = places[Math.floor(y * height) * width + Math.floor(x * width)];
    return place === BACKGROUND ? "background" : (this.classes[place]?.name ?? "");
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
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {HTMLElement}
 */
function part(root, selector) {
  const found = root.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`the stage lacks ${selector}`);
  return found;
}
