/* The arithmetic of the pooling explorer: no drawing, no document.

   An image is {rows, cols, values}, its values row by row. Regions lie wholly inside the image (VALID). */
(function () {
  "use strict";

  const course = (window.course = window.course || {});

  /**
   * Side of the pooled map: how often a region fits.
   * @param {number} n side of the image
   * @param {number} size side of the region
   * @param {number} stride
   * @returns {number} 0 where the region is larger than the image
   */
  function outputSide(n, size, stride) {
    return size > n ? 0 : Math.floor((n - size) / stride) + 1;
  }

  /**
   * What one region holds, and what is kept of it.
   * @param {Object} image
   * @param {{size: number, stride: number, mode: string}} options mode is "max" or "average"
   * @param {number} i row of the cell in the pooled map
   * @param {number} j column
   * @returns {Object} cells: row, col and value of each; winner: the index of the first largest, or -1 for
   *     the average; value: what is kept
   */
  function region(image, options, i, j) {
    const cells = [];
    for (let a = 0; a < options.size; a += 1) {
      for (let b = 0; b < options.size; b += 1) {
        const row = i * options.stride + a;
        const col = j * options.stride + b;
        cells.push({ row, col, value: image.values[row * image.cols + col] });
      }
    }
    if (options.mode === "average") {
      return { cells, winner: -1, value: cells.reduce((sum, cell) => sum + cell.value, 0) / cells.length };
    }
    // A draw has one winner, the first: so do the libraries when they send gradients.
    const winner = cells.reduce((best, cell, at) => (cell.value > cells[best].value ? at : best), 0);
    return { cells, winner, value: cells[winner].value };
  }

  /**
   * Pool an image.
   * @returns {Object} the map as {rows, cols, values}; of no rows where the region does not fit
   */
  function pool(image, options) {
    const rows = outputSide(image.rows, options.size, options.stride);
    const cols = outputSide(image.cols, options.size, options.stride);
    if (rows === 0 || cols === 0) return { rows: 0, cols: 0, values: new Float64Array(0) };
    const values = new Float64Array(rows * cols);
    for (let n = 0; n < values.length; n += 1) {
      values[n] = region(image, options, Math.floor(n / cols), n % cols).value;
    }
    return { rows, cols, values };
  }

  /** Move an image down and to the right by whole pixels; what comes in from outside is 0. */
  function shift(image, down, right) {
    const values = new Float64Array(image.values.length);
    for (let i = 0; i < image.rows; i += 1) {
      for (let j = 0; j < image.cols; j += 1) {
        const [row, col] = [i - down, j - right];
        if (row >= 0 && col >= 0 && row < image.rows && col < image.cols) {
          values[i * image.cols + j] = image.values[row * image.cols + col];
        }
      }
    }
    return { rows: image.rows, cols: image.cols, values };
  }

  /**
   * Compare two maps of one shape.
   *
   * A cell that is zero in both tells nothing and is not counted.
   * @returns {{same: Array<boolean>, lit: number, kept: number}} same: for each cell; lit: cells that are not
   *     zero in both; kept: those of them that are the same
   */
  function survivors(before, after) {
    const same = Array.from(before.values, (value, n) => Math.abs(value - after.values[n]) < 1e-9);
    const lit = Array.from(before.values, (value, n) => value !== 0 || after.values[n] !== 0);
    return {
      same, lit: lit.filter(Boolean).length, kept: same.filter((one, n) => one && lit[n]).length,
    };
  }

  course.poolingMath = { outputSide, pool, region, shift, survivors };
})();
