// @ts-check
/** One sentence that a page leaves for the next one, as when what it showed was deleted. */

const KEY = "pairscope:left-word";

/** @param {string} sentence */
export function leaveWord(sentence) {
  try {
    sessionStorage.setItem(KEY, sentence);
  } catch {
    // Forbidden: the next page says nothing.
  }
}

/** Show what the page before left, once. */
export function showLeftWord() {
  let sentence = null;
  try {
    sentence = sessionStorage.getItem(KEY);
    sessionStorage.removeItem(KEY);
  } catch {
    return;
  }
  if (!sentence) return;
  const said = document.createElement("p");
  said.className = "notice notice--page";
  said.setAttribute("role", "status");
  document.querySelector("main")?.prepend(said);
  // Said after it is there: only what changes is read out.
  said.textContent = sentence;
}
