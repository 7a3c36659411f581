// @ts-check
/** The lab: picture and prompts in, a result out, drawn by the server. */

import { announce } from "./announce.js";
import { call, showProblem } from "./api.js";
import { Chips } from "./chips.js";
import { classesOf, wireLegend } from "./lab/legend.js";
import { Stage } from "./lab/stage.js";
import { Steps } from "./lab/steps.js";
import { Work } from "./lab/work.js";
import { Picture } from "./picture.js";

const POLL_MS = 2000;

/** After the last change of a question whose picture is known, before it is asked by itself. */
const SETTLE_MS = 400;

/** Pages of steps that undo and redo need not fetch again; each is about 20 KB. */
const PAGES_KEPT = 50;

/** Parts of the page that belong to a result, as the server draws them. */
const PARTS = ["stage", "doubt", "legend", "heatmaps"];

/** One picture, one question, one result, and at most one request under way. */
class Lab {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.form = /** @type {HTMLFormElement} */ (this.#part("[data-ask]"));
    this.problem = this.#part("[data-problem]");
    this.run = /** @type {HTMLButtonElement} */ (this.#part("[data-run]"));
    this.background = /** @type {HTMLInputElement} */ (this.#part("[data-background]"));
    /** Whether the result that is shown answers the question that is asked. */
    this.fresh = this.#shown() !== null;
    /** @type {number | undefined} */
    this.settling = undefined;
    /** @type {Map<string, string>} */
    this.pages = new Map();
    this.work = new Work({
      progress: this.#part("[data-progress]"),
      elapsed: this.#part("[data-elapsed]"),
      cancel: this.#part("[data-cancel]"),
      problem: this.problem,
      doing: "Segmenting",
    });
    this.steps = new Steps({
      undo: /** @type {HTMLButtonElement} */ (this.#part("[data-undo]")),
      redo: /** @type {HTMLButtonElement} */ (this.#part("[data-redo]")),
      onMove: () => void this.#restore(),
    });
    const refused = (/** @type {unknown} */ why) => showProblem(this.problem, why);
    this.picture = new Picture(root, {
      stage: this.#part("[data-part=stage]"),
      onChange: () => this.#newPicture(),
      onProblem: refused,
    });
    this.chips = new Chips(this.#part("[data-chips]"), {
      most: Number(root.dataset.maxPrompts),
      longest: Number(root.dataset.maxCharacters),
      onChange: () => this.#changed(),
      onRefused: refused,
    });
    this.#wireQuestion();
    showResult(root);
    if (root.dataset.live === "loading") this.#awaitModel();
  }

  #wireQuestion() {
    for (const word of this.root.querySelectorAll("[data-add-prompt]"))
      word.addEventListener("click", () =>
        this.chips.add(word.getAttribute("data-add-prompt") ?? ""),
      );
    this.background.addEventListener("change", () => this.#changed());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.segment();
    });
  }

  /** Ask the server for a segmentation and show it, unless something newer was asked since. */
  async segment() {
    clearTimeout(this.settling);
    this.problem.hidden = true;
    if (!this.chips.commit()) return;
    if (this.chips.values.length === 0) {
      showProblem(this.problem, "Say what to look for: type a word and press Enter.");
      this.chips.input.focus();
      return;
    }
    clearTimeout(this.settling);
    if (this.fresh) return;
    await this.work.run(
      async (signal) => {
        const made = await call(this.root.dataset.endpoint ?? "", {
          method: "POST",
          body: await this.#question(),
          signal,
        });
        return { url: made.url, html: await this.#page(made.url, signal) };
      },
      ({ url, html }) => {
        this.#show(html);
        this.steps.push(url);
        announce("The result is ready.");
      },
    );
  }

  /** What is asked, as the API takes it. */
  async #question() {
    if (!this.picture.blob) await this.#borrowPicture();
    const body = new FormData();
    body.append("image", this.picture.blob ?? new Blob(), "image");
    for (const prompt of this.chips.values) body.append("prompts", prompt);
    body.append("background", String(this.background.checked));
    return body;
  }

  /** A result that was opened by its address brings its picture along. */
  async #borrowPicture() {
    const shown = this.#shown()?.dataset.image;
    if (!shown) throw new Error("Choose a picture first.");
    await this.picture.borrow(shown);
  }

