// @ts-check
/** What would be if pairs, heads or neurons were off: scores, ranking and mask, before and after. */

import { announce } from "../announce.js";
import { ApiProblem, call, post, showProblem } from "../api.js";
import { element, part, svg } from "../dom.js";
import { count, number, percent, signed } from "../numbers.js";
import { save } from "../save.js";
import { copy, curlOf, rankingOf } from "./files.js";
import { Work } from "./work.js";

/** @typedef {import("./wire.js").Ablation} Ablation */
/** @typedef {{how: "off" | "keep" | "scale", part: string, factor: number}} Change */

/** How changes are told. */
const SAID = { off: "off", keep: "kept", scale: "×" };

export class WhatIf {
  /**
   * @param {HTMLElement} root
   * @param {import("./explanation.js").Bench} bench
   */
  constructor(root, bench) {
    this.root = root;
    this.bench = bench;
    this.form = part(root, "[data-change]", HTMLFormElement);
    this.field = part(this.form, "[name=part]", HTMLInputElement);
    this.how = part(this.form, "[name=how]", HTMLSelectElement);
    this.factor = part(this.form, "[name=factor]", HTMLInputElement);
    this.fill = part(root, "[name=fill]", HTMLSelectElement);
    this.list = part(root, "[data-changes]", HTMLElement);
    this.problem = part(root, "[data-problem]", HTMLElement);
    this.shown = part(root, "[data-answer]", HTMLElement);
    /** @type {Change[]} */
    this.changes = [];
    /** @type {Ablation | null} */
    this.answer = null;
    /** Whether the latest question was one that cannot be answered. */
    this.refused = false;
    this.work = new Work({
      progress: part(root, "[data-progress]", HTMLElement),
      elapsed: part(root, "[data-elapsed]", HTMLElement),
      cancel: part(root, "[data-cancel]", HTMLElement),
      problem: this.problem,
      doing: "Computing what would be",
    });
    this.#wireForm();
    this.#wireAnswer();
  }

  /**
   * Switch a part off, as from the list of those that made a score.
   * @param {string} address
   */
  switchOff(address) {
    void this.#add({ how: "off", part: address, factor: 0 });
  }

  /** @param {string} id of an answer that was given before */
  async open(id) {
    if (this.answer?.id === id) return;
    await this.work.run(
      (signal) => call(`${this.bench.endpoint("ablations")}/${id}`, { signal }),
      (answer) => {
        this.#take(answer);
        this.#show(answer);
      },
    );
  }

  /** There is another result now; the changes stay, and are asked again when they are looked at. */
  renew() {
    this.work.drop();
    this.answer = null;
    this.shown.hidden = true;
  }

  /** No change is left, as after undoing the first one. */
  reset() {
    this.changes = [];
    this.#drawChanges();
    this.renew();
  }

  /**
   * Ask, if there are changes whose answer is not shown.
   * @param {"step" | "note"} as whether that is a step of its own
   */
  async ask(as) {
    const { segmentation } = this.bench;
    if (!segmentation || this.answer) return;
    if (this.changes.length === 0) return;
    this.refused = false;
    await this.work.run(
      (signal) => this.#post(segmentation.id, signal),
      (answer) => {
        this.#show(answer);
        this.bench[as]({ ablation: answer.id });
      },
    );
  }

  /**
   * @param {string} segmentation
   * @param {AbortSignal} signal
   * @returns {Promise<Ablation>}
   */
  async #post(segmentation, signal) {
    try {
      const question = { segmentation, ...this.#asked() };
      return await post(this.bench.endpoint("ablations"), question, signal);
    } catch (error) {
      this.refused = error instanceof ApiProblem && [404, 422].includes(error.status);
      throw error;
    }
  }

