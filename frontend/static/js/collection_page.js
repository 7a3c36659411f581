// @ts-check
/** The collection's page: moving and removing rows, and keeping in this browser what is saved. */

import { addressOf, collectionOf, keepCollection } from "./collection.js";

/** @typedef {import("./collection.js").Collection} Collection */

const page = /** @type {HTMLElement} */ (document.querySelector("[data-collection-page]"));
const form = /** @type {HTMLFormElement} */ (page.querySelector("[data-collection-form]"));
const rows = /** @type {HTMLElement} */ (form.querySelector("[data-entries]"));
const adopt = page.querySelector("[data-adopt]");
const model = page.dataset.collectionPage ?? "";
const address = form.getAttribute("action") ?? "";

// The bare address is that of the visitor's own list; a share shows somebody else's.
if (location.pathname === address && !location.search && collectionOf(model).entries.length > 0)
  location.replace(addressOf(address, collectionOf(model)));

if (adopt instanceof HTMLElement) {
  adopt.hidden = JSON.stringify(written()) === JSON.stringify(collectionOf(model));
  adopt.addEventListener("click", () => {
    keepCollection(model, written());
    adopt.hidden = true;
  });
}

rows.addEventListener("click", (event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest("button");
  const row = button?.closest("[data-entry]");
  if (!button || !row) return;
  if (button.dataset.remove !== undefined) remove(row);
  else if (button.dataset.move === "-1") row.previousElementSibling?.before(row);
  else row.nextElementSibling?.after(row);
  button.focus();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  keepCollection(model, written());
  location.assign(addressOf(address, written()));
});

/**
 * A row that is the only one is emptied: there must be one to write in.
 * @param {Element} row
 */
function remove(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  if (next) row.remove();
  else for (const field of fields(row)) field.value = "";
  next?.querySelector("button")?.focus();
}

/** @returns {Collection} what stands in the form */
function written() {
  const data = new FormData(form);
  const entries = [...rows.children]
    .map((row) => fields(row).map((field) => field.value.trim()))
    .map(([pair, note]) => ({ pair, note }))
    .filter((entry) => entry.pair);
  return {
    title: String(data.get("title") ?? "").trim(),
    about: String(data.get("about") ?? "").trim(),
    entries,
  };
}

/**
 * @param {Element} row
 * @returns {(HTMLInputElement | HTMLTextAreaElement)[]} the fields of the pair and of its note
 */
function fields(row) {
  return [...row.querySelectorAll("input, textarea")].filter(
    (field) => field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement,
  );
}
