// @ts-check
// What is done to the lab before its module listens, kept and done again then.  A classic script,
// because modules wait until the document has been read.
(() => {
  /** @type {Event[]} */
  const kept = [];
  const kinds = ["click", "change", "submit"];
  /** @param {Event} event */
  const keep = (event) => {
    const { target } = event;
    if (!(target instanceof Element) || !target.closest("[data-lab]")) return;
    // Fields and links do by themselves what a click on them is for.
    if (event.type === "click" && target.closest("a, label, input, select, textarea")) return;
    if (event.type !== "change") event.preventDefault();
    event.stopImmediatePropagation();
    kept.push(event);
  };
  for (const kind of kinds) addEventListener(kind, keep, true);
  addEventListener(
    "lab-listens",
    () => {
      for (const kind of kinds) removeEventListener(kind, keep, true);
      for (const event of kept) {
        const Kind = /** @type {typeof Event} */ (event.constructor);
        if (event.target instanceof Element && event.target.isConnected)
          event.target.dispatchEvent(new Kind(event.type, event));
      }
    },
    { once: true },
  );
})();
