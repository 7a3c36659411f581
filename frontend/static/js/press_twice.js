// @ts-check
/** Buttons that undo nothing by accident: what cannot be undone takes a second press. */

import { announce } from "./announce.js";

const WAITS_MS = 6000;

/**
 * @param {HTMLElement} button
 * @param {string} question what it says after the first press
 * @returns {boolean} whether this is the second press
 */
export function pressedTwice(button, question) {
  if (button.dataset.asked !== undefined) return true;
  const said = button.textContent ?? "";
  const rest = () => {
    clearTimeout(waiting);
    button.removeEventListener("blur", rest);
    button.textContent = said;
    delete button.dataset.asked;
  };
  const waiting = setTimeout(rest, WAITS_MS);
  button.dataset.asked = "";
  button.textContent = question;
  announce(question);
  button.addEventListener("blur", rest);
  return false;
}
