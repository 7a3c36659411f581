// @ts-check
/** Choosing a picture: by file dialog, drop, paste, or one of the samples. */

import { announce } from "./announce.js";

export class Picture {
  /**
   * @param {HTMLFormElement} form
   * @param {{onChange: () => void, onProblem: (error: unknown) => void}} options
   */
  constructor(form, options) {
    this.form = form;
    this.options = options;
    /** @type {Blob | null} */
    this.blob = null;
    this.name = "";
    this.drop = /** @type {HTMLElement} */ (form.querySelector("[data-drop]"));
    this.preview = /** @type {HTMLImageElement} */ (form.querySelector("[data-preview]"));
    this.label = /** @type {HTMLElement} */ (form.querySelector("[data-file-name]"));
    this.file = /** @type {HTMLInputElement} */ (form.querySelector("[data-file]"));
    this.file.addEventListener("change", () => {
      const chosen = this.file.files?.[0];
      if (chosen) this.take(chosen, chosen.name);
    });
    // The server judges what a picture is; one that this browser cannot show is only not previewed.
    this.preview.addEventListener("error", () => (this.preview.hidden = true));
    this.#wireDrop();
    document.addEventListener("paste", (event) => {
      const pasted = [...(event.clipboardData?.files ?? [])].find((file) =>
        file.type.startsWith("image/"),
      );
      if (pasted) this.take(pasted, "pasted picture");
    });
    for (const sample of form.querySelectorAll("[data-sample]"))
      sample.addEventListener("click", () => void this.#takeSample(sample));
  }

  /**
   * @param {Blob} blob
   * @param {string} name
   */
  take(blob, name) {
    if (this.preview.src.startsWith("blob:")) URL.revokeObjectURL(this.preview.src);
    this.blob = blob;
    this.name = name;
    this.preview.src = URL.createObjectURL(blob);
    this.preview.hidden = false;
    this.drop.classList.add("drop--filled");
    this.label.textContent = name;
    for (const sample of this.form.querySelectorAll("[data-sample]"))
      sample.setAttribute("aria-pressed", String(sample.getAttribute("data-sample-name") === name));
    announce(`Picture: ${name}`);
    this.options.onChange();
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
