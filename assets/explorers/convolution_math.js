/* The arithmetic of the convolution explorer: no drawing, no document.

   A matrix is {rows, cols, values}, its values row by row. Like every deep-learning library, `convolve`
   lays the kernel down as it is (cross-correlation); `flip` turns it first, as mathematics does. */
(function () {
  "use strict";

  const course = (window.course = window.course || {});

  /**
   * Make a matrix.
   * @param {Array<Array<number>>} lists rows of numbers
   * @returns {{rows: number, cols: number, values: Float64Array}}
   */
  function matrix(lists) {
    return { rows: lists.length, cols: lists[0].length, values: Float64Array.from(lists.flat()) };
  }

  /**
   * Zeros before and after a row of pixels, as TensorFlow counts them: the odd one goes after.
   * @param {number} n pixels
   * @param {number} covers pixels that the kernel spans, dilation included
   * @param {number} stride
   * @param {string|number} padding "VALID", "SAME" or a number for both sides
   * @returns {Array<number>} two counts
   */
  function paddingOf(n, covers, stride, padding) {
    if (padding === "VALID") return [0, 0];
    if (padding === "SAME") {
      const total = Math.max((Math.ceil(n / stride) - 1) * stride + covers - n, 0);
      return [Math.floor(total / 2), total - Math.floor(total / 2)];
    }
    return [padding, padding];
  }

  /** Pixels that a kernel of side `k` spans when its cells lie `dilation` apart. */
  function span(k, dilation) { return dilation * (k - 1) + 1; }

  /** Side of the map: floor((n - d(k - 1) - 1 + zeros) / s) + 1; zero or less where nothing fits. */
  function outputSide(n, k, stride, dilation, zeros) {
    return Math.floor((n - span(k, dilation) + zeros) / stride) + 1;
  }

  /**
   * Lay a convolution out: where the zeros go, and how large the map is.
   * @param {{rows: number, cols: number}} image
   * @param {{rows: number, cols: number}} kernel
   * @param {{stride?: number, dilation?: number, padding?: string|number}} [options]
   * @returns {Object} stride, dilation; top, bottom, left, right: zeros; rows, cols: of the map;
   *     problem: a plain sentence where the kernel fits nowhere, else an empty string
   */
  function plan(image, kernel, options) {
    const { stride = 1, dilation = 1, padding = "VALID" } = options || {};
    const [top, bottom] = paddingOf(image.rows, span(kernel.rows, dilation), stride, padding);
    const [left, right] = paddingOf(image.cols, span(kernel.cols, dilation), stride, padding);
    const rows = outputSide(image.rows, kernel.rows, stride, dilation, top + bottom);
    const cols = outputSide(image.cols, kernel.cols, stride, dilation, left + right);
    const fits = rows > 0 && cols > 0;
    const covers = `${span(kernel.rows, dilation)} \u00d7 ${span(kernel.cols, dilation)}`;
    const has = `${image.rows + top + bottom} \u00d7 ${image.cols + left + right}`;
    const padded = top + bottom + left + right > 0;
    const problem = fits ? "" : misfit(dilation > 1, padded, { dilation, covers, has });
    return { stride, dilation, top, bottom, left, right, rows: fits ? rows : 0, cols: fits ? cols : 0, problem };
  }

  /** Say that a kernel fits nowhere, whether it is spread out and the image padded. */
  function misfit(spread, padded, numbers) {
    const { tr } = course.core;
    if (spread && padded) {
      return tr("The kernel, spread out by the dilation of {dilation}, covers {covers} pixels, and the padded image has "
        + "only {has}: it fits nowhere. Take a smaller kernel or dilation, or pad the image.", numbers);
    }
    if (spread) {
      return tr("The kernel, spread out by the dilation of {dilation}, covers {covers} pixels, and the image has "
        + "only {has}: it fits nowhere. Take a smaller kernel or dilation, or pad the image.", numbers);
    }
    if (padded) {
      return tr("The kernel covers {covers} pixels, and the padded image has only {has}: it fits nowhere. "
        + "Take a smaller kernel or dilation, or pad the image.", numbers);
    }
    return tr("The kernel covers {covers} pixels, and the image has only {has}: it fits nowhere. "
      + "Take a smaller kernel or dilation, or pad the image.", numbers);
  }

  /** Turn a kernel by half a turn: left to right and top to bottom. */
  function flip(kernel) {
    return { rows: kernel.rows, cols: kernel.cols, values: Float64Array.from(kernel.values).reverse() };
  }

  /**
   * The products that make one cell of the map.
   * @param {Object} image matrix
   * @param {Object} kernel matrix, as it lies on the image
   * @param {Object} laid what `plan` returns
   * @param {number} i row of the cell in the map
   * @param {number} j column
   * @returns {{terms: Array<Object>, sum: number}} for each cell of the kernel, row by row: weight, pixel,
   *     product, the pixel's row and col in the image (which may lie in the padding), and whether it is
   *     inside
   */
  function terms(image, kernel, laid, i, j) {
    const found = [];
    let sum = 0;
    for (let a = 0; a < kernel.rows; a += 1) {
      for (let b = 0; b < kernel.cols; b += 1) {
        const row = i * laid.stride + a * laid.dilation - laid.top;
        const col = j * laid.stride + b * laid.dilation - laid.left;
        const inside = row >= 0 && row < image.rows && col >= 0 && col < image.cols;
        const pixel = inside ? image.values[row * image.cols + col] : 0;
        const weight = kernel.values[a * kernel.cols + b];
        const product = weight * pixel;
        sum += product;
        found.push({ weight, pixel, product, row, col, inside });
      }
    }
    return { terms: found, sum };
  }

  /**
   * Slide a kernel over an image.
   * @param {Object} image matrix
   * @param {Object} kernel matrix
   * @param {{stride?: number, dilation?: number, padding?: string|number, flip?: boolean}} [options]
   * @returns {Object} the map, a matrix; of no rows where the kernel fits nowhere
   */
  function convolve(image, kernel, options) {
    const laid = plan(image, kernel, options);
    const lies = options && options.flip ? flip(kernel) : kernel;
    const values = new Float64Array(laid.rows * laid.cols);
    for (let i = 0; i < laid.rows; i += 1) {
      for (let j = 0; j < laid.cols; j += 1) values[i * laid.cols + j] = terms(image, lies, laid, i, j).sum;
    }
    return { rows: laid.rows, cols: laid.cols, values };
  }

  course.convolutionMath = { convolve, flip, matrix, outputSide, paddingOf, plan, span, terms };
})();
