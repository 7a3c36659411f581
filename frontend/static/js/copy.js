// @ts-check
import { announce } from "./announce.js";

/** Buttons that copy the field named by `data-copy`. */
export function wireCopyButtons() {
  document.addEventListener("click", async (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("[data-copy]");
    if (!(button instanceof HTMLButtonElement)) return;
    const field = document.getElementById(button.dataset.copy ?? "");
    if (!(field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement)) return;
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      // Without a secure origin there is no clipboard; the field stays selected for Ctrl+C.
      button.textContent = "Press Ctrl+C";
      return;
    }
    button.textContent = "Copied";
    announce("Copied");
  });
}
