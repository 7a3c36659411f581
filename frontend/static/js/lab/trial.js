// @ts-check
/** Pairs that were brought along to be tried on a picture: their value on it, and where it is. */

import { post } from "../api.js";
import { part } from "../dom.js";
import { number } from "../numbers.js";
import { addressOf } from "./pair_names.js";

export class Trial {
  /**
   * @param {HTMLElement} root names its pairs in `data-trial`
   * @param {import("./explanation.js").Bench} bench
   */
  constructor(root, bench) {
    this.root = root;
    this.bench = bench;
    this.pairs = (root.dataset.trial ?? "").split(" ").filter((address) => address !== "");
    /** @type {import("./wire.js").Attribution | null} */
    this.answer = null;
    for (const button of root.querySelectorAll("[data-trial-map]"))
      button.addEventListener("click", () => this.#showMap(button.getAttribute("data-trial-map")));
    for (const button of root.querySelectorAll("[data-trial-off]"))
      button.addEventListener("click", () =>
        bench.switchOff(button.getAttribute("data-trial-off") ?? ""),
      );
  }

  /** There is another result: ask for the pairs' values on it, and show the first one's map. */
  async renew() {
    const { segmentation } = this.bench;
    if (!segmentation || this.pairs.length === 0) return;
    const answer = await post(this.bench.endpoint("attributions"), {
      segmentation: segmentation.id,
      text: segmentation.classes[0].prompt,
      pairs: this.pairs,
      top: 1,
    });
    if (this.bench.segmentation !== segmentation) return;
    this.answer = answer;
    for (const map of this.answer?.maps ?? []) this.#tell(map);
    this.#showMap(this.pairs[0]);
  }

  /** @param {import("./wire.js").PairMap} map */
  #tell(map) {
    const place = part(this.root, `[data-trial-value="${addressOf(map)}"]`, HTMLElement);
    const standing =
      map.percentile === null
        ? ""
        : `, more than on ${number(map.percentile)} % of the data set's images`;
    place.textContent = `Its value on this picture is ${number(map.value)}${standing}.`;
    part(this.root, `[data-trial-actions="${addressOf(map)}"]`, HTMLElement).hidden = false;
  }

  /** @param {string | null} address */
  #showMap(address) {
    const map = this.answer?.maps.find((each) => addressOf(each) === address);
    if (!map || !this.answer) return;
    this.bench.stage?.showMap({
      url: map.heatmap_url,
      title: `Where the value of pair ${address} comes from`,
      cells: map.cells,
      scale: map.scale,
      region: this.answer.tokens.region,
    });
  }
}
