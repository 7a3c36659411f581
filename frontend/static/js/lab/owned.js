// @ts-check
/** Pictures that this browser uploaded: it keeps their tokens, so it can delete them. */

import { call } from "../api.js";
import { remember, uploads } from "../memory.js";

/**
 * @param {string} image id of a picture
 * @returns {boolean} whether it can be deleted from here
 */
export function owns(image) {
  return image in uploads();
}

/**
 * Delete a picture at once, with all that was made of it.
 * @param {string} model its address in the API
 * @param {string} image
 */
export async function deleteOwned(model, image) {
  await call(`${model}/images/${image}`, {
    method: "DELETE",
    headers: { Authorization: `Bearer ${uploads()[image]}` },
  });
  const { [image]: _, ...rest } = uploads();
  remember("uploads", rest);
}
