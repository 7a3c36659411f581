// @ts-check
/** Making a share link, and deleting one. */

import { announce } from "./announce.js";
import { call, showProblem } from "./api.js";
import { element, part } from "./dom.js";
import { leaveWord } from "./left_word.js";
import { forgetLink, linksTo, ownLinks, rememberLink } from "./own_links.js";

/** @typedef {{id: string, url: string, delete_token: string}} ShareCreated */

/** The dialog that makes a link to this page, with the visitor's picture where it shows one. */
export function wireShareDialog() {
  const dialog = document.getElementById("share");
  if (!(dialog instanceof HTMLDialogElement)) return;
  document.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("[data-share-open]")) open(dialog);
    if (target.closest("[data-share-close]")) dialog.close();
  });
  for (const field of dialog.querySelectorAll("textarea[data-snippet]"))
    // Without a public address the server leaves the origin to the browser.
    if (field instanceof HTMLTextAreaElement)
      field.value = field.value.replaceAll("{origin}", location.origin);
  const form = part(dialog, "[data-share-form]", HTMLFormElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void create(dialog, form);
  });
}

/** @param {HTMLDialogElement} dialog */
function open(dialog) {
  const kind = document.querySelector(".stage") ? "picture" : "view";
  for (const text of dialog.querySelectorAll("[data-share-explains]"))
    if (text instanceof HTMLElement) text.hidden = text.dataset.shareExplains !== kind;
  // A picture of one's own is private until it is shared, so there is nothing to copy before.
  part(dialog, "[data-snippets]", HTMLElement).hidden = kind === "picture";
  part(dialog, "[data-share-form]", HTMLFormElement).hidden = false;
  part(dialog, "[data-share-done]", HTMLElement).hidden = true;
  part(dialog, "[data-share-problem]", HTMLElement).hidden = true;
  const own = ownLinks();
  part(dialog, "[data-own-links]", HTMLElement).hidden = own.length === 0;
  part(dialog, "[data-own-links] ul", HTMLElement).replaceChildren(
    ...own.map(({ url, title }) => element("li", {}, element("a", { href: url }, title || url))),
  );
  for (const button of dialog.querySelectorAll("[data-copy]")) button.textContent = "Copy";
  dialog.showModal();
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {HTMLFormElement} form
 */
async function create(dialog, form) {
  const submit = part(dialog, "[data-share-submit]", HTMLButtonElement);
  const problem = part(dialog, "[data-share-problem]", HTMLElement);
  const fields = new FormData(form);
  // Scripts of a page that moves on without loading keep this up to date.
  const view = dialog.dataset.view ?? "/";
  const title = String(fields.get("title") ?? "").trim();
  submit.disabled = true;
  problem.hidden = true;
  try {
    const made = /** @type {ShareCreated} */ (
      await call(dialog.dataset.shareEndpoint ?? "", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          view,
          title,
          note: String(fields.get("note") ?? "").trim(),
        }),
      })
    );
    rememberLink({ id: made.id, url: made.url, token: made.delete_token, title, view });
    show(dialog, made);
  } catch (error) {
    showProblem(problem, error);
  } finally {
    submit.disabled = false;
  }
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {ShareCreated} made
 */
function show(dialog, made) {
  // The operator's public address where there is one, else the one that this reader used.
  const link = new URL(made.url, dialog.dataset.absolute || location.href).href;
  part(dialog, "#share-link", HTMLInputElement).value = link;
  part(dialog, "#share-token", HTMLInputElement).value = made.delete_token;
  part(dialog, "[data-share-visit]", HTMLAnchorElement).href = made.url;
  part(dialog, "[data-share-form]", HTMLFormElement).hidden = true;
  part(dialog, "[data-share-done]", HTMLElement).hidden = false;
  part(dialog, "#share-link", HTMLInputElement).select();
  tellKept(document);
  announce("The link is ready.");
}

/**
 * Under a result that is shared: its links, where this browser made them.
 * @param {ParentNode} root
 */
export function tellKept(root) {
  const stage = root.querySelector("[data-segmentation]");
  const line = root.querySelector("[data-kept]");
  if (!(stage instanceof HTMLElement) || !(line instanceof HTMLElement)) return;
  const links = linksTo(stage.dataset.segmentation ?? "");
  if (links.length === 0) return;
  line.replaceChildren(
    "Shared: kept until its link is deleted, at ",
    ...links.flatMap(({ url }, place) => [
      place === 0 ? "" : ", ",
      element("a", { href: url }, new URL(url, location.href).pathname),
    ]),
    ".",
  );
}

/** The banner of a shared page: deleting it with its token. */
export function wireShareBanner() {
  const banner = document.querySelector("[data-share-id]");
  if (!(banner instanceof HTMLElement)) return;
  const form = part(banner, "[data-share-delete]", HTMLFormElement);
  const field = part(form, "[name=token]", HTMLInputElement);
  const id = banner.dataset.shareId ?? "";
  field.value = ownLinks().find((link) => link.id === id)?.token ?? "";
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = part(form, "[data-delete-problem]", HTMLElement);
    problem.hidden = true;
    try {
      await call(banner.dataset.shareAddress ?? "", {
        method: "DELETE",
        headers: { Authorization: `Bearer ${field.value.trim()}` },
      });
      forgetLink(id);
      leaveWord(banner.dataset.shareGone ?? "Deleted: the link is gone.");
      location.assign(banner.dataset.shareAfter ?? "/");
    } catch (error) {
      showProblem(problem, error);
    }
  });
}
