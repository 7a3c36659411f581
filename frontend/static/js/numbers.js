// @ts-check
/** Numbers as people read them; the same rules as the server's templates have. */

const MINUS = "\u2212";
const NARROW_SPACE = "\u202f";

/**
 * Three significant digits with a true minus sign.
 * @param {number | null} value
 */
export function number(value) {
  if (value === null || !Number.isFinite(value)) return "\u2013";
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(3));
  if (Math.abs(rounded) < 1e-4) return rounded.toExponential(2).replaceAll("-", MINUS);
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(rounded))));
  const options = { minimumFractionDigits: places, maximumFractionDigits: places };
  return rounded.toLocaleString("en", options).replace("-", MINUS);
}

/**
 * Like {@link number}, with a plus sign before positive numbers.
 * @param {number | null} value
 */
export function signed(value) {
  return value !== null && value > 0 ? `+${number(value)}` : number(value);
}

/**
 * A share in [0, 1] as percent, never rounded to 0 or 100 unless it is.
 * @param {number} share
 */
export function percent(share) {
  const scaled = 100 * share;
  let text = scaled.toFixed(1).replace(/\.0$/, "");
  if (scaled > 0 && scaled < 0.1) text = "< 0.1";
  if (scaled > 99.9 && scaled < 100) text = "> 99.9";
  return `${text}${NARROW_SPACE}%`;
}

/**
 * A whole number with thousands set apart.
 * @param {number} value
 */
export function count(value) {
  return value.toLocaleString("en");
}
