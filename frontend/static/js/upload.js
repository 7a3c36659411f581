// @ts-check
import { call, post } from "./api.js";

/**
 * Give a picture to the server.
 * @param {string} url of a model's images
 * @param {import("./picture.js").Chosen} chosen
 * @param {AbortSignal} signal
 * @returns {Promise<import("./lab/wire.js").UploadedImage & {delete_token: string}>}
 */
export function upload(url, chosen, signal) {
  if (!("file" in chosen)) return post(url, chosen, signal);
  const body = new FormData();
  body.append("image", chosen.file, "image");
  return call(url, { method: "POST", body, signal });
}
