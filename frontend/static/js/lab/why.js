// @ts-check
/** Which pairs decided what a place of the picture is taken for, and against what. */

import { announce } from "../announce.js";
import { element, part } from "../dom.js";
import { number, signed } from "../numbers.js";
import { Explanation } from "./explanation.js";

/** @typedef {import("./wire.js").Attribution} Attribution */

export class Why {
  /**
   * @param {HTMLElement} root
   * @param {import("./explanation.js").Bench} bench
   */
  constructor(root, bench) {
    this.bench = bench;
    this.hint = part(root, "[data-hint]", HTMLElement);
    this.form = part(root, "[data-versus]", HTMLFormElement);
    this.verdict = part(root, "[data-verdict]", HTMLElement);
    this.text = part(this.form, "[name=text]", HTMLSelectElement);
    this.against = part(this.form, "[name=against]", HTMLSelectElement);
    this.explanation = new Explanation(root, bench, sumOf);
    /** @type {[number, number] | null} */
    this.cell = null;
    this.form.addEventListener("change", () => void this.#ask(true));
  }

  /**
   * Ask what decided a cell, between its two strongest classes.
   * @param {number} row
   * @param {number} column
   */
  async choose(row, column) {
    this.cell = [row, column];
    await this.#ask(false);
  }

  /** @param {string} id of an answer that was given before */
  async open(id) {
    await this.explanation.open(id, (answer) => this.#show(answer));
  }

  /** There is another result now. */
  renew() {
    this.cell = null;
    this.explanation.clear();
    this.form.hidden = true;
    this.hint.hidden = false;
    this.verdict.replaceChildren();
    const names = this.bench.segmentation?.classes.map(({ prompt }) => prompt) ?? [];
    for (const select of [this.text, this.against])
      select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    this.against.append(element("option", { value: "" }, "nothing"));
  }

  /** @param {boolean} chosen whether the classes are those of the form, or the strongest two */
  async #ask(chosen) {
    const { segmentation } = this.bench;
    if (!segmentation || !this.cell) return;
    const against = this.against.value;
    const versus = chosen ? { text: this.text.value, ...(against ? { against } : {}) } : {};
    await this.explanation.ask(
      { segmentation: segmentation.id, cell: this.cell, ...versus },
      (answer) => {
        this.#show(answer);
        this.bench.step({ place: answer.id });
      },
    );
  }

  /** @param {Attribution} answer */
  #show({ cell }) {
    if (!cell) return;
    this.cell = [cell.row, cell.column];
    this.text.value = cell.text;
    this.against.value = cell.against ?? "";
    this.hint.hidden = true;
    this.form.hidden = false;
    const floor =
      cell.background_logit === null
        ? ""
        : `, and must be above ${number(cell.background_logit)} not to be background`;
    const rival =
      cell.against === null
        ? ""
        : ` “${cell.against}” has ${number(cell.against_logit)}: a difference of ${signed(cell.difference)}.`;
    const said = `At row ${cell.row + 1}, column ${cell.column + 1} the logit of “${cell.text}” is ${number(cell.logit)}${floor}.${rival}`;
    this.verdict.textContent = said;
    announce(said);
    this.bench.stage?.markCell(cell.row, cell.column);
  }
}

/** @param {Attribution} answer */
function sumOf({ cell }) {
  if (!cell) throw new Error("This answer is not about a place.");
  const { text, against, pairs, remainder, constant, difference, row, column } = cell;
  const rival = against === null ? "" : ` minus “${against}”`;
  return {
    title: `Logit of “${text}”${rival} at row ${row + 1}, column ${column + 1}`,
    totalName: against === null ? "logit" : "difference",
    total: difference,
    constant: constant === 0 ? null : constant,
    pairs,
    remainder,
  };
}
