// @ts-check
/** The card of the pair under the pointer: its images, its words, its norm. */

import { call } from "../api.js";

const DELAY_MS = 70;
const KEPT = 300;
const MARGIN = 12;

export class HoverCard {
  /**
   * @param {HTMLElement} card
   * @param {string} pairsUrl of the JSON table of pairs
   */
  constructor(card, pairsUrl) {
    this.card = card;
    this.pairsUrl = pairsUrl;
    /** @type {Map<string, any>} */
    this.known = new Map();
    this.wanted = "";
    this.timer = 0;
  }

  /**
   * Show a pair beside a point of the map.
   * @param {{neuron: number, head: number}} pair
   * @param {{x: number, y: number}} at in pixels of the map
   */
  show({ neuron, head }, at) {
    const key = `${neuron}.${head}`;
    if (key === this.wanted) return;
    this.wanted = key;
    clearTimeout(this.timer);
    const pair = this.known.get(key);
    if (pair) this.#fill(pair, at);
    else this.timer = setTimeout(() => void this.#fetch(key, neuron, head, at), DELAY_MS);
  }

  hide() {
    clearTimeout(this.timer);
    this.wanted = "";
    this.card.hidden = true;
  }

  /**
   * @param {string} key
   * @param {number} neuron
   * @param {number} head
   * @param {{x: number, y: number}} at
   */
  async #fetch(key, neuron, head, at) {
    let found;
    try {
      found = await call(`${this.pairsUrl}?neuron=${neuron}&head=${head}&limit=1`);
    } catch {
      return; // a card that cannot be had is not worth a message over the map
    }
    if (this.known.size >= KEPT) this.known.clear();
    this.known.set(key, found.results[0]);
    if (this.wanted === key) this.#fill(found.results[0], at);
  }

  /**
   * @param {any} pair
   * @param {{x: number, y: number}} at
   */
  #fill(pair, at) {
    const images = /** @type {HTMLElement} */ (this.card.querySelector("[data-images]"));
    images.replaceChildren(...pair.thumbnails.map(picture));
    const words = pair.words.map((/** @type {any} */ word) => wordOf(word));
    const line = /** @type {HTMLElement} */ (this.card.querySelector("[data-words]"));
    line.replaceChildren(...joined(words));
    const facts = /** @type {HTMLElement} */ (this.card.querySelector("[data-facts]"));
    facts.textContent = `(${pair.neuron}, ${pair.head})  norm ${pair.norm.toPrecision(3)}`;
    const link = this.card.querySelector("[data-link]");
    if (link instanceof HTMLAnchorElement) link.href = pair.url;
    this.card.hidden = false;
    this.#place(at);
  }

  /** @param {{x: number, y: number}} at */
  #place(at) {
    const parent = /** @type {HTMLElement} */ (this.card.offsetParent);
    const { offsetWidth: width, offsetHeight: height } = this.card;
    const right = at.x + MARGIN + width <= parent.clientWidth;
    const left = right ? at.x + MARGIN : Math.max(0, at.x - MARGIN - width);
    const top = Math.min(Math.max(0, at.y - height / 2), parent.clientHeight - height);
    this.card.style.left = `${left}px`;
    this.card.style.top = `${Math.max(0, top)}px`;
  }
}

/** @param {{url: string, heatmap_url: string | null}} thumbnail */
function picture(thumbnail) {
  const image = document.createElement("img");
  Object.assign(image, { src: thumbnail.url, alt: "", width: 72, height: 72 });
  return image;
}

/** @param {{word: string, weight: number}} word */
function wordOf({ word, weight }) {
  const span = document.createElement("span");
  span.textContent = weight < 0 ? `\u2212${word}` : word;
  if (weight < 0) span.className = "word--away";
  return span;
}

/** @param {HTMLElement[]} words */
function joined(words) {
  return words.flatMap((word, place) => (place === 0 ? [word] : [" · ", word]));
}
