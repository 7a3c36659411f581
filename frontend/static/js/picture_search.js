// @ts-check
/** Search by a picture: gives the picture to the server and goes to the page of its pairs. */

import { announce } from "./announce.js";
import { call, showProblem } from "./api.js";
import { part } from "./dom.js";
import { rememberUpload } from "./memory.js";
import { Picture } from "./picture.js";

/** @param {HTMLElement} root */
function wire(root) {
  const problem = part(root, "[data-problem]", HTMLElement);
  const label = part(root, "[data-file-name]", HTMLElement);
  let running = new AbortController();
  new Picture(root, {
    stage: part(root, "[data-stage]", HTMLElement),
    onChoose: (chosen) => void search(chosen),
  });

  /** @param {import("./picture.js").Chosen} chosen */
  async function search(chosen) {
    running.abort();
    running = new AbortController();
    const { signal } = running;
    problem.hidden = true;
    root.setAttribute("aria-busy", "true");
    label.textContent = "The model looks at the picture…";
    try {
      const image = await upload(root.dataset.images ?? "", chosen, signal);
      rememberUpload(image.id, image.delete_token);
      announce("The pairs are on their way.");
      location.assign(`${root.dataset.pictureSearch}?image=${image.id}`);
    } catch (error) {
      if (signal.aborted) return;
      label.textContent = "";
      root.removeAttribute("aria-busy");
      showProblem(problem, error);
    }
  }
}

/**
 * @param {string} url
 * @param {import("./picture.js").Chosen} chosen
 * @param {AbortSignal} signal
 * @returns {Promise<{id: string, delete_token: string}>}
 */
function upload(url, chosen, signal) {
  if (!("file" in chosen))
    return call(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(chosen),
      signal,
    });
  const body = new FormData();
  body.append("image", chosen.file, "image");
  return call(url, { method: "POST", body, signal });
}

const root = document.querySelector("[data-picture-search]");
if (root instanceof HTMLElement) wire(root);
