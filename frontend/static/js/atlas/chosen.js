// @ts-check
/** The table under the map: the pairs of the part that was chosen, as the server draws them. */

import { showProblem } from "../api.js";
import { announce } from "../announce.js";
import { writeRegion } from "./region.js";

export class Chosen {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.page = root.dataset.page ?? "";
    this.table = /** @type {HTMLElement} */ (document.querySelector("[data-finder]"));
    this.problem = /** @type {HTMLElement} */ (root.querySelector("[data-map-problem]"));
    this.running = new AbortController();
  }

  /**
   * Draw the table for a part of the map; for all of it without corners.
   * @param {import("./region.js").Point[]} corners
   */
  async show(corners) {
    const region = corners.length < 3 ? null : writeRegion(corners);
    this.remember("region", region);
    this.running.abort();
    this.running = new AbortController();
    this.table.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(this.#address(region), { signal: this.running.signal });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("[data-finder]");
      if (!response.ok || !fresh) throw new Error("The chosen pairs could not be listed.");
      this.table.replaceChildren(...fresh.childNodes);
      announce(this.table.querySelector("h2")?.textContent ?? "");
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      showProblem(this.problem, error);
    }
    this.table.removeAttribute("aria-busy");
  }

  /** @param {string | null} region */
  #address(region) {
    return region === null ? this.page : `${this.page}?${new URLSearchParams({ region })}`;
  }

  /**
   * Keep a choice in the address, where that is the atlas's own and not a share's.
   * @param {string} name
   * @param {string | null} value
   */
  remember(name, value) {
    if (location.pathname !== this.page) return;
    const address = new URL(location.href);
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
    history.replaceState(null, "", address);
  }
}
