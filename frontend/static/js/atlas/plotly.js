// @ts-check
/** Loads Plotly, 1.5 MB, once. */

/**
 * @param {string} url
 * @returns {Promise<any>} Plotly
 */
export async function loadPlotly(url) {
  const script = document.createElement("script");
  script.src = url;
  const restore = refuseStyleElements();
  try {
    await new Promise((resolve, reject) => {
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(new Error("The map could not be loaded.")));
      document.head.append(script);
    });
  } finally {
    restore();
  }
  return /** @type {any} */ (window).Plotly;
}

/**
 * The bundle writes a style element for the geographic maps that it can draw too.  The page's policy
 * refuses it, with an error in the console; so it is not tried.
 * @returns {() => void} undoes this
 */
function refuseStyleElements() {
  const { head } = document;
  head.appendChild = (node) => {
    if (!(node instanceof HTMLStyleElement)) Node.prototype.appendChild.call(head, node);
    return node; // as the prototype's own method does
  };
  // Back to the prototype's own method.
  return () => Reflect.deleteProperty(head, "appendChild");
}
