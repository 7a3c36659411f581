// @ts-check

/**
 * Say something to screen readers, politely.
 * @param {string} text
 */
export function announce(text) {
  const place = document.getElementById("announcer");
  if (place) place.textContent = text;
}
