// @ts-check
/** How like a text the whole picture is, as an exact sum over pairs, and where that comes from. */

import { announce } from "../announce.js";
import { element, part } from "../dom.js";
import { number, signed } from "../numbers.js";
import { Explanation } from "./explanation.js";

/** @typedef {import("./wire.js").Attribution} Attribution */

/** Heads, and neurons, that are named below the score. */
const NAMED = 4;

export class Score {
  /**
   * @param {HTMLElement} root
   * @param {import("./explanation.js").Bench} bench
   */
  constructor(root, bench) {
    this.bench = bench;
    this.form = part(root, "[data-texts]", HTMLFormElement);
    this.text = part(this.form, "[name=text]", HTMLInputElement);
    this.against = part(this.form, "[name=against]", HTMLInputElement);
    this.verdict = part(root, "[data-verdict]", HTMLElement);
    this.where = part(root, "[data-where]", HTMLButtonElement);
    this.whole = part(root, "[data-whole]", HTMLButtonElement);
    this.hint = part(root, "[data-hint]", HTMLElement);
    this.heads = part(root, "[data-heads]", HTMLElement);
    this.neurons = part(root, "[data-neurons]", HTMLElement);
    this.known = part(this.form, "datalist", HTMLDataListElement);
    this.explanation = new Explanation(root, bench, sumOf);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.ask("step");
    });
    this.form.addEventListener("change", () => void this.ask("step"));
    this.where.addEventListener("click", () => this.#showTokens());
    this.whole.addEventListener("click", () => void this.ask("step"));
  }

  /**
   * Ask how the score of the text that is typed comes about, unless that is what is shown.
   * @param {"step" | "note"} as whether that is a step of its own
   */
  async ask(as) {
    const { segmentation } = this.bench;
    const text = this.text.value.trim();
    const against = this.against.value.trim();
    const { answer } = this.explanation;
    if (!segmentation || text === "") return;
    const same = answer?.text === text && (answer.against ?? "") === against;
    if (same && (as === "note" || answer.token === null)) return;
    await this.explanation.ask(
      { segmentation: segmentation.id, text, ...(against ? { against } : {}) },
      (fresh) => {
        this.#show(fresh);
        this.bench[as]({ attribution: fresh.id });
      },
    );
  }

  /** @param {string} id of an answer that was given before */
  async open(id) {
    await this.explanation.open(id, (answer) => {
      this.#show(answer);
      if (answer.token) this.#showTokens();
    });
  }

  /**
   * Ask which pairs add what the score has from a place.
   * @param {number} row
   * @param {number} column
   */
  async #choose(row, column) {
    const { segmentation } = this.bench;
    const { answer } = this.explanation;
    if (!segmentation || !answer) return;
    this.bench.showPanel("score");
    const { text, against } = answer;
    const question = { text, ...(against === null ? {} : { against }), token: [row, column] };
    await this.explanation.ask({ segmentation: segmentation.id, ...question }, (fresh) => {
      this.#show(fresh);
      this.bench.step({ attribution: fresh.id });
    });
  }

  /** There is another result now: its first prompt is asked about when the panel is looked at. */
  renew() {
    const names = this.bench.segmentation?.classes.map(({ prompt }) => prompt) ?? [];
    this.explanation.clear();
    this.verdict.replaceChildren();
    for (const each of [this.where, this.whole, this.hint]) each.hidden = true;
    this.heads.replaceChildren();
    this.neurons.replaceChildren();
    this.known.replaceChildren(...names.map((name) => element("option", { value: name })));
    if (!names.includes(this.text.value)) this.text.value = names[0] ?? "";
  }

  /** @param {Attribution} answer */
  #show(answer) {
    this.text.value = answer.text;
    this.against.value = answer.against ?? "";
    for (const each of [this.where, this.hint]) each.hidden = false;
    this.whole.hidden = answer.token === null;
    if (answer.token) this.#sayToken(answer, answer.token);
    else this.#sayWhole(answer);
    announce(this.verdict.textContent ?? "");
  }

  /** @param {Attribution} answer */
  #sayWhole(answer) {
    this.verdict.replaceChildren(
      `The picture's ${nameOf(answer)} is `,
      element("strong", {}, number(answer.score)),
      ` (cosine): pairs give ${signed(answer.positive)} and take ${number(answer.negative)}, ` +
        `what no pair writes adds ${signed(answer.constant)}.`,
    );
    const heads = answer.heads.map((each) => ({ ...each, kind: "head", number: each.head }));
    const neurons = answer.neurons.map((each) => ({ ...each, kind: "neuron", number: each.neuron }));
    this.heads.replaceChildren("By head: ", ...this.#strongest(heads));
    this.neurons.replaceChildren("By neuron: ", ...this.#strongest(neurons));
  }

  /**
   * @param {Attribution} answer
   * @param {NonNullable<Attribution["token"]>} token
   */
  #sayToken(answer, { row, column, contribution }) {
    this.verdict.replaceChildren(
      `From row ${row + 1}, column ${column + 1} of the map comes `,
      element("strong", {}, signed(contribution)),
      ` of the ${nameOf(answer)}, which is ${number(answer.score)}.`,
    );
    this.heads.replaceChildren();
    this.neurons.replaceChildren();
    this.bench.stage?.markOnMap(row, column);
  }

  /**
   * The heads or neurons whose pairs add or take most, each to be switched off.
   * @param {{kind: string, number: number, contribution: number}[]} units
   */
  #strongest(units) {
    return units
      .sort((one, two) => Math.abs(two.contribution) - Math.abs(one.contribution))
      .slice(0, NAMED)
      .flatMap(({ kind, number: which, contribution }, place) => {
        const off = element("button", { type: "button", class: "linklike" }, "off");
        off.setAttribute("aria-label", `Switch off ${kind} ${which}`);
        off.addEventListener("click", () => this.bench.switchOff(`${kind}:${which}`));
        return [`${place === 0 ? "" : ", "}${which} ${signed(contribution)} `, off];
      });
  }

  #showTokens() {
    const { answer } = this.explanation;
    if (!answer || !this.bench.stage) return;
    const { tokens, token } = answer;
    this.bench.stage.showMap({
      url: tokens.heatmap_url,
      title: `Where the ${nameOf(answer)} comes from`,
      cells: tokens.cells,
      scale: tokens.scale,
      region: tokens.region,
      choice: {
        label: this.where.dataset.label ?? "",
        onChoose: (row, column) => void this.#choose(row, column),
      },
    });
    if (token) this.bench.stage.markOnMap(token.row, token.column);
  }
}

/** @param {Attribution} answer */
function nameOf({ text, against }) {
  return `similarity to “${text}”${against === null ? "" : ` minus that to “${against}”`}`;
}

/** @param {Attribution} answer */
function sumOf(answer) {
  const { against, score, constant, pairs, remainder, token } = answer;
  const title = nameOf(answer);
  if (token) {
    const { row, column, contribution } = token;
    return {
      title: `Part of the ${title} that comes from row ${row + 1}, column ${column + 1}`,
      totalName: "this place",
      total: contribution,
      constant: null,
      pairs: token.pairs,
      remainder: token.remainder,
    };
  }
  return {
    title: `${title[0].toUpperCase()}${title.slice(1)}`,
    totalName: against === null ? "score" : "difference",
    total: score,
    constant,
    pairs,
    remainder,
  };
}
