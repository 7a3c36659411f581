// @ts-check
/** The legend of a mask: its names, and seeing one of them alone. */

/**
 * @param {ParentNode} root what holds the legend
 * @param {import("./wire.js").SegmentationClass[]} [answered] what the API says of the classes
 * @returns {import("./stage.js").StageClass[]} by place
 */
export function classesOf(root, answered = []) {
  return buttons(root).map((button, place) => ({
    name: button.querySelector(".legend__name")?.textContent ?? "",
    colour: button.dataset.colour ?? "#000000",
    logits: answered[place]?.logits ?? null,
  }));
}

/**
 * Point at a name to see it alone, press it to keep that.
 * @param {ParentNode} root
 * @param {(place: number) => void} isolate -1 for all
 */
export function wireLegend(root, isolate) {
  let kept = -1;
  const all = buttons(root);
  const keep = (/** @type {number} */ place) => {
    kept = kept === place ? -1 : place;
    for (const [other, button] of all.entries())
      button.setAttribute("aria-pressed", String(other === kept));
    isolate(kept);
  };
  for (const [place, button] of all.entries()) {
    for (const kind of ["mouseenter", "focus"])
      button.addEventListener(kind, () => isolate(place));
    for (const kind of ["mouseleave", "blur"]) button.addEventListener(kind, () => isolate(kept));
    button.addEventListener("click", () => keep(place));
  }
}

/** @param {ParentNode} root */
function buttons(root) {
  return /** @type {HTMLButtonElement[]} */ ([...root.querySelectorAll("[data-class]")]);
}
