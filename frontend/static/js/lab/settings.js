// @ts-check
/** How prompts are answered: the controls, as the API and the address take them. */

import { part } from "../dom.js";

/** Controls whose names are the API's; what is hidden does not apply and is not asked. */
const NAMES = ["mode", "orientation", "centring", "background", "background_prompts", "threshold", "view"];

/** The least probability and the share of random words that the API takes when none is given. */
const THRESHOLDS = { words: "0.95", probability: "0.5" };

export class Settings {
  /**
   * @param {HTMLElement} root
   * @param {() => void} onChange
   */
  constructor(root, onChange) {
    this.root = root;
    this.beside = part(root, "[name=beside]", HTMLInputElement);
    this.background = part(root, "[name=background]", HTMLSelectElement);
    this.threshold = part(root, "[name=threshold]", HTMLInputElement);
    this.background.addEventListener("change", () => {
      const usual = THRESHOLDS[/** @type {keyof typeof THRESHOLDS} */ (this.background.value)];
      if (usual) this.threshold.value = usual;
    });
    this.threshold.addEventListener("input", () => this.#show());
    root.addEventListener("change", () => {
      this.#show();
      onChange();
    });
    this.#show();
  }

  /** The settings as fields of a request. */
  asked() {
    return {
      method: this.#methods(),
      ...Object.fromEntries(
        NAMES.flatMap((name) => {
          const value = this.#value(name);
          return value === null ? [] : [[name, value]];
        }),
      ),
    };
  }

  /**
   * Add to an address what is not as usual.
   * @param {URLSearchParams} query
   */
  addTo(query) {
    const methods = this.#methods();
    if (methods.length > 1 || methods[0] !== "pairs")
      for (const method of methods) query.append("method", method);
    for (const name of NAMES) {
      const value = this.#value(name);
      const control = this.#control(name);
      if (value === null || control.dataset.usual === control.value) continue;
      if (name === "threshold" && this.#usualThreshold() === control.value) continue;
      for (const each of Array.isArray(value) ? value : [value]) query.append(name, String(each));
    }
  }

  /**
   * Take the settings of a page that the server drew.
   * @param {ParentNode} drawn
   */
  take(drawn) {
    for (const control of this.#controls()) {
      const kind = control instanceof HTMLInputElement ? control.type : "";
      const value = kind === "radio" ? `[value="${control.value}"]` : "";
      const theirs = drawn.querySelector(`[data-settings] [name=${control.name}]${value}`);
      if (control instanceof HTMLInputElement && theirs instanceof HTMLInputElement) {
        control.checked = theirs.checked;
        if (kind !== "radio" && kind !== "checkbox") control.value = theirs.value;
      } else if (theirs instanceof HTMLSelectElement) control.value = theirs.value;
    }
    this.#show();
  }

  /** @returns {string[]} the chosen method, and all others behind it where they are wanted too */
  #methods() {
    const all = /** @type {HTMLInputElement[]} */ ([...this.root.querySelectorAll("[name=method]")]);
    const chosen = all.filter((radio) => radio.checked);
    const others = this.beside.checked ? all.filter((radio) => !radio.checked) : [];
    return [...chosen, ...others].map((radio) => radio.value);
  }

  /**
   * @param {string} name
   * @returns {string | number | string[] | null} null where it does not apply
   */
  #value(name) {
    const control = this.#control(name);
    if (control.closest("[hidden]")) return null;
    if (name === "threshold") return Number(control.value);
    if (name !== "background_prompts") return control.value;
    return control.value.split(/[,\n]/).map((text) => text.trim()).filter((text) => text !== "");
  }

  /** @param {string} name */
  #control(name) {
    const control = this.#controls().find((each) => each.name === name);
    if (!control) throw new Error(`the lab lacks the setting ${name}`);
    return control;
  }

  #controls() {
    return /** @type {(HTMLInputElement | HTMLSelectElement)[]} */ ([
      ...this.root.querySelectorAll("input, select"),
    ]);
  }

  #usualThreshold() {
    return THRESHOLDS[/** @type {keyof typeof THRESHOLDS} */ (this.background.value)];
  }

  /** Show only what applies, and the threshold as a number. */
  #show() {
    const kind = this.background.value;
    for (const row of this.root.querySelectorAll("[data-when-background]"))
      if (row instanceof HTMLElement)
        row.hidden = !(row.dataset.whenBackground ?? "").split(" ").includes(kind);
    part(this.root, "[data-threshold]", HTMLElement).textContent = this.threshold.value;
  }
}
