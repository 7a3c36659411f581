// @ts-check
/** A mask as the browser holds it: for every pixel the place of its prompt. */

/** In a mask: what no prompt has. */
export const BACKGROUND = 255;

/** Pixels a side of what is drawn here; a picture of 40 megapixels is not needed on a screen. */
const LONGEST_SIDE = 1024;

/** @typedef {{width: number, height: number, places: Uint8Array}} Mask */

/**
 * Read a mask PNG, the same file that is offered for download.
 * @param {string} url
 * @param {string[]} colours #rrggbb by place, no two the same: a browser gives no indices
 * @returns {Promise<Mask>}
 */
export async function readMask(url, colours) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const scale = Math.min(1, LONGEST_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const width = Math.max(1, Math.round(image.naturalWidth * scale));
  const height = Math.max(1, Math.round(image.naturalHeight * scale));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("This browser cannot read pictures.");
  // Places must not be blended into other places.
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint32Array(data.buffer);
  const placeOf = new Map(colours.map((colour, place) => [wordOf(colour), place]));
  const places = Uint8Array.from(pixels, (pixel) => placeOf.get(pixel) ?? BACKGROUND);
  return { width, height, places };
}

/**
 * Draw a mask in its classes' colours, opaque; only the class `alone` if that is one.
 * @param {HTMLCanvasElement} canvas
 * @param {Mask} mask
 * @param {string[]} colours #rrggbb by place
 * @param {number} [alone] -1 for all
 */
export function drawMask(canvas, mask, colours, alone = -1) {
  const picture = new ImageData(mask.width, mask.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const words = colours.map(wordOf);
  for (let at = 0; at < pixels.length; at += 1) {
    const place = mask.places[at];
    if (place < words.length && (alone < 0 || place === alone)) pixels[at] = words[place];
  }
  canvas.width = mask.width;
  canvas.height = mask.height;
  canvas.getContext("2d")?.putImageData(picture, 0, 0);
}

/**
 * An opaque pixel as one 32-bit word, in the byte order of every processor that runs a browser.
 * @param {string} colour #rrggbb
 */
function wordOf(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