  /** The changes as the API takes them. */
  #asked() {
    const of = (/** @type {Change["how"]} */ how) => this.changes.filter((each) => each.how === how);
    return {
      off: of("off").map((change) => change.part),
      keep: of("keep").map((change) => change.part),
      scale: of("scale").map((change) => `${change.part}=${change.factor}`),
      fill: this.fill.value,
    };
  }

  #wireForm() {
    const scaled = () => (part(this.form, "[data-factor]", HTMLElement).hidden = this.how.value !== "scale");
    this.how.addEventListener("change", scaled);
    scaled();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.problem.hidden = true;
      const named = partOf(this.field.value);
      if (named === null) {
        const why = "Name a pair as neuron.head (3.4), a neuron as neuron:3, or a head as head:4.";
        showProblem(this.problem, why);
        this.field.focus();
        return;
      }
      this.field.value = "";
      const how = /** @type {Change["how"]} */ (this.how.value);
      void this.#add({ how, part: named, factor: this.factor.valueAsNumber || 0 });
    });
    this.fill.addEventListener("change", () => void this.#changed());
    part(this.root, "[data-reset]", HTMLElement).addEventListener("click", () => {
      this.reset();
      this.bench.stage?.showMask();
      this.bench.step({ ablation: null });
      announce("Everything is on again");
    });
  }

  #wireAnswer() {
    for (const button of this.shown.querySelectorAll("[data-show-mask]"))
      button.addEventListener("click", () => {
        const which = button.getAttribute("data-show-mask") === "after" ? "after" : "before";
        if (this.answer) this.#showMask(this.answer, which);
      });
    const copyCall = part(this.shown, "[data-copy-call]", HTMLButtonElement);
    copyCall.addEventListener("click", () => {
      const body = { segmentation: this.answer?.segmentation, ...this.#asked() };
      void copy(copyCall, curlOf(this.bench.endpoint("ablations"), body));
    });
    /** @type {["csv" | "json", string, (answer: Ablation) => string][]} */
    const kinds = [
      ["csv", "text/csv", rankingOf],
      ["json", "application/json", JSON.stringify],
    ];
    for (const [kind, type, text] of kinds)
      part(this.shown, `[data-file=${kind}]`, HTMLElement).addEventListener("click", () => {
        const { answer } = this;
        if (answer) save(`ablation-${answer.id.slice(0, 8)}.${kind}`, type, text(answer));
      });
  }

  /**
   * Change one more part; one that the model does not have is taken back, with the reason.
   * @param {Change} change
   */
  async #add(change) {
    const { changes, answer } = this;
    this.changes = [...changes.filter((each) => each.part !== change.part), change];
    await this.#changed();
    if (!this.refused || this.changes.at(-1) !== change) return;
    this.changes = changes;
    this.answer = answer;
    this.#drawChanges();
    if (this.field.value === "") this.field.value = change.part;
  }

  async #changed() {
    this.#drawChanges();
    this.answer = null;
    if (this.changes.length > 0) await this.ask("step");
    else part(this.root, "[data-reset]", HTMLElement).click();
  }

  #drawChanges() {
    this.list.replaceChildren(
      ...this.changes.map((change) => {
        const name = change.part.replace(":", " ");
        const said = SAID[change.how] + (change.how === "scale" ? ` ${change.factor}` : "");
        const remove = element("button", { type: "button", "aria-label": `Undo ${name} ${said}` }, "×");
        remove.addEventListener("click", () => {
          this.changes = this.changes.filter((each) => each !== change);
          void this.#changed();
          this.field.focus();
        });
        return element("li", { class: "chip" }, `${name} ${said}`, remove);
      }),
    );
  }

  /**
   * The changes of an answer that was given before.
   * @param {Ablation} answer
   */
  #take({ off, keep, scale, fill }) {
    this.fill.value = fill;
    this.changes = [
      ...off.map((name) => ({ how: /** @type {const} */ ("off"), part: name, factor: 0 })),
      ...keep.map((name) => ({ how: /** @type {const} */ ("keep"), part: name, factor: 1 })),
      ...scale.map((text) => {
        const [name, factor] = text.split("=");
        return { how: /** @type {const} */ ("scale"), part: name, factor: Number(factor) };
      }),
    ];
    this.#drawChanges();
  }

  /** @param {Ablation} answer */
  #show(answer) {
    this.answer = answer;
    this.shown.hidden = false;
    const said =
      `${count(answer.pairs_changed)} ${answer.pairs_changed === 1 ? "pair is" : "pairs are"} changed: ${percent(answer.changed_share)} of the mask's pixels ` +
      `are taken for something else, and the whole picture's embedding keeps a cosine of ${number(answer.similarity)} with what it was.`;
    part(this.shown, "[data-verdict]", HTMLElement).textContent = said;
    part(this.shown, "tbody", HTMLElement).replaceChildren(...ranking(answer));
    this.#showMask(answer, "after");
    announce(said);
  }

  /**
   * @param {Ablation} answer
   * @param {"before" | "after"} which
   */
  #showMask(answer, which) {
    this.bench.stage?.showResult(answer[which]);
    for (const button of this.shown.querySelectorAll("[data-show-mask]"))
      button.setAttribute(
        "aria-pressed",
        String(button.getAttribute("data-show-mask") === which),
      );
  }
}

/**
 * The prompts in the order that they have after the change.
 * @param {Ablation} answer
 */
function ranking({ prompts, before, after }) {
  const share = (/** @type {import("./wire.js").MethodResult} */ result, /** @type {string} */ prompt) =>
    result.classes.find((kind) => kind.prompt === prompt)?.area_share ?? 0;
  return [...prompts]
    .sort((one, two) => one.after.rank - two.after.rank)
    .map(({ prompt, colour, before: was, after: is }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, swatch(colour), ` ${prompt}`),
        element("td", { class: "num" }, change(was.rank, is.rank, String)),
        element("td", { class: "num" }, change(was.score, is.score, number)),
        element("td", { class: "num" }, signed(is.score - was.score)),
        element("td", { class: "num" }, change(was.probability, is.probability, percent)),
        element("td", { class: "num" }, change(share(before, prompt), share(after, prompt), percent)),
      ),
    );
}

/**
 * @param {number} was
 * @param {number} is
 * @param {(value: number) => string} text
 */
function change(was, is, text) {
  const [old, fresh] = [text(was), text(is)];
  return old === fresh ? fresh : element("span", {}, element("s", {}, old), " ", fresh);
}

/** @param {string} colour */
function swatch(colour) {
  return svg(
    "svg",
    { class: "swatch", viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" },
    svg("rect", { width: 12, height: 12, rx: 2, fill: colour }),
  );
}

/**
 * A part as the API names it, from what people type: `3.4`, `(3, 4)`, `neuron 3`, `head:4`.
 * @param {string} text
 * @returns {string | null}
 */
function partOf(text) {
  const pair = /^\s*\(?\s*(\d{1,9})\s*[.,]\s*(\d{1,9})\s*\)?\s*$/.exec(text);
  if (pair) return `${Number(pair[1])}.${Number(pair[2])}`;
  const unit = /^\s*(neuron|head)s?\s*[: ]?\s*(\d{1,9})\s*$/i.exec(text);
  return unit ? `${unit[1].toLowerCase()}:${Number(unit[2])}` : null;
}