  /** @returns {HTMLElement | null} the stage of the result that is shown */
  #shown() {
    return this.root.querySelector("[data-segmentation]");
  }

  /**
   * @param {string} url
   * @param {AbortSignal} [signal]
   */
  async #page(url, signal) {
    const known = this.pages.get(url);
    if (known !== undefined) return known;
    const answer = await fetch(url, { signal });
    if (!answer.ok) throw new Error("The result could not be shown.");
    const html = await answer.text();
    if (this.pages.size >= PAGES_KEPT) this.pages.clear();
    this.pages.set(url, html);
    return html;
  }

  /**
   * The server draws results, so one that is new looks like one that was opened by its address.
   * @param {string} html
   * @returns {Document} the page that was drawn
   */
  #show(html) {
    const drawn = new DOMParser().parseFromString(html, "text/html");
    for (const name of PARTS) {
      const fresh = drawn.querySelector(`[data-part=${name}]`);
      if (!fresh) throw new Error("The result could not be shown.");
      this.#part(`[data-part=${name}]`).replaceChildren(...fresh.childNodes);
    }
    document.title = drawn.title;
    this.fresh = this.#shown() !== null;
    this.root.classList.remove("is-stale");
    this.#part("[data-drop]").classList.toggle("drop--filled", this.fresh);
    showResult(this.root);
    return drawn;
  }

  /** Show what the address says, after undo, redo, back or forward. */
  async #restore() {
    this.work.drop();
    clearTimeout(this.settling);
    this.problem.hidden = true;
    const wanted = location.href;
    try {
      const html = await this.#page(wanted);
      if (location.href !== wanted) return;
      const drawn = this.#show(html);
      const prompts = /** @type {NodeListOf<HTMLElement>} */ (
        drawn.querySelectorAll("[data-chip-list] [data-prompt]")
      );
      this.chips.set([...prompts].map((chip) => chip.dataset.prompt ?? ""));
      this.background.checked = drawn.querySelector("[data-background][checked]") !== null;
      this.picture.forget();
      announce("Restored");
    } catch (error) {
      showProblem(this.problem, error);
    }
  }

  #newPicture() {
    this.#changed();
    for (const name of PARTS)
      if (name !== "stage") this.#part(`[data-part=${name}]`).replaceChildren();
  }

  /** What is shown no longer belongs to what is asked: dim it, and ask again when that has settled. */
  #changed() {
    this.problem.hidden = true;
    this.work.drop();
    clearTimeout(this.settling);
    this.fresh = false;
    const shown = this.#shown() !== null;
    this.root.classList.toggle("is-stale", shown);
    if (!shown) this.steps.replace(this.#address());
    if (shown && this.chips.values.length > 0)
      this.settling = setTimeout(() => void this.segment(), SETTLE_MS);
  }

  /** The lab with this question and no result. */
  #address() {
    const query = new URLSearchParams();
    for (const prompt of this.chips.values) query.append("prompts", prompt);
    if (!this.background.checked) query.set("background", "false");
    return `${location.pathname}${query.size > 0 ? `?${query}` : ""}`;
  }

  /** Ask until the model is loaded, then open the lab. */
  #awaitModel() {
    const notice = this.#part("[data-live-notice]");
    const poll = setInterval(async () => {
      let model;
      try {
        model = await call(this.root.dataset.model ?? "");
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
    const found = this.root.querySelector(selector);
    if (!(found instanceof HTMLElement)) throw new Error(`the lab lacks ${selector}`);
    return found;
  }
}

/**
 * Bring a result's stage and legend to life; nothing happens where there is none.
 * @param {ParentNode} root
 */
function showResult(root) {
  const figure = root.querySelector("[data-segmentation]");
  if (!(figure instanceof HTMLElement)) return;
  const stage = new Stage(figure, classesOf(root));
  wireLegend(root, (place) => stage.isolate(place));
}

const root = document.querySelector("[data-lab]");
if (root instanceof HTMLElement) new Lab(root);
else showResult(document);
