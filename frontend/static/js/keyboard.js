// @ts-check
import { recall, remember } from "./memory.js";

/** Single keys; they can be switched off, for those whose speech input types letters. */
export function wireKeyboard() {
  const dialog = document.getElementById("keys");
  if (!(dialog instanceof HTMLDialogElement)) return;
  const enabled = /** @type {HTMLInputElement} */ (dialog.querySelector("[data-keys-enabled]"));
  enabled.checked = recall("keys") !== false;
  enabled.addEventListener("change", () => remember("keys", enabled.checked));
  document.querySelector("[data-keys-open]")?.addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (!enabled.checked || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (press(event, dialog)) event.preventDefault();
  });
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLDialogElement} dialog
 * @returns {boolean} whether the key meant something
 */
function press(event, dialog) {
  if (event.key === "?") {
    dialog.showModal();
    return true;
  }
  if (event.key === "/") return focusSearch();
  if (event.key === "j") return stepThroughCards(1);
  if (event.key === "k") return stepThroughCards(-1);
  return follow((event.shiftKey ? "Shift+" : "") + event.key);
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

function focusSearch() {
  const field = document.querySelector("[data-search]");
  if (!(field instanceof HTMLInputElement)) return false;
  field.focus();
  field.select();
  return true;
}

/** @param {1 | -1} step */
function stepThroughCards(step) {
  const cards = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-card]")]);
  if (cards.length === 0) return false;
  const here = cards.findIndex((card) => card === document.activeElement);
  const next = here < 0 ? (step > 0 ? 0 : cards.length - 1) : here + step;
  cards[Math.min(Math.max(next, 0), cards.length - 1)].focus();
  return true;
}

/** @param {string} key */
function follow(key) {
  const link = document.querySelector(`a[data-key~="${CSS.escape(key)}"]`);
  if (!(link instanceof HTMLAnchorElement)) return false;
  link.click();
  return true;
}
