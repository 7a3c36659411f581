// @ts-check
/** A list of short texts that grows by Enter or comma and shrinks by Backspace or a button. */

import { announce } from "./announce.js";

export class Chips {
  /**
   * @param {HTMLElement} root
   * @param {{most: number, longest: number, onChange: () => void, onRefused: (why: string) => void}} options
   */
  constructor(root, options) {
    this.options = options;
    this.list = /** @type {HTMLElement} */ (root.querySelector("[data-chip-list]"));
    this.input = /** @type {HTMLInputElement} */ (root.querySelector("[data-chip-input]"));
    /** @type {string[]} */
    this.values = [];
    const given = [...this.list.querySelectorAll("[data-prompt]")].map(
      (chip) => /** @type {HTMLElement} */ (chip).dataset.prompt ?? "",
    );
    this.list.replaceChildren();
    given.forEach((text) => this.#append(text));
    this.input.addEventListener("keydown", (event) => this.#press(event));
    this.input.addEventListener("paste", (event) => this.#paste(event));
    this.input.addEventListener("input", () => this.#splitAtCommas());
    root.addEventListener("click", (event) => {
      if (event.target === root || event.target === this.list) this.input.focus();
    });
  }

  /** Take what is typed but not yet entered. */
  commit() {
    const text = this.input.value;
    this.input.value = "";
    return this.add(text);
  }

  /**
   * Add each part of a text that commas separate.
   * @param {string} text
   * @returns {boolean} whether all of it was taken
   */
  add(text) {
    let taken = true;
    if (text.trim() !== "") this.options.onChange();
    for (const part of text.split(/[,\n]/)) {
      const prompt = part.trim().replace(/\s+/g, " ");
      if (prompt === "") continue;
      const why = this.#objection(prompt);
      if (why === null) {
        this.#append(prompt);
        announce(`Added ${prompt}`);
      } else this.options.onRefused(why);
      taken &&= why === null;
    }
    return taken;
  }

  /** @param {string} prompt */
  #objection(prompt) {
    if (this.values.some((value) => value.toLowerCase() === prompt.toLowerCase()))
      return `“${prompt}” is there already.`;
    if (this.values.length >= this.options.most)
      return `At most ${this.options.most} prompts are taken.`;
    if (prompt.length > this.options.longest)
      return `A prompt may have at most ${this.options.longest} characters.`;
    return null;
  }

  /** @param {string} text */
  #append(text) {
    const chip = document.createElement("li");
    const remove = document.createElement("button");
    chip.className = "chip";
    chip.append(text, remove);
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${text}`);
    remove.addEventListener("click", () => {
      this.#remove(text, chip);
      this.input.focus();
    });
    this.values.push(text);
    this.list.append(chip);
  }

  /**
   * @param {string} text
   * @param {Element} chip
   */
  #remove(text, chip) {
    this.values = this.values.filter((value) => value !== text);
    chip.remove();
    announce(`Removed ${text}`);
    this.options.onChange();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    // While an input method composes a character, Enter belongs to it.
    if (event.isComposing) return;
    if (event.key === "Enter" && this.input.value.trim() !== "") {
      event.preventDefault();
      this.commit();
    } else if (event.key === "Backspace" && this.input.value === "" && this.list.lastElementChild) {
      this.#remove(this.values[this.values.length - 1], this.list.lastElementChild);
    }
  }

  /** @param {ClipboardEvent} event */
  #paste(event) {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!/[,\n]/.test(text)) return;
    event.preventDefault();
    this.add(text);
  }

  /** Keyboards of phones send no key for a comma, so the text itself is looked at. */
  #splitAtCommas() {
    if (!this.input.value.includes(",")) return;
    this.commit();
  }
}
