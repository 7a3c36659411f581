// @ts-check
/** Choosing a picture: by file dialog, drop, paste, or one of the samples. */

import { announce } from "./announce.js";
import { element, part } from "./dom.js";
import { fit } from "./lab/stage.js";

/** @typedef {{file: Blob} | {sample: number}} Chosen a file, or the number of an image of the data set */

export class Picture {
  /**
   * @param {HTMLElement} root
   * @param {{stage: HTMLElement, onChoose: (chosen: Chosen) => void}} options
   *   `stage` is where a picture that has no result yet is shown
   */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    this.drop = part(root, "[data-drop]", HTMLElement);
    this.label = part(root, "[data-file-name]", HTMLElement);
    const file = part(root, "[data-file]", HTMLInputElement);
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) this.#takeFile(chosen, chosen.name);
      // The same file may be chosen again, after something went wrong with it.
      file.value = "";
    });
    this.#wireDrop();
    document.addEventListener("paste", (event) => {
      const pasted = [...(event.clipboardData?.files ?? [])].find((each) =>
        each.type.startsWith("image/"),
      );
      if (pasted) this.#takeFile(pasted, "pasted picture");
    });
    for (const sample of /** @type {NodeListOf<HTMLElement>} */ (
      root.querySelectorAll("[data-sample]")
    ))
      sample.addEventListener("click", () => {
        const number = Number(sample.dataset.sample);
        this.#take(sample.querySelector("img")?.src ?? "", `image ${number}`, { sample: number });
      });
  }

  /** The picture is the shown result's own. */
  forget() {
    this.label.textContent = "";
    this.#press(null);
  }

  /**
   * @param {Blob} file
   * @param {string} name
   */
  #takeFile(file, name) {
    this.#take(URL.createObjectURL(file), name, { file });
  }

  /**
   * @param {string} url
   * @param {string} name
   * @param {Chosen} chosen
   */
  #take(url, name, chosen) {
    this.#show(url);
    this.drop.classList.add("drop--filled");
    this.label.textContent = name;
    this.#press("sample" in chosen ? chosen.sample : null);
    announce(`Picture: ${name}`);
    this.options.onChoose(chosen);
  }

  /** @param {number | null} number of the sample that is chosen */
  #press(number) {
    for (const sample of this.root.querySelectorAll("[data-sample]"))
      sample.setAttribute(
        "aria-pressed",
        String(sample.getAttribute("data-sample") === String(number)),
      );
  }

  /** @param {string} url */
  #show(url) {
    const image = element("img", { alt: "Your picture", src: url });
    const layers = element("div", { class: "stage__layers" }, image);
    const figure = element("figure", { class: "stage" }, layers);
    // The server judges what a picture is; one that this browser cannot show is only not shown.
    image.addEventListener("error", () => (figure.hidden = true));
    for (const kind of ["load", "error"])
      image.addEventListener(kind, () => URL.revokeObjectURL(url));
    fit(layers);
    this.options.stage.replaceChildren(figure);
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
      if (dropped) this.#takeFile(dropped, dropped.name);
    });
  }
}
