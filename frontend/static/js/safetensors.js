// @ts-check
/** Reads safetensors files: eight bytes of length, a JSON header, then plain arrays. */

/** @type {Record<string, new (buffer: ArrayBuffer, offset: number, length: number) => ArrayLike<number>>} */
const KINDS = { U8: Uint8Array, U16: Uint16Array, I16: Int16Array, I32: Int32Array, F32: Float32Array };

/**
 * @param {ArrayBuffer} buffer
 * @returns {Record<string, ArrayLike<number>>} the arrays by name, flat
 */
export function readSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  /** @type {Record<string, ArrayLike<number>>} */
  const arrays = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const size = entry.shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    arrays[name] = new KINDS[entry.dtype](buffer, 8 + length + entry.data_offsets[0], size);
  }
  return arrays;
}
