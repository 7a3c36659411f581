// @ts-check
/** The lab: picture and prompts in, a result out, drawn by the server. */

import { announce } from "./announce.js";
import { call, showProblem } from "./api.js";
import { Chips } from "./chips.js";
import { Picture } from "./picture.js";
import { wireSegmentation } from "./segmentation.js";

const POLL_MS = 2000;

/** One form, one result, and at most one request under way. */
class Lab {
  /**
   * @param {HTMLFormElement} form
   * @param {HTMLElement} result
   */
  constructor(form, result) {
    this.form = form;
    this.result = result;
    this.problem = this.#part("[data-problem]");
    this.run = /** @type {HTMLButtonElement} */ (this.#part("[data-run]"));
    this.cancel = this.#part("[data-cancel]");
    this.progress = this.#part("[data-progress]");
    /** @type {AbortController | null} */
    this.underway = null;
    const refused = (/** @type {unknown} */ why) => showProblem(this.problem, why);
    const changed = () => this.#changed();
    this.picture = new Picture(form, { onChange: changed, onProblem: refused });
    this.chips = new Chips(/** @type {HTMLElement} */ (this.#part("[data-chips]")), {
      most: Number(form.dataset.maxPrompts),
      longest: Number(form.dataset.maxCharacters),
      onChange: changed,
      onRefused: refused,
    });
    for (const word of form.querySelectorAll("[data-add-prompt]"))
      word.addEventListener("click", () =>
        this.chips.add(word.getAttribute("data-add-prompt") ?? ""),
      );
    this.#part("[data-background]").addEventListener("change", changed);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.segment();
    });
    this.cancel.addEventListener("click", () => this.underway?.abort());
    if (form.dataset.live === "loading") this.#awaitModel();
  }

  /** Ask the server for a segmentation and show it, unless something newer was asked since. */
  async segment() {
    this.problem.hidden = true;
    if (!this.chips.commit()) return;
    if (this.chips.values.length === 0) {
      showProblem(this.problem, "Say what to look for: type a word and press Enter.");
      this.chips.input.focus();
      return;
    }
    if (!(await this.#ensurePicture())) return;
    this.underway?.abort();
    const mine = new AbortController();
    this.underway = mine;
    const stop = this.#showProgress();
    try {
      const made = await call(this.form.dataset.endpoint ?? "", {
        method: "POST",
        body: this.#body(),
        signal: mine.signal,
      });
      const page = await fetch(made.url, { signal: mine.signal });
      if (!page.ok) throw new Error("The result could not be shown.");
      const html = await page.text();
      if (this.underway === mine) this.#show(html, made.url);
    } catch (error) {
      if (this.underway === mine) this.#failed(error);
    } finally {
      stop();
      if (this.underway === mine) this.#finished();
    }
  }

  /** A result that was opened by its address brings its picture along. */
  async #ensurePicture() {
    if (this.picture.blob) return true;
    const shown = this.result.querySelector("[data-image]");
    try {
      if (!(shown instanceof HTMLElement) || !shown.dataset.image)
        throw new Error("Choose a picture first.");
      await this.picture.takeFrom(shown.dataset.image, "the picture below");
      return true;
    } catch (error) {
      showProblem(this.problem, error);
      return false;
    }
  }

  #body() {
    const body = new FormData();
    body.append("image", this.picture.blob ?? new Blob(), "image");
    for (const prompt of this.chips.values) body.append("prompts", prompt);
    const background = /** @type {HTMLInputElement} */ (this.#part("[data-background]"));
    body.append("background", String(background.checked));
    return body;
  }

  /**
   * The server draws results, so one that is new looks like one that was opened by its address.
   * @param {string} html
   * @param {string} url
   */
  #show(html, url) {
    const drawn = new DOMParser().parseFromString(html, "text/html");
    const fresh = drawn.getElementById("result");
    if (!fresh) throw new Error("The result could not be shown.");
    this.result.replaceChildren(...fresh.childNodes);
    this.result.classList.remove("is-stale");
    history.pushState(null, "", url);
    document.title = drawn.title;
    wireSegmentation(this.result);
    announce("The result is ready.");
    this.result.scrollIntoView({ block: "nearest" });
  }

  /** @param {unknown} error */
  #failed(error) {
    if (error instanceof DOMException && error.name === "AbortError") announce("Cancelled");
    else showProblem(this.problem, error);
  }

  #finished() {
    this.underway = null;
    this.run.disabled = false;
    this.cancel.hidden = true;
    this.progress.hidden = true;
  }

  /** @returns {() => void} stops the clock */
  #showProgress() {
    const elapsed = this.#part("[data-elapsed]");
    const began = performance.now();
    const tick = () =>
      (elapsed.textContent = `${((performance.now() - began) / 1000).toFixed(1)} s`);
    this.run.disabled = true;
    this.cancel.hidden = false;
    this.progress.hidden = false;
    announce("Segmenting");
    tick();
    const clock = setInterval(tick, 100);
    return () => clearInterval(clock);
  }

  /** What is shown no longer belongs to what is asked: dim it, and drop an answer on its way. */
  #changed() {
    this.problem.hidden = true;
    this.underway?.abort();
    if (this.result.childElementCount > 0) this.result.classList.add("is-stale");
  }

  /** Ask until the model is loaded, then open the lab. */
  #awaitModel() {
    const notice = this.#part("[data-live-notice]");
    const poll = setInterval(async () => {
      let model;
      try {
        model = await call(this.form.dataset.model ?? "");
      } catch {
        return;
      }
      if (model.live === "loading") return;
      clearInterval(poll);
      this.run.disabled = model.live !== "ready";
      notice.hidden = model.live === "ready";
      if (model.live === "ready") announce("The model is ready.");
      else this.#part("[data-live-message]").textContent = model.live_message ?? "";
    }, POLL_MS);
  }

  /**
   * @param {string} selector
   * @returns {HTMLElement}
   */
  #part(selector) {
    const found = this.form.querySelector(selector);
    if (!(found instanceof HTMLElement)) throw new Error(`the lab lacks ${selector}`);
    return found;
  }
}

const form = document.querySelector("[data-lab]");
const result = document.getElementById("result");
if (result) wireSegmentation(result);
if (form instanceof HTMLFormElement && result) {
  new Lab(form, result);
  // Each result is an address of its own, so going back means loading the one before.
  addEventListener("popstate", () => location.reload());
}
