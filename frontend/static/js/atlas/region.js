// @ts-check
/** A part of the map as an address has it: `x,y,x,y,…`, each number from -1 to 1. */

/** As many corners as the server takes. */
const MOST_CORNERS = 40;
const FIRST_TOLERANCE = 0.002;

/** @typedef {[number, number]} Point */

/** @param {Point[]} corners */
export function writeRegion(corners) {
  const inside = corners.map(([x, y]) => [x, y].map((v) => Math.min(1, Math.max(-1, v))));
  return inside.map((corner) => corner.map((v) => Number(v.toFixed(3))).join(",")).join(",");
}

/**
 * @param {string} text
 * @returns {Point[]}
 */
export function readRegion(text) {
  const numbers = text.split(",").map(Number);
  return Array.from({ length: Math.floor(numbers.length / 2) }, (_, place) => [
    numbers[2 * place],
    numbers[2 * place + 1],
  ]);
}

/**
 * Which points lie within, by the even-odd rule, as the server decides it.
 * @param {Point[]} corners
 * @param {ArrayLike<number>} x
 * @param {ArrayLike<number>} y
 * @returns {number[]}
 */
export function pointsWithin(corners, x, y) {
  const inside = [];
  for (let point = 0; point < x.length; point += 1)
    if (isWithin(corners, x[point], y[point])) inside.push(point);
  return inside;
}

/**
 * @param {Point[]} corners
 * @param {number} x
 * @param {number} y
 */
function isWithin(corners, x, y) {
  let within = false;
  let [x0, y0] = corners[corners.length - 1];
  for (const [x1, y1] of corners) {
    if (y0 > y !== y1 > y && x < x0 + ((y - y0) * (x1 - x0)) / (y1 - y0)) within = !within;
    [x0, y0] = [x1, y1];
  }
  return within;
}

/**
 * The same outline with no more corners than an address may have.
 * @param {Point[]} corners
 * @returns {Point[]}
 */
export function simplified(corners) {
  let kept = corners;
  for (let tolerance = FIRST_TOLERANCE; kept.length > MOST_CORNERS; tolerance *= 1.5)
    kept = thin(corners, tolerance);
  return kept;
}

/**
 * Ramer, Douglas and Peucker: corners that lie within `tolerance` of the line past them go.
 * @param {Point[]} corners
 * @param {number} tolerance
 * @returns {Point[]}
 */
function thin(corners, tolerance) {
  const first = corners[0];
  const last = corners[corners.length - 1];
  let furthest = 0;
  let distance = 0;
  for (let place = 1; place < corners.length - 1; place += 1) {
    const away = distanceToLine(corners[place], first, last);
    if (away > distance) [furthest, distance] = [place, away];
  }
  if (distance <= tolerance) return [first, last];
  const before = thin(corners.slice(0, furthest + 1), tolerance);
  return [...before.slice(0, -1), ...thin(corners.slice(furthest), tolerance)];
}

/**
 * @param {Point} point
 * @param {Point} from
 * @param {Point} to
 */
function distanceToLine([x, y], [x0, y0], [x1, y1]) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length === 0) return Math.hypot(x - x0, y - y0);
  return Math.abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length;
}
