/* The arithmetic of the live LeNet: from strokes to an image like MNIST's, from the image to ten
   probabilities, and from a file of text to the weights. No drawing on the page and no DOM: plain objects
   and typed arrays, so that all of it can be held against NumPy and Keras. */
(function () {
  "use strict";

  const course = (window.course = window.course || {});
  // Without a page there is no core, and English will do.
  const tr = (text) => (course.core ? course.core.tr(text) : text);

  const SIDE = 28;
  const PEN = 2.4; // width of the pen in pixels, as in the chapter's `rasterise`
  const REACH = PEN / 2 + 0.5; // so far from the middle of a stroke there is ink
  const BOX = 20; // MNIST's digits were fitted into a box of 20 x 20 pixels
  const LEAST = 0.1; // what is smaller than this, as a part of the sheet, is not blown up any further
  const KERNEL = 4;
  const BEFORE = 1; // of the three rows that SAME adds for a kernel of four, one comes before the image

  // Name and shape of every array in the weights file, in its order. All but the last are stored as
  // 32-bit numbers; of the large dense kernel the file holds levels from -31 to 31, six bits each.
  const ARRAYS = [
    ["conv1Kernel", [4, 4, 1, 32]],
    ["conv1Bias", [32]],
    ["conv2Kernel", [4, 4, 32, 64]],
    ["conv2Bias", [64]],
    ["dense1Scale", [1024]],
    ["dense1Bias", [1024]],
    ["dense2Kernel", [1024, 10]],
    ["dense2Bias", [10]],
    ["dense1Levels", [3136, 1024]],
  ];
  const MIDDLE = 32; // the stored number that means level 0
  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  const count = (shape) => shape.reduce((product, n) => product * n, 1);

  // --- the weights file --------------------------------------------------------------------

  /**
   * SHA-256 of some bytes. Browsers have one of their own, but keep it from pages opened as files.
   * @param {Uint8Array} bytes
   * @returns {string} 64 hexadecimal digits
   */
  function sha256(bytes) {
    const primes = [];
    for (let n = 2; primes.length < 64; n += 1) if (primes.every((p) => n % p)) primes.push(n);
    const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
    const K = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
    const H = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));

    const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
    padded.set(bytes);
    padded[bytes.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
    view.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);

    const w = new Int32Array(64);
    for (let at = 0; at < padded.length; at += 64) {
      for (let i = 0; i < 16; i += 1) w[i] = view.getInt32(at + 4 * i);
      for (let i = 16; i < 64; i += 1) {
        const x = w[i - 15];
        const y = w[i - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
      }
      let [a, b, c, d, e, f, g, h] = H;
      for (let i = 0; i < 64; i += 1) {
        const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const t1 = (h + S1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const t2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + t1) | 0;
        d = c; c = b; b = a; a = (t1 + t2) | 0;
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => { H[i] = (H[i] + value) | 0; });
    }
    return Array.from(H, (value) => (value >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /**
   * Turn base64 digits into the six-bit numbers that they stand for.
   * @param {string} text
   * @returns {Uint8Array} one number for each character
   * @throws {Error} at a character that is no such digit
   */
  function sixBits(text) {
    const value = new Uint8Array(128).fill(255);
    for (let k = 0; k < 64; k += 1) value[ALPHABET.charCodeAt(k)] = k;
    const found = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k += 1) {
      const code = text.charCodeAt(k);
      found[k] = code < 128 ? value[code] : 255;
      if (found[k] === 255) throw new Error(`character ${k + 1} of the weights is no base64 digit`);
    }
    return found;
  }

  /**
   * Read the weights file, and check it against its own digest.
   * @param {{format: number, sha256: string, floats: string, levels: string}} file what
   *     `lenet_weights.js` leaves in `course.lenetWeights`
   * @returns {Object} the network: a Float32Array for each of conv1Kernel, conv1Bias, conv2Kernel,
   *     conv2Bias, dense1Kernel, dense1Bias, dense2Kernel and dense2Bias, in Keras's order of axes
   * @throws {Error} when the file is not whole; the message says what is wrong with it
   */
  function decode(file) {
    if (!file || typeof file !== "object") throw new Error(tr("the file holds no weights"));
    if (file.format !== 1) throw new Error(`the file is of format ${file.format}, not 1`);
    if (typeof file.floats !== "string" || typeof file.levels !== "string" || file.floats.length % 4) {
      throw new Error(tr("the file is not whole"));
    }
    // Four digits of six bits are three bytes; the filling at the end is at most two bytes.
    const digits = sixBits(file.floats.replace(/=+$/, "").padEnd(file.floats.length, "A"));
    const n = ARRAYS.slice(0, -1).reduce((sum, [, shape]) => sum + 4 * count(shape), 0);
    const levels = sixBits(file.levels);
    const [, levelsShape] = ARRAYS[ARRAYS.length - 1];
    if ((digits.length / 4) * 3 - n < 0 || (digits.length / 4) * 3 - n > 2 || levels.length !== count(levelsShape)) {
      throw new Error(tr("the file has the wrong length"));
    }
    const bytes = new Uint8Array((digits.length / 4) * 3);
    for (let k = 0, at = 0; k < digits.length; k += 4) {
      const word = (digits[k] << 18) | (digits[k + 1] << 12) | (digits[k + 2] << 6) | digits[k + 3];
      bytes[at++] = word >> 16;
      bytes[at++] = (word >> 8) & 255;
      bytes[at++] = word & 255;
    }
    const all = new Uint8Array(n + levels.length);
    all.set(bytes.subarray(0, n));
    all.set(levels, n);
    const digest = sha256(all);
    if (digest !== file.sha256) {
      throw new Error(`the digest is ${digest.slice(0, 12)}\u2026, not ${String(file.sha256).slice(0, 12)}\u2026`);
    }

    const network = {};
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const [name, shape] of ARRAYS.slice(0, -1)) {
      network[name] = Float32Array.from({ length: count(shape) }, () => view.getFloat32((at += 4) - 4, true));
    }
    const { dense1Scale: scale } = network;
    const kernel = new Float32Array(levels.length);
    for (let k = 0; k < levels.length; k += 1) kernel[k] = (levels[k] - MIDDLE) * scale[k % scale.length];
    delete network.dense1Scale;
    return { ...network, dense1Kernel: kernel };
  }

  // --- from strokes to an image ------------------------------------------------------------
  // A stroke is a list of points [x, y], as in the chapter: x to the right, y downwards.

  /** Return the least and the greatest x and y of some strokes, or null where there is no point. */
  function corners(strokes) {
    const points = strokes.flat();
    if (!points.length) return null;
    const xs = points.map((p) => p[0]);
    const ys = points.map((p) => p[1]);
    return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
  }

  /** Return the strokes, multiplied by a factor and then moved by (x, y). */
  function scaled(strokes, factor, x, y) {
    return strokes.map((stroke) => stroke.map((p) => [factor * p[0] + x, factor * p[1] + y]));
  }

  /**
   * Draw strokes, given in pixels, into an image: the chapter's `rasterise`. A single point is a dot.
   * @param {number[][][]} strokes
   * @returns {Float32Array} 784 numbers, 0 for paper and 1 for ink, row by row
   */
  function rasterise(strokes) {
    const nearest = new Float64Array(SIDE * SIDE).fill(Infinity); // squared distance
    for (const stroke of strokes) {
      for (let k = 0; k < Math.max(1, stroke.length - 1); k += 1) {
        const [x0, y0] = stroke[k];
        const [x1, y1] = stroke[k + 1] || stroke[k];
        const [dx, dy] = [x1 - x0, y1 - y0];
        const length = dx * dx + dy * dy;
        // Only pixels near the piece can get ink from it.
        const [top, bottom] = [Math.min(y0, y1) - REACH, Math.max(y0, y1) + REACH].map(Math.floor);
        const [left, right] = [Math.min(x0, x1) - REACH, Math.max(x0, x1) + REACH].map(Math.floor);
        for (let i = Math.max(0, top); i <= Math.min(SIDE - 1, bottom); i += 1) {
          for (let j = Math.max(0, left); j <= Math.min(SIDE - 1, right); j += 1) {
            const [x, y] = [j + 0.5 - x0, i + 0.5 - y0];
            const along = length ? Math.min(1, Math.max(0, (x * dx + y * dy) / length)) : 0;
            const [ex, ey] = [x - along * dx, y - along * dy];
            const distance = ex * ex + ey * ey;
            if (distance < nearest[SIDE * i + j]) nearest[SIDE * i + j] = distance;
          }
        }
      }
    }
    return Float32Array.from(nearest, (d) => Math.min(1, Math.max(0, REACH - Math.sqrt(d))));
  }

  /**
   * Prepare strokes as MNIST's digits were prepared: fitted into 20 x 20 pixels, the centre of mass in the
   * middle of the 28 x 28. The chapter's `like_mnist`.
   * @param {number[][][]} strokes in a square of side 1
   * @returns {?Float32Array} null where there is nothing to fit
   */
  function likeMnist(strokes) {
    const c = corners(strokes);
    if (!c) return null;
    const factor = (BOX - PEN) / Math.max(c.right - c.left, c.bottom - c.top, LEAST);
    const [midX, midY] = [(factor * (c.left + c.right)) / 2, (factor * (c.top + c.bottom)) / 2];
    const image = rasterise(scaled(strokes, factor, SIDE / 2 - midX, SIDE / 2 - midY));
    let [mass, x, y] = [0, 0, 0];
    image.forEach((ink, k) => {
      mass += ink;
      x += ink * ((k % SIDE) + 0.5);
      y += ink * (Math.floor(k / SIDE) + 0.5);
    });
    return rasterise(scaled(strokes, factor, SIDE - midX - x / mass, SIDE - midY - y / mass));
  }

  /** Put strokes into the image as they were drawn: neither fitted nor centred. */
  function asDrawn(strokes) {
    return corners(strokes) ? rasterise(scaled(strokes, SIDE, 0, 0)) : null;
  }

  // --- the network -------------------------------------------------------------------------
  // Maps lie in memory as Keras has them: row, column, channel; the channel runs fastest.

  /** Convolve with stride 1 and SAME padding, add the bias, and cut off what is negative. */
  function convRelu(input, side, channels, kernel, bias) {
    const filters = bias.length;
    const output = new Float32Array(side * side * filters);
    const sum = new Float64Array(filters);
    for (let i = 0; i < side; i += 1) {
      for (let j = 0; j < side; j += 1) {
        sum.set(bias);
        for (let a = 0; a < KERNEL; a += 1) {
          const row = i + a - BEFORE;
          if (row < 0 || row >= side) continue;
          for (let b = 0; b < KERNEL; b += 1) {
            const column = j + b - BEFORE;
            if (column < 0 || column >= side) continue;
            for (let c = 0; c < channels; c += 1) {
              const value = input[(row * side + column) * channels + c];
              if (value === 0) continue; // paper, or what the ReLU cut off: most of what there is
              const start = ((a * KERNEL + b) * channels + c) * filters;
              for (let f = 0; f < filters; f += 1) sum[f] += value * kernel[start + f];
            }
          }
        }
        const at = (i * side + j) * filters;
        for (let f = 0; f < filters; f += 1) output[at + f] = sum[f] > 0 ? sum[f] : 0;
      }
    }
    return output;
  }

  /** Keep the largest of each 2 x 2 block. */
  function maxPool(input, side, channels) {
    const half = side / 2;
    const output = new Float32Array(half * half * channels);
    for (let i = 0; i < half; i += 1) {
      for (let j = 0; j < half; j += 1) {
        for (let c = 0; c < channels; c += 1) {
          const at = (2 * i * side + 2 * j) * channels + c;
          const below = at + side * channels;
          output[(i * half + j) * channels + c] = Math.max(
            input[at], input[at + channels], input[below], input[below + channels]);
        }
      }
    }
    return output;
  }

  /** Multiply a vector by a matrix and add the bias. */
  function dense(input, kernel, bias) {
    const n = bias.length;
    const sum = Float64Array.from(bias);
    for (let i = 0; i < input.length; i += 1) {
      const value = input[i];
      if (value === 0) continue;
      const start = i * n;
      for (let o = 0; o < n; o += 1) sum[o] += value * kernel[start + o];
    }
    return Float32Array.from(sum);
  }

  /** Turn logits into probabilities; the largest is taken off first, so that no power overflows. */
  function softmax(logits) {
    const most = Math.max(...logits);
    const powers = Float64Array.from(logits, (z) => Math.exp(z - most));
    const sum = powers.reduce((total, p) => total + p, 0);
    return Float32Array.from(powers, (p) => p / sum);
  }

  /**
   * Show the network an image.
   * @param {Object} network what `decode` returns
   * @param {Float32Array} image 784 numbers between 0 and 1
   * @returns {Object} every array on the way: image, conv1 (28 x 28 x 32), pool1 (14 x 14 x 32),
   *     conv2 (14 x 14 x 64), pool2 (7 x 7 x 64), hidden (1024), logits (10), probabilities (10); and
   *     `reading`, the digit with the largest probability
   */
  function forward(network, image) {
    if (!image || image.length !== SIDE * SIDE) throw new Error("an image has 784 numbers");
    const conv1 = convRelu(image, 28, 1, network.conv1Kernel, network.conv1Bias);
    const pool1 = maxPool(conv1, 28, 32);
    const conv2 = convRelu(pool1, 14, 32, network.conv2Kernel, network.conv2Bias);
    const pool2 = maxPool(conv2, 14, 64);
    const hidden = dense(pool2, network.dense1Kernel, network.dense1Bias).map((v) => (v > 0 ? v : 0));
    const logits = dense(hidden, network.dense2Kernel, network.dense2Bias);
    const probabilities = softmax(logits);
    return {
      image, conv1, pool1, conv2, pool2, hidden, logits, probabilities,
      reading: probabilities.indexOf(Math.max(...probabilities)),
    };
  }

  /**
   * Say what a convolutional layer reads and what with.
   * @param {Object} network
   * @param {Object} run what `forward` returns
   * @param {1|2} layer
   */
  function layerOf(network, run, layer) {
    return layer === 1
      ? { input: run.image, side: 28, channels: 1, filters: 32, kernel: network.conv1Kernel, bias: network.conv1Bias,
        output: run.conv1 }
      : { input: run.pool1, side: 14, channels: 32, filters: 64, kernel: network.conv2Kernel, bias: network.conv2Bias,
        output: run.conv2 };
  }

  /**
   * Take one pixel of a feature map apart.
   * @param {Object} network
   * @param {Object} run what `forward` returns
   * @param {1|2} layer
   * @param {number} filter which map, from 0
   * @param {number} i row, from 0
   * @param {number} j column, from 0
   * @returns {Object} `channels`: for each input channel its 16 `patch` numbers (null in the padding), the
   *     16 `kernel` numbers, their `products` and the `sum` of these; then `total`, the sum over the
   *     channels, `bias`, `before` (total + bias) and `value`, which is `before` where that is positive
   */
  function explain(network, run, layer, filter, i, j) {
    const { input, side, channels, filters, kernel, bias } = layerOf(network, run, layer);
    const parts = Array.from({ length: channels }, (_, c) => {
      const part = { patch: [], kernel: [], products: [], sum: 0 };
      for (let a = 0; a < KERNEL; a += 1) {
        for (let b = 0; b < KERNEL; b += 1) {
          const [row, column] = [i + a - BEFORE, j + b - BEFORE];
          const inside = row >= 0 && row < side && column >= 0 && column < side;
          const value = inside ? input[(row * side + column) * channels + c] : 0;
          const weight = kernel[((a * KERNEL + b) * channels + c) * filters + filter];
          part.patch.push(inside ? value : null);
          part.kernel.push(weight);
          part.products.push(value * weight);
          part.sum += value * weight;
        }
      }
      return part;
    });
    const total = parts.reduce((sum, part) => sum + part.sum, 0);
    const before = total + bias[filter];
    return { channels: parts, total, bias: bias[filter], before, value: Math.max(0, before) };
  }

  course.lenetMath = {
    SIDE, KERNEL, BEFORE, asDrawn, convRelu, decode, dense, explain, forward, layerOf, likeMnist, maxPool,
    rasterise, sha256, sixBits, softmax,
  };
})();
