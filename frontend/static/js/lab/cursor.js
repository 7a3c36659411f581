// @ts-check
/** Choosing a cell of what lies over a picture, by pointer or by keyboard. */

/**
 * @typedef {object} Choice
 * @property {string} label what can be chosen, and how, for those who cannot see
 * @property {(row: number, column: number) => void} onChoose
 */

/** @typedef {{rows: number, columns: number, region: import("./wire.js").Region}} Grid */

/** All of the picture. */
export const WHOLE = { left: 0, top: 0, width: 1, height: 1 };

/** The cell that the keyboard is at, and that was chosen last. */
export class Cursor {
  /**
   * @param {HTMLElement} mark
   * @param {Grid} grid
   * @param {Choice} choice
   */
  constructor(mark, grid, choice) {
    this.mark = mark;
    this.grid = grid;
    this.choice = choice;
    this.row = Math.floor(grid.rows / 2);
    this.column = Math.floor(grid.columns / 2);
    this.kept = false;
  }

  /** The middle of its cell, in widths and heights of the picture. */
  get middle() {
    const { rows, columns, region } = this.grid;
    return {
      x: region.left + (region.width * (this.column + 0.5)) / columns,
      y: region.top + (region.height * (this.row + 0.5)) / rows,
    };
  }

  /** Put the mark where this cursor is. */
  draw() {
    cover(this.mark, this.grid.region);
    for (const name of /** @type {const} */ (["rows", "columns"]))
      this.mark.style.setProperty(`--${name}`, String(this.grid[name]));
    for (const name of /** @type {const} */ (["row", "column"]))
      this.mark.style.setProperty(`--${name}`, String(this[name]));
    this.mark.classList.toggle("stage__cursor--kept", this.kept);
  }

  choose() {
    this.choice.onChoose(this.row, this.column);
  }

  /**
   * Stay at a cell, for all to see.
   * @param {number} row
   * @param {number} column
   */
  keep(row, column) {
    this.kept = true;
    this.#move(row, column);
  }

  /**
   * @param {{x: number, y: number}} at in widths and heights of the picture
   * @returns {boolean} whether there is a cell
   */
  moveTo(at) {
    const { rows, columns, region } = this.grid;
    const inside = within(region, at);
    if (inside) this.#move(Math.floor(inside.y * rows), Math.floor(inside.x * columns));
    return inside !== null;
  }

  /**
   * @param {string} key
   * @returns {boolean} whether the key moves the cursor
   */
  press(key) {
    const { row, column } = this;
    const to = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
      End: [row, this.grid.columns - 1],
    }[key];
    if (to) this.#move(to[0], to[1]);
    return to !== undefined;
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  #move(row, column) {
    this.row = Math.min(Math.max(row, 0), this.grid.rows - 1);
    this.column = Math.min(Math.max(column, 0), this.grid.columns - 1);
    this.draw();
  }
}

/**
 * Lay something over a region of the picture.
 * @param {HTMLElement} what
 * @param {import("./wire.js").Region} region
 */
export function cover(what, region) {
  for (const [side, share] of Object.entries(region))
    what.style.setProperty(`--${side}`, `${100 * share}%`);
}

/**
 * A place of the picture in a region of it.
 * @param {import("./wire.js").Region} region
 * @param {{x: number, y: number}} at in widths and heights of the picture
 * @returns {{x: number, y: number} | null} in those of the region; null outside
 */
export function within({ left, top, width, height }, at) {
  const x = (at.x - left) / width;
  const y = (at.y - top) / height;
  return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : null;
}
