// @ts-check
/** What people take away: files made here, and the API call that gives the same. */

import { announce } from "../announce.js";
import { addressOf, named } from "./pair_names.js";
import { waterfall } from "./waterfall.js";

/** @typedef {import("./waterfall.js").Sum} Sum */

/**
 * @param {Sum} sum
 * @returns {string} one line a part, the last is the total
 */
export function csvOf({ constant, pairs, remainder, total, totalName }) {
  const rows = [
    ["part", "neuron", "head", "words", "contribution"],
    ...(constant === null ? [] : [["constant", "", "", "", constant]]),
    ...pairs.map((pair) => [
      addressOf(pair),
      pair.neuron,
      pair.head,
      pair.words.map(named).join(" "),
      pair.contribution,
    ]),
    [`${remainder.pairs} other pairs`, "", "", "", remainder.contribution],
    [totalName, "", "", "", total],
  ];
  return table(rows);
}

/**
 * @param {import("./wire.js").Segmentation} made
 * @returns {string} one line a prompt and method
 */
export function areasOf({ results }) {
  const rows = results.flatMap(({ method, classes, background_share }) => [
    ...classes.map(({ prompt, area_share, peak }) => [method, prompt, area_share, peak]),
    [method, "(background)", background_share, ""],
  ]);
  return table([["method", "prompt", "area_share", "peak"], ...rows]);
}

/**
 * @param {import("./wire.js").Ablation} answer
 * @returns {string} one line a prompt
 */
export function rankingOf({ prompts }) {
  const names = /** @type {const} */ (["score", "rank", "probability"]);
  const rows = prompts.map(({ prompt, before, after }) => [
    prompt,
    ...names.flatMap((name) => [before[name], after[name]]),
  ]);
  const header = names.flatMap((name) => [`${name}_before`, `${name}_after`]);
  return table([["prompt", ...header], ...rows]);
}

/** @param {(string | number)[][]} rows */
function table(rows) {
  return `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** @param {Sum} sum */
export function svgOf(sum) {
  return new XMLSerializer().serializeToString(waterfall(sum));
}

/** @param {Sum} sum */
export function htmlOf(sum) {
  const page = document.implementation.createHTMLDocument(sum.title);
  page.body.append(waterfall(sum));
  return `<!doctype html>\n${page.documentElement.outerHTML}`;
}

/**
 * A call of the API as people type it into a shell.
 * @param {string} path
 * @param {object} body
 */
export function curlOf(path, body) {
  const json = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -H 'Content-Type: application/json' -d '${json}' '${new URL(path, location.href).href}'`;
}

/**
 * Copy a text, and say on the button that it was done.
 * @param {HTMLElement} button
 * @param {string} text
 */
export async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    // Without a secure origin there is no clipboard: let the text be selected by hand.
    window.prompt("Copy this:", text);
  }
  setTimeout(() => (button.textContent = label), 2000);
}

/**
 * @param {string | number} value text that a spreadsheet would run gets an apostrophe before it
 */
function cell(value) {
  if (typeof value === "number") return String(value);
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
