// @ts-check
/**
 * Fields that suggest words while one types: comboboxes with a list, after the ARIA practices.
 * Without this script they are plain fields of plain forms.
 */

import { call } from "./api.js";

const DELAY_MS = 120;

export function wireSuggestions() {
  for (const root of document.querySelectorAll("[data-combobox]"))
    new Combobox(/** @type {HTMLElement} */ (root));
}

class Combobox {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.url = root.dataset.suggestions ?? "";
    this.input = /** @type {HTMLInputElement} */ (root.querySelector("input"));
    this.list = /** @type {HTMLElement} */ (root.querySelector("[role=listbox]"));
    this.typed = this.input.value;
    this.timer = 0;
    this.running = new AbortController();
    this.input.setAttribute("role", "combobox");
    this.input.setAttribute("aria-autocomplete", "list");
    this.input.setAttribute("aria-controls", this.list.id);
    this.input.setAttribute("aria-expanded", "false");
    this.input.addEventListener("input", () => this.#type());
    this.input.addEventListener("keydown", (event) => this.#press(event));
    this.input.addEventListener("blur", () => this.#close());
    // The list keeps the focus in the field; else the press would close it before it is a click.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.#pick(event.target));
  }

  get options() {
    return /** @type {HTMLElement[]} */ ([...this.list.children]);
  }

  get active() {
    return this.options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  }

  #type() {
    this.typed = this.input.value;
    clearTimeout(this.timer);
    this.running.abort();
    if (this.typed.trim() === "") this.#close();
    else this.timer = setTimeout(() => void this.#ask(this.typed), DELAY_MS);
  }

  /** @param {string} text */
  async #ask(text) {
    this.running = new AbortController();
    try {
      const { signal } = this.running;
      const found = await call(`${this.url}?${new URLSearchParams({ q: text })}`, { signal });
      if (text === this.typed && document.activeElement === this.input)
        this.#show(found.suggestions);
    } catch {
      // The search itself will say what is wrong.  An answer that is not waited for any more says
      // nothing, least of all to the question that took its place.
      if (text === this.typed) this.#close();
    }
  }

  /** @param {{word: string, kind: string, pairs: number}[]} suggestions */
  #show(suggestions) {
    this.list.replaceChildren(...suggestions.map((each, place) => this.#option(each, place)));
    this.list.hidden = suggestions.length === 0;
    this.input.setAttribute("aria-expanded", String(suggestions.length > 0));
    this.input.removeAttribute("aria-activedescendant");
  }

  /**
   * @param {{word: string, kind: string, pairs: number}} suggestion
   * @param {number} place
   */
  #option({ word, kind, pairs }, place) {
    const option = document.createElement("li");
    const about = document.createElement("span");
    option.id = `${this.list.id}-${place}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.dataset.word = word;
    about.className = "combobox__about";
    about.textContent = `${kind === "similar" ? "did you mean? " : ""}${pairs} pairs`;
    option.append(word, " ", about);
    return option;
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (this.list.hidden || event.isComposing) return;
    const steps = /** @type {const} */ ({ ArrowDown: 1, ArrowUp: -1 });
    if (event.key in steps) {
      event.preventDefault();
      this.#step(steps[/** @type {"ArrowDown" | "ArrowUp"} */ (event.key)]);
    } else if (event.key === "Escape") {
      event.preventDefault(); // else the field would be emptied
      this.input.value = this.typed;
      this.#close();
    } else if (event.key === "Enter") {
      this.#close(); // the form is sent with what the field holds
    }
  }

  /** One on, with what was typed between last and first. @param {1 | -1} step */
  #step(step) {
    const { options } = this;
    const places = options.length + 1;
    const next = (this.active + 1 + step + places) % places;
    options.forEach((option, place) =>
      option.setAttribute("aria-selected", String(place === next - 1)),
    );
    const chosen = options[next - 1];
    this.input.value = chosen?.dataset.word ?? this.typed;
    if (chosen) this.input.setAttribute("aria-activedescendant", chosen.id);
    else this.input.removeAttribute("aria-activedescendant");
    chosen?.scrollIntoView({ block: "nearest" });
  }

  /** @param {EventTarget | null} target */
  #pick(target) {
    const option = target instanceof Element ? target.closest("li") : null;
    if (!option) return;
    this.input.value = option.dataset.word ?? "";
    this.#close();
    this.input.form?.requestSubmit();
  }

  #close() {
    clearTimeout(this.timer);
    this.running.abort();
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
