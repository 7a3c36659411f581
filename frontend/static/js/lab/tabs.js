// @ts-check
/** Panels of which one is seen: tabs that arrow keys move between. */

export class Tabs {
  /**
   * @param {HTMLElement} root holds a tablist, whose tabs name their panels by `aria-controls`
   * @param {(name: string) => void} onSelect is told the `data-tab` of a tab that was chosen here
   */
  constructor(root, onSelect) {
    this.tabs = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[role=tab]")]);
    for (const [place, tab] of this.tabs.entries()) {
      tab.addEventListener("click", () => {
        this.select(tab.dataset.tab ?? "");
        onSelect(this.selected);
      });
      tab.addEventListener("keydown", (event) => {
        const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        const next = this.tabs[(to + this.tabs.length) % this.tabs.length];
        next.focus();
        next.click();
      });
    }
  }

  /** The name of the tab whose panel is seen. */
  get selected() {
    return this.tabs.find((tab) => tab.getAttribute("aria-selected") === "true")?.dataset.tab ?? "";
  }

  /**
   * Show a panel; the first where there is none of that name.
   * @param {string} name
   */
  select(name) {
    const wanted = this.tabs.find((tab) => tab.dataset.tab === name) ?? this.tabs[0];
    for (const tab of this.tabs) {
      const here = tab === wanted;
      tab.setAttribute("aria-selected", String(here));
      tab.tabIndex = here ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
      if (panel) panel.hidden = !here;
    }
  }
}
