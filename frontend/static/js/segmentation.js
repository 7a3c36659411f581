// @ts-check
/** Looking at a result: opacity, one class alone, the name under the pointer. */

const NOTHING = 255;

/**
 * @param {ParentNode} root what holds the result
 */
export function wireSegmentation(root) {
  const result = root.querySelector("[data-segmentation]");
  if (result instanceof HTMLElement) new SegmentationView(result);
}

class SegmentationView {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.stage = /** @type {HTMLElement} */ (root.querySelector("[data-stage]"));
    this.overlay = /** @type {HTMLImageElement} */ (root.querySelector("[data-overlay]"));
    this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("[data-isolated]"));
    this.pointer = /** @type {HTMLElement} */ (root.querySelector("[data-under-pointer]"));
    this.buttons = /** @type {HTMLButtonElement[]} */ ([...root.querySelectorAll("[data-class]")]);
    this.kept = -1;
    /** @type {ImageData | null} */
    this.mask = null;
    void this.#readMask();
    this.#wireOpacity();
    for (const [place, button] of this.buttons.entries()) {
      button.addEventListener("mouseenter", () => this.#isolate(place));
      button.addEventListener("mouseleave", () => this.#isolate(this.kept));
      button.addEventListener("focus", () => this.#isolate(place));
      button.addEventListener("blur", () => this.#isolate(this.kept));
      button.addEventListener("click", () => this.#keep(place));
    }
    this.stage.addEventListener("pointermove", (event) => this.#name(event));
    this.stage.addEventListener("pointerleave", () => (this.pointer.textContent = ""));
  }

  #wireOpacity() {
    const slider = /** @type {HTMLInputElement} */ (this.root.querySelector("[data-opacity]"));
    const apply = () =>
      this.stage.style.setProperty("--mask-opacity", String(Number(slider.value) / 100));
    slider.addEventListener("input", apply);
    apply();
  }

  /** The mask's pixels, each the place of a prompt; the same file that is offered for download. */
  async #readMask() {
    const image = new Image();
    image.src = this.root.dataset.mask ?? "";
    try {
      await image.decode();
    } catch {
      return;
    }
    // A scratch canvas as large as the stage's: a picture of 40 megapixels is not needed here.
    const scale = Math.min(1, 1024 / Math.max(image.naturalWidth, image.naturalHeight));
    this.canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
    this.canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
    const scratch = new OffscreenCanvas(this.canvas.width, this.canvas.height);
    const context = scratch.getContext("2d", { willReadFrequently: true });
    if (!context) return;
    // Places must not be blended into other places.
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, scratch.width, scratch.height);
    this.mask = context.getImageData(0, 0, scratch.width, scratch.height);
  }

  /** @param {number} place */
  #keep(place) {
    this.kept = this.kept === place ? -1 : place;
    for (const [other, button] of this.buttons.entries())
      button.setAttribute("aria-pressed", String(other === this.kept));
    this.#isolate(this.kept === -1 ? place : this.kept);
    if (this.kept === -1) this.#isolate(-1);
  }

  /**
   * Show one class alone; all of them for -1.
   * @param {number} place
   */
  #isolate(place) {
    const alone = place >= 0 && this.mask !== null;
    this.overlay.hidden = alone;
    this.canvas.hidden = !alone;
    if (alone && this.mask) this.#draw(this.mask, place);
  }

  /**
   * @param {ImageData} mask
   * @param {number} place
   */
  #draw(mask, place) {
    const colour = this.buttons[place].dataset.colour ?? "#000000";
    const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
    const picture = new ImageData(mask.width, mask.height);
    // One 32-bit word a pixel, in the byte order of every processor that runs a browser.
    const pixels = new Uint32Array(picture.data.buffer);
    const opaque = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    for (let at = 0; at < pixels.length; at += 1)
      if (mask.data[4 * at] === place) pixels[at] = opaque;
    this.canvas.getContext("2d")?.putImageData(picture, 0, 0);
  }

  /** @param {PointerEvent} event */
  #name(event) {
    if (!this.mask) return;
    const { width, height, data } = this.mask;
    const box = this.stage.getBoundingClientRect();
    // The picture lies in the middle of the stage, as large as fits.
    const scale = Math.min(box.width / width, box.height / height);
    const x = Math.floor((event.clientX - box.left - (box.width - width * scale) / 2) / scale);
    const y = Math.floor((event.clientY - box.top - (box.height - height * scale) / 2) / scale);
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    const place = inside ? data[4 * (y * width + x)] : -1;
    const name = this.buttons[place]?.querySelector(".legend__name")?.textContent;
    this.pointer.textContent = place === NOTHING ? "background" : (name ?? "");
  }
}
