// @ts-check
/**
 * What the API answers, as far as the lab reads it; the API's own description has the rest.
 *
 * @typedef {number[][]} Cells rows of columns on a cell grid
 *
 * @typedef {{word: string, weight: number}} Word
 *
 * @typedef {object} PairSummary
 * @property {number} neuron
 * @property {number} head
 * @property {string} url
 * @property {Word[]} words
 * @property {{image: number, url: string, heatmap_url: string | null}[]} thumbnails
 *
 * @typedef {PairSummary & {contribution: number, value: number}} PairContribution
 *
 * @typedef {object} UploadedImage
 * @property {string} id
 * @property {string} image_url
 * @property {number} width
 * @property {number} height
 * @property {string[]} suggestions
 * @property {string[]} first_prompts
 *
 * @typedef {object} SegmentationClass
 * @property {string} prompt
 * @property {string} colour
 * @property {number} area_share
 * @property {number} peak
 * @property {Cells | null} logits
 *
 * @typedef {object} MethodResult
 * @property {string} method
 * @property {SegmentationClass[]} classes
 * @property {number} background_share
 * @property {string} mask_url
 * @property {string} overlay_url
 *
 * @typedef {object} Segmentation
 * @property {string} id
 * @property {string} image
 * @property {string} url
 * @property {number} rows
 * @property {number} columns
 * @property {SegmentationClass[]} classes
 * @property {MethodResult[]} results
 *
 * @typedef {object} CellAnswer
 * @property {number} row
 * @property {number} column
 * @property {string} text
 * @property {string | null} against
 * @property {number} logit
 * @property {number | null} against_logit
 * @property {number | null} background_logit what a prompt must beat there
 * @property {number} difference
 * @property {number} constant
 * @property {PairContribution[]} pairs
 * @property {{contribution: number, pairs: number}} remainder
 *
 * @typedef {{left: number, top: number, width: number, height: number}} Region shares of the picture
 *
 * @typedef {object} PairMap a pair's own map on the picture
 * @property {number} neuron
 * @property {number} head
 * @property {string} url
 * @property {number} value
 * @property {number | null} percentile
 * @property {number} position
 * @property {Cells} cells
 * @property {number} scale the value at full colour
 * @property {string} heatmap_url
 *
 * @typedef {object} Attribution
 * @property {string} id
 * @property {string} text
 * @property {string | null} against
 * @property {boolean} known
 * @property {number} score
 * @property {number} constant
 * @property {PairContribution[]} pairs
 * @property {{contribution: number, pairs: number}} remainder
 * @property {number} positive
 * @property {number} negative
 * @property {{head: number, contribution: number}[]} heads
 * @property {{neuron: number, contribution: number}[]} neurons the strongest
 * @property {{cells: Cells, rows: number, columns: number, position: number, constant: number, scale: number, heatmap_url: string, region: Region}} tokens
 * @property {{row: number, column: number, contribution: number, pairs: PairContribution[], remainder: {contribution: number, pairs: number}} | null} token
 * @property {CellAnswer | null} cell
 * @property {PairMap[]} maps
 * @property {string | null} segmentation
 *
 * @typedef {{score: number, rank: number, probability: number}} Standing
 *
 * @typedef {object} Ablation
 * @property {string} id
 * @property {string[]} off
 * @property {string[]} keep
 * @property {string[]} scale each `PART=FACTOR`
 * @property {"zero" | "mean"} fill
 * @property {number} pairs_changed
 * @property {{prompt: string, colour: string, before: Standing, after: Standing}[]} prompts
 * @property {number} norm_before
 * @property {number} norm_after
 * @property {number} similarity
 * @property {MethodResult} before
 * @property {MethodResult} after
 * @property {number} changed_share
 * @property {string | null} segmentation
 */

export {};
