// @ts-check
/** Choosing a picture: by file dialog, drop, paste, or one of the samples. */

import { announce } from "./announce.js";
import { fit } from "./lab/stage.js";

export class Picture {
  /**
   * @param {HTMLElement} root
   * @param {{stage: HTMLElement, onChange: () => void, onProblem: (error: unknown) => void}} options
   *   `stage` is where a picture that has no result yet is shown
   */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    /** @type {Blob | null} */
    this.blob = null;
    this.name = "";
    this.drop = /** @type {HTMLElement} */ (root.querySelector("[data-drop]"));
    this.label = /** @type {HTMLElement} */ (root.querySelector("[data-file-name]"));
    this.file = /** @type {HTMLInputElement} */ (root.querySelector("[data-file]"));
    this.file.addEventListener("change", () => {
      const chosen = this.file.files?.[0];
      if (chosen) this.take(chosen, chosen.name);
    });
    this.#wireDrop();
    document.addEventListener("paste", (event) => {
      const pasted = [...(event.clipboardData?.files ?? [])].find((file) =>
        file.type.startsWith("image/"),
      );
      if (pasted) this.take(pasted, "pasted picture");
    });
    for (const sample of root.querySelectorAll("[data-sample]"))
      sample.addEventListener("click", () => void this.#takeSample(sample));
  }

  /**
   * @param {Blob} blob
   * @param {string} name
   */
  take(blob, name) {
    this.blob = blob;
    this.name = name;
    this.#show(blob);
    this.drop.classList.add("drop--filled");
    this.label.textContent = name;
    for (const sample of this.root.querySelectorAll("[data-sample]"))
      sample.setAttribute("aria-pressed", String(sample.getAttribute("data-sample-name") === name));
    announce(`Picture: ${name}`);
    this.options.onChange();
  }

  /** The picture is the shown result's own again. */
  forget() {
    this.blob = null;
    this.label.textContent = "";
    for (const sample of this.root.querySelectorAll("[data-sample]"))
      sample.setAttribute("aria-pressed", "false");
  }

  /**
   * Read the picture of a result that was opened by its address.
   * @param {string} url
   */
  async borrow(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error("This picture could not be read.");
    this.blob = await response.blob();
  }

  /** @param {Blob} blob */
  #show(blob) {
    const figure = document.createElement("figure");
    const layers = document.createElement("div");
    const image = new Image();
    figure.className = "stage";
    layers.className = "stage__layers";
    image.alt = "Your picture";
    image.src = URL.createObjectURL(blob);
    // The server judges what a picture is; one that this browser cannot show is only not shown.
    image.addEventListener("error", () => (figure.hidden = true));
    for (const kind of ["load", "error"])
      image.addEventListener(kind, () => URL.revokeObjectURL(image.src));
    layers.append(image);
    figure.append(layers);
    fit(layers);
    this.options.stage.replaceChildren(figure);
  }

  /**
   * Take a picture that this server has.
   * @param {string} url
   * @param {string} name
   */
  async takeFrom(url, name) {
    const response = await fetch(url);
    if (!response.ok) throw new Error("This picture could not be read.");
    this.take(await response.blob(), name);
  }

  /** @param {Element} sample */
  async #takeSample(sample) {
    const url = sample.getAttribute("data-sample") ?? "";
    try {
      await this.takeFrom(url, sample.getAttribute("data-sample-name") ?? "");
    } catch (error) {
      this.options.onProblem(error);
    }
  }

  #wireDrop() {
    // The whole page takes the drop: a picture dropped beside the field would replace the page.
    for (const kind of ["dragover", "drop"])
      document.addEventListener(kind, (event) => event.preventDefault());
    document.addEventListener("dragover", () => this.drop.classList.add("drop--over"));
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) this.drop.classList.remove("drop--over");
    });
    document.addEventListener("drop", (event) => {
      this.drop.classList.remove("drop--over");
      const dropped = event.dataTransfer?.files[0];
      if (dropped) this.take(dropped, dropped.name);
    });
  }
}
