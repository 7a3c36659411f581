// @ts-check
/** Words that a picture is most like, offered as prompts. */

import { element, part } from "../dom.js";

/**
 * Offer the words of a picture that is new.
 * @param {HTMLFormElement} form
 * @param {string[]} words
 */
export function offerWords(form, words) {
  if (words.length === 0) return;
  part(form, "[data-near-about]", HTMLElement).textContent = "Words near this picture";
  part(form, "[data-near-words]", HTMLElement).replaceChildren(
    ...words.map((word) =>
      element("button", { type: "button", class: "chip", "data-add-prompt": word }, word),
    ),
  );
}
