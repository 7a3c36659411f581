// @ts-check
/** A list of short texts: grows by Enter or comma, changes by pressing one, shrinks by Backspace. */

import { announce } from "./announce.js";

export class Chips {
  /**
   * @param {HTMLElement} root
   * @param {{most: number, longest: number, onChange: () => void, onRefused: (why: string) => void}} options
   *   `onChange` is called after the values have changed
   */
  constructor(root, options) {
    this.options = options;
    this.list = /** @type {HTMLElement} */ (root.querySelector("[data-chip-list]"));
    this.input = /** @type {HTMLInputElement} */ (root.querySelector("[data-chip-input]"));
    /** @type {string[]} */
    this.values = [];
    this.set(
      [...this.list.querySelectorAll("[data-prompt]")].map(
        (chip) => /** @type {HTMLElement} */ (chip).dataset.prompt ?? "",
      ),
    );
    this.input.addEventListener("keydown", (event) => this.#press(event));
    this.input.addEventListener("paste", (event) => this.#paste(event));
    this.input.addEventListener("input", () => this.#splitAtCommas());
    root.addEventListener("click", (event) => {
      if (event.target === root || event.target === this.list) this.input.focus();
    });
  }

  /**
   * Show these texts instead, without asking or telling anybody.
   * @param {string[]} values
   */
  set(values) {
    this.values = [...values];
    this.list.replaceChildren(...this.values.map((text) => this.#chip(text)));
  }

  /** Take what is typed but not yet entered. */
  commit() {
    const text = this.input.value;
    this.input.value = "";
    // Whoever suggests words for what is typed hears that it is gone.
    this.input.dispatchEvent(new Event("input"));
    return this.add(text);
  }

  /**
   * Add each part of a text that commas separate.
   * @param {string} text
   * @returns {boolean} whether all of it was taken
   */
  add(text) {
    let taken = true;
    const before = this.values.length;
    for (const part of text.split(/[,\n]/)) {
      const prompt = folded(part);
      if (prompt === "") continue;
      const why = this.#objection(prompt);
      if (why === null) {
        this.values.push(prompt);
        this.list.append(this.#chip(prompt));
        announce(`Added ${prompt}`);
      } else this.options.onRefused(why);
      taken &&= why === null;
    }
    if (this.values.length > before) this.options.onChange();
    return taken;
  }

  /**
   * @param {string} prompt
   * @param {string} [instead] the one that it would replace
   */
  #objection(prompt, instead) {
    const others = this.values.filter((value) => value !== instead);
    if (others.some((value) => value.toLowerCase() === prompt.toLowerCase()))
      return `“${prompt}” is there already.`;
    if (others.length >= this.options.most)
      return `At most ${this.options.most} prompts are taken.`;
    if (prompt.length > this.options.longest)
      return `A prompt may have at most ${this.options.longest} characters.`;
    return null;
  }

  /** @param {string} text */
  #chip(text) {
    const chip = document.createElement("li");
    const edit = document.createElement("button");
    const remove = document.createElement("button");
    chip.className = "chip";
    chip.append(edit, remove);
    edit.type = remove.type = "button";
    edit.className = "chip__text";
    edit.textContent = text;
    edit.title = "Change this word";
    edit.addEventListener("click", () => this.#edit(text, chip));
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${text}`);
    remove.addEventListener("click", () => {
      this.#remove(text, chip);
      this.input.focus();
    });
    return chip;
  }

  /**
   * Put a field in the chip's place: Enter or leaving it takes the new text, Escape the old one.
   * @param {string} text
   * @param {HTMLElement} chip
   */
  #edit(text, chip) {
    const field = document.createElement("input");
    field.value = text;
    field.maxLength = this.options.longest;
    field.size = Math.max(4, text.length);
    field.setAttribute("aria-label", `Change ${text}`);
    field.className = "chip__field";
    chip.replaceChildren(field);
    field.focus();
    field.select();
    let over = false;
    const finish = (/** @type {string} */ wanted, /** @type {boolean} */ stay) => {
      if (over) return;
      over = true;
      const shown = this.#exchange(text, folded(wanted), chip);
      if (stay) (shown?.querySelector("button") ?? this.input).focus();
    };
    field.addEventListener("blur", () => finish(field.value, false));
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") event.preventDefault();
      if (event.key === "Enter") finish(field.value, true);
      if (event.key === "Escape") finish(text, true);
    });
  }

  /**
   * @param {string} text
   * @param {string} wanted nothing removes the chip
   * @param {HTMLElement} chip
   * @returns {HTMLElement | null} the chip that stands there now
   */
  #exchange(text, wanted, chip) {
    if (wanted === "") {
      this.#remove(text, chip);
      return null;
    }
    const why = this.#objection(wanted, text);
    const taken = why === null ? wanted : text;
    const fresh = this.#chip(taken);
    chip.replaceWith(fresh);
    if (why !== null) this.options.onRefused(why);
    if (taken !== text) {
      this.values = this.values.map((value) => (value === text ? taken : value));
      announce(`Changed to ${taken}`);
      this.options.onChange();
    }
    return fresh;
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

/** @param {string} text */
function folded(text) {
  return text.trim().replace(/\s+/g, " ");
}
