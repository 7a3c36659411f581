// @ts-check
/** Calls of the JSON API, with its one error body. */

/** An answer that was not a success, in words for people. */
export class ApiProblem extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 when the server was not reached
   * @param {string} [requestId]
   * @param {number | null} [retryAfter] seconds after which it is worth trying again
   */
  constructor(message, status, requestId, retryAfter = null) {
    super(message);
    this.status = status;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 * @returns {Promise<any>} the parsed body; null when there is none
 */
export async function call(url, options = {}) {
  let response;
  try {
    response = await fetch(url, {
      ...options,
      headers: { Accept: "application/json", ...options.headers },
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiProblem("The server could not be reached. Is it still running?", 0);
  }
  if (!response.ok) throw await problem(response);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/**
 * @param {string} url
 * @param {object} body sent as JSON
 * @param {AbortSignal} [signal]
 */
export function post(url, body, signal) {
  return call(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

/**
 * @param {Response} response
 * @returns {Promise<ApiProblem>}
 */
async function problem(response) {
  let message = `The server answered with status ${response.status}.`;
  let requestId;
  try {
    const { error } = await response.json();
    message = error.message ?? message;
    requestId = error.request_id;
  } catch {
    // Not our error body, for example from a proxy in between.
  }
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new ApiProblem(message, response.status, requestId, Number.isNaN(wait) ? null : wait);
}

/**
 * Show a problem where it happened.
 * @param {HTMLElement} place
 * @param {unknown} error
 */
export function showProblem(place, error) {
  place.textContent = error instanceof Error ? error.message : String(error);
  if (error instanceof ApiProblem && error.requestId && error.status >= 500) {
    const id = document.createElement("code");
    id.textContent = error.requestId;
    place.append(" Request ", id);
  }
  place.hidden = false;
}
