// @ts-check
/** Undo and redo of what the lab shows: its steps are addresses, so they are back and forward. */

export class Steps {
  /**
   * @param {{undo: HTMLButtonElement, redo: HTMLButtonElement, onMove: () => void}} options
   *   `onMove` is called when the address has changed to one that was there before
   */
  constructor({ undo, redo, onMove }) {
    this.undo = undo;
    this.redo = redo;
    this.here = place(history.state) ?? 0;
    this.most = this.here;
    history.replaceState({ step: this.here }, "");
    this.#show();
    undo.addEventListener("click", () => history.back());
    redo.addEventListener("click", () => history.forward());
    addEventListener("popstate", (event) => {
      this.here = place(event.state) ?? 0;
      this.most = Math.max(this.most, this.here);
      this.#show();
      onMove();
    });
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  /**
   * A new step; what had been undone is gone.
   * @param {string} url
   */
  push(url) {
    this.here += 1;
    this.most = this.here;
    history.pushState({ step: this.here }, "", url);
    this.#show();
  }

  /**
   * The same step under another address.
   * @param {string} url
   */
  replace(url) {
    history.replaceState({ step: this.here }, "", url);
  }

  /** Ctrl+Z and Ctrl+Shift+Z, except in fields, which have their own. */
  #press(/** @type {KeyboardEvent} */ event) {
    const field = event.target instanceof HTMLElement && event.target.matches("input, textarea");
    const key = event.key.toLowerCase();
    if (field || event.altKey || !(event.ctrlKey || event.metaKey)) return;
    const button = key === "z" && !event.shiftKey ? this.undo : key === "z" || key === "y" ? this.redo : null;
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  }

  #show() {
    // A button that is disabled under the focus would lose it to the page.
    if (this.here === 0 && document.activeElement === this.undo) this.redo.focus();
    this.undo.disabled = this.here === 0;
    this.redo.disabled = this.here >= this.most;
  }
}

/**
 * @param {unknown} state what the browser keeps beside an address
 * @returns {number | null}
 */
function place(state) {
  const step = state && typeof state === "object" && "step" in state ? state.step : null;
  return typeof step === "number" ? step : null;
}
