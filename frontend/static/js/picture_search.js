// @ts-check
/** Search by a picture: gives the picture to the server and goes to the page of its pairs. */

import { announce } from "./announce.js";
import { showProblem } from "./api.js";
import { part } from "./dom.js";
import { rememberUpload } from "./memory.js";
import { Picture } from "./picture.js";
import { upload } from "./upload.js";

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

const root = document.querySelector("[data-picture-search]");
if (root instanceof HTMLElement) wire(root);
