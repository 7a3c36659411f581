// @ts-check
import { announce } from "./announce.js";

/** Light or dark: the system's choice until the reader makes their own. */
export function wireTheme() {
  const root = document.documentElement;
  document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    announce(`${next} theme`);
    try {
      // Choosing what the system has is choosing to follow it.
      if (next === system) localStorage.removeItem("pairscope:theme");
      else localStorage.setItem("pairscope:theme", next);
    } catch {
      // Storage may be forbidden; the choice lasts for this page.
    }
  });
}
