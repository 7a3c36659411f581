// @ts-check
/** A lab whose model is still being loaded: opens when that is done. */

import { announce } from "../announce.js";
import { call } from "../api.js";
import { part } from "../dom.js";

const POLL_MS = 2000;

/**
 * Ask until the model is loaded, or known to be unavailable, and say so in the form.
 * @param {HTMLFormElement} form
 * @param {string} model its address in the API
 */
export function awaitModel(form, model) {
  const notice = part(form, "[data-live-notice]", HTMLElement);
  const poll = setInterval(async () => {
    let told;
    try {
      told = await call(model);
    } catch {
      return;
    }
    if (told.live === "loading") return;
    clearInterval(poll);
    part(form, "[data-run]", HTMLButtonElement).disabled = told.live !== "ready";
    notice.hidden = told.live === "ready";
    if (told.live === "ready") announce("The model is ready.");
    else part(notice, "[data-live-message]", HTMLElement).textContent = told.live_message ?? "";
  }, POLL_MS);
}
