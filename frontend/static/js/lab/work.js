// @ts-check
/** One request under way at a time: a newer one replaces it, a busy server is asked again. */

import { announce } from "../announce.js";
import { ApiProblem, showProblem } from "../api.js";

/** A server that is busy this often in a row is not asked again by itself. */
const MOST_RETRIES = 5;

const TICK_MS = 200;

export class Work {
  /**
   * @param {{progress: HTMLElement, elapsed: HTMLElement, cancel: HTMLElement, problem: HTMLElement, doing: string}} places
   *   where progress and problems are shown; `doing` is said to screen readers ("Segmenting")
   */
  constructor(places) {
    this.places = places;
    /** @type {AbortController | null} */
    this.underway = null;
    places.cancel.addEventListener("click", () => {
      this.drop();
      announce("Cancelled");
    });
  }

  /** Whether something is asked and not yet answered. */
  get busy() {
    return this.underway !== null;
  }

  /** Give up what is under way: its answer is not wanted any more. */
  drop() {
    this.underway?.abort();
    this.underway = null;
    this.#rest();
  }

  /**
   * Do `task` and hand its result to `use`, unless something newer was begun since.
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} task may be called again when the server is busy
   * @param {(result: T) => void} use
   * @returns {Promise<boolean>} whether `use` was reached
   */
  async run(task, use) {
    this.drop();
    const mine = new AbortController();
    this.underway = mine;
    this.places.problem.hidden = true;
    announce(this.places.doing);
    try {
      const result = await this.#persist(task, mine.signal);
      if (this.underway !== mine) return false;
      use(result);
      return true;
    } catch (error) {
      if (this.underway === mine && !isAbort(error)) showProblem(this.places.problem, error);
      return false;
    } finally {
      if (this.underway === mine) {
        this.underway = null;
        this.#rest();
      }
    }
  }

  /**
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} task
   * @param {AbortSignal} signal
   */
  async #persist(task, signal) {
    for (let attempt = 0; ; attempt += 1) {
      const stop = this.#clock();
      try {
        return await task(signal);
      } catch (error) {
        const wait = error instanceof ApiProblem && error.status === 503 ? error.retryAfter : null;
        if (wait === null || attempt >= MOST_RETRIES) throw error;
        stop();
        await this.#countDown(/** @type {ApiProblem} */ (error), wait, signal);
      } finally {
        stop();
      }
    }
  }

  /**
   * Say what the matter is, and wait as long as the server asks for.
   * @param {ApiProblem} problem
   * @param {number} seconds
   * @param {AbortSignal} signal
   */
  async #countDown(problem, seconds, signal) {
    const { problem: place, progress, elapsed } = this.places;
    showProblem(place, problem);
    progress.hidden = false;
    const ends = performance.now() + 1000 * seconds;
    for (let left = seconds; left > 0; left = (ends - performance.now()) / 1000) {
      elapsed.textContent = `trying again in ${Math.ceil(left)} s`;
      await pause(TICK_MS, signal);
    }
    place.hidden = true;
  }

  /** @returns {() => void} stops the clock */
  #clock() {
    const { progress, elapsed, cancel } = this.places;
    const began = performance.now();
    const tick = () =>
      (elapsed.textContent = `${((performance.now() - began) / 1000).toFixed(1)} s`);
    progress.hidden = cancel.hidden = false;
    tick();
    const clock = setInterval(tick, TICK_MS);
    return () => clearInterval(clock);
  }

  #rest() {
    this.places.progress.hidden = this.places.cancel.hidden = true;
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** @param {unknown} error */
function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

