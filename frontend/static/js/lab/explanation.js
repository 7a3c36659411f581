// @ts-check
/** A panel that shows how a number comes from pairs: asked of the API, drawn, taken away. */

import { call, post } from "../api.js";
import { element, part } from "../dom.js";
import { save } from "../save.js";
import { copy, csvOf, curlOf, htmlOf, svgOf } from "./files.js";
import { pairRows } from "./pair_rows.js";
import { Work } from "./work.js";

/** Pairs that a list shows at first; the others are summed in one row. */
const PAIRS_SHOWN = 10;

/** Pairs that it shows when more are wanted: all that the API tells. */
const MOST_SHOWN = 100;

/** @typedef {import("./wire.js").Attribution} Attribution */
/** @typedef {import("./waterfall.js").Sum} Sum */

/**
 * What a panel needs of the lab.
 * @typedef {object} Bench
 * @property {(what: "attributions" | "ablations") => string} endpoint
 * @property {import("./wire.js").Segmentation | null} segmentation the result that is shown
 * @property {import("./stage.js").Stage | null} stage
 * @property {(change: Record<string, string | null>) => void} step a new step: values of the address
 * @property {(change: Record<string, string | null>) => void} note the same step with more to it
 * @property {(name: string) => void} showPanel
 * @property {(address: string) => void} switchOff
 */

export class Explanation {
  /**
   * @param {HTMLElement} root
   * @param {Bench} bench
   * @param {(answer: Attribution) => Sum} sumOf
   */
  constructor(root, bench, sumOf) {
    this.root = root;
    this.bench = bench;
    this.sumOf = sumOf;
    this.rows = part(root, "[data-rows]", HTMLElement);
    this.files = part(root, "[data-files]", HTMLElement);
    /** @type {Attribution | null} */
    this.answer = null;
    this.work = new Work({
      progress: part(root, "[data-progress]", HTMLElement),
      elapsed: part(root, "[data-elapsed]", HTMLElement),
      cancel: part(root, "[data-cancel]", HTMLElement),
      problem: part(root, "[data-problem]", HTMLElement),
      doing: "Asking which pairs",
    });
    this.#wireFiles();
  }

  /**
   * Ask, and hand the answer to `use` after its pairs have been drawn.
   * @param {object} question
   * @param {(answer: Attribution) => void} use
   */
  async ask(question, use) {
    await this.#run((signal) => this.#post({ ...question, top: PAIRS_SHOWN }, signal), use);
  }

  /**
   * Show an answer that was given before.
   * @param {string} id
   * @param {(answer: Attribution) => void} use
   */
  async open(id, use) {
    if (this.answer?.id === id) return;
    await this.#run((signal) => call(`${this.bench.endpoint("attributions")}/${id}`, { signal }), use);
  }

  /** Forget what is shown: it belongs to another result. */
  clear() {
    this.work.drop();
    this.answer = null;
    this.rows.replaceChildren();
    this.files.hidden = true;
  }

  /**
   * @param {(signal: AbortSignal) => Promise<Attribution>} task
   * @param {(answer: Attribution) => void} use
   */
  async #run(task, use) {
    if (this.answer === null) this.rows.replaceChildren(skeleton());
    this.rows.classList.add("is-waiting");
    const done = await this.work.run(task, (answer) => {
      this.answer = answer;
      const actions = {
        map: (/** @type {string} */ address) => void this.#showMap(address),
        off: this.bench.switchOff,
      };
      const sum = this.sumOf(answer);
      this.rows.replaceChildren(pairRows(sum, actions), ...this.#more(sum, answer, use));
      this.files.hidden = false;
      use(answer);
    });
    if (this.work.busy) return;
    this.rows.classList.remove("is-waiting");
    if (!done && this.answer === null) this.rows.replaceChildren();
  }

  /**
   * What asks for a longer list, where there is one.
   * @param {Sum} sum
   * @param {Attribution} answer
   * @param {(answer: Attribution) => void} use
   */
  #more({ pairs, remainder }, answer, use) {
    const most = Math.min(MOST_SHOWN, pairs.length + remainder.pairs);
    if (pairs.length >= most) return [];
    const button = element("button", { type: "button" }, `Show the ${most} strongest pairs`);
    button.addEventListener("click", async () => {
      const question = { ...questionOf(answer), top: most };
      await this.#run((signal) => this.#post(question, signal), use);
      // The focus goes on where the list went on.
      [...this.rows.querySelectorAll("a")][pairs.length]?.focus();
    });
    return [element("p", { class: "actions" }, button)];
  }

  /**
   * @param {object} body
   * @param {AbortSignal} signal
   * @returns {Promise<Attribution>}
   */
  #post(body, signal) {
    return post(this.bench.endpoint("attributions"), body, signal);
  }

  /**
   * Where in the picture a pair's own value comes from.
   * @param {string} address
   */
  async #showMap(address) {
    const { segmentation, stage } = this.bench;
    if (!segmentation || !stage || !this.answer) return;
    const question = { segmentation: segmentation.id, text: this.answer.text, pairs: [address], top: 1 };
    await this.work.run(
      (signal) => this.#post(question, signal),
      (answer) => {
        const [map] = answer.maps;
        stage.showMap({
          url: map.heatmap_url,
          title: `Where the value of pair ${address} comes from`,
          cells: map.cells,
          scale: map.scale,
          region: answer.tokens.region,
        });
      },
    );
  }

  #wireFiles() {
    /** @type {Record<string, (answer: Attribution, name: string) => void>} */
    const kinds = {
      csv: (answer, name) => save(`${name}.csv`, "text/csv", csvOf(this.sumOf(answer))),
      svg: (answer, name) => save(`${name}.svg`, "image/svg+xml", svgOf(this.sumOf(answer))),
      html: (answer, name) => save(`${name}.html`, "text/html", htmlOf(this.sumOf(answer))),
      json: (answer, name) => save(`${name}.json`, "application/json", JSON.stringify(answer)),
    };
    for (const button of this.files.querySelectorAll("[data-file]"))
      button.addEventListener("click", () => {
        const kind = button.getAttribute("data-file") ?? "";
        if (this.answer) kinds[kind](this.answer, `pairs-${this.answer.id.slice(0, 8)}`);
      });
    const copyCall = part(this.files, "[data-copy-call]", HTMLButtonElement);
    copyCall.addEventListener("click", () => {
      if (this.answer)
        void copy(copyCall, curlOf(this.bench.endpoint("attributions"), questionOf(this.answer)));
    });
  }
}

/**
 * What gives an answer again, for those who want to ask it themselves.
 * @param {Attribution} answer
 */
function questionOf({ segmentation, text, against, cell, token, pairs }) {
  return {
    segmentation,
    text: cell?.text ?? text,
    ...((cell?.against ?? against) === null ? {} : { against: cell?.against ?? against }),
    ...(cell ? { cell: [cell.row, cell.column] } : {}),
    ...(token ? { token: [token.row, token.column] } : {}),
    top: (cell?.pairs ?? token?.pairs ?? pairs).length,
  };
}

/** The place of a list that is on its way. */
function skeleton() {
  const rows = Array.from({ length: PAIRS_SHOWN }, () => element("li", { class: "pair-row" }));
  return element("ol", { class: "pair-rows skeleton", "aria-hidden": "true" }, ...rows);
}
