// @ts-check
// Runs before the first paint, so that a remembered theme does not flash.  A classic script, because
// modules wait until the document has been read.
(() => {
  const root = document.documentElement;
  root.dataset.scripted = "";
  // An embed's theme is its page's: the address says which, or the system does.
  if (root.dataset.embed !== undefined) return;
  try {
    const theme = localStorage.getItem("pairscope:theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the system's theme is used.
  }
})();
