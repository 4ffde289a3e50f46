/* The arithmetic of the shape calculator: what each layer of a stack gives, holds and costs, as Keras counts
   it. Plain objects in, plain objects out; nothing here knows of the page. */
(function () {
  "use strict";

  const course = (window.course = window.course || {});
  const { tr } = course.core;

  const ACTIVATIONS = ["linear", "relu", "sigmoid", "tanh", "softmax"];
  const NAMES = { linear: tr("none"), relu: "ReLU", sigmoid: "sigmoid", tanh: "tanh", softmax: "softmax" };

  // A field is a whole number from min to max unless it says otherwise. `blank` names what an empty one means.
  const count = (label, max, min = 1) => ({ label, type: "whole", min, max });
  const PADDING = { label: tr("Padding"), type: "choice", options: [["same", "SAME"], ["valid", "VALID"]] };
  const ACTIVATION = { label: tr("Activation"), type: "choice", options: ACTIVATIONS.map((name) => [name, NAMES[name]]) };
  const BIAS = { label: tr("Bias"), type: "switch" };
  const KERNEL = {
    size: count(tr("Kernel size"), 64), strides: count(tr("Stride"), 64), dilation: count(tr("Dilation"), 64),
    padding: PADDING, activation: ACTIVATION, bias: BIAS,
  };
  const KERNEL_START = { size: 3, strides: 1, dilation: 1, padding: "same", activation: "relu", bias: true };
  const REGION = { size: count(tr("Size"), 64), strides: { ...count(tr("Stride"), 64), blank: tr("as the size") }, padding: PADDING };
  const REGION_START = { size: 2, strides: null, padding: "valid" };

  /**
   * The kinds of layer: `label` for people, `fields` that can be set, `start` values, and `family`, which
   * gives the colour.
   */
  const KINDS = {
    input: {
      label: tr("Input"), family: "input", start: { height: 28, width: 28, channels: 1 },
      fields: { height: count(tr("Height"), 2048), width: count(tr("Width"), 2048), channels: count(tr("Channels"), 4096) },
    },
    conv: {
      label: tr("Convolution"), family: "conv", start: { kernels: 32, ...KERNEL_START },
      fields: { kernels: count(tr("Kernels"), 8192), ...KERNEL },
    },
    depthwise: {
      label: tr("Depthwise convolution"), family: "depthwise", start: { ...KERNEL_START, multiplier: 1 },
      fields: { multiplier: count(tr("Maps per channel"), 64), ...KERNEL },
    },
    maxpool: { label: tr("Max pooling"), family: "pool", start: REGION_START, fields: REGION },
    avgpool: { label: tr("Average pooling"), family: "pool", start: REGION_START, fields: REGION },
    globalmax: { label: tr("Global max pooling"), family: "pool", start: {}, fields: {} },
    globalavg: { label: tr("Global average pooling"), family: "pool", start: {}, fields: {} },
    batchnorm: { label: tr("Batch normalisation"), family: "norm", start: {}, fields: {} },
    dropout: {
      label: tr("Dropout"), family: "plain", start: { rate: 0.5 },
      fields: { rate: { label: tr("Rate"), type: "number", min: 0, max: 1 } },
    },
    activation: {
      label: tr("Activation"), family: "plain", start: { activation: "relu" },
      fields: { activation: { label: tr("Function"), type: "choice", options: ACTIVATION.options.slice(1) } },
    },
    flatten: { label: tr("Flatten"), family: "plain", start: {}, fields: {} },
    dense: {
      label: tr("Dense"), family: "dense", start: { units: 10, activation: "linear", bias: true },
      fields: { units: count(tr("Units"), 65536), activation: ACTIVATION, bias: BIAS },
    },
  };

  /**
   * Make a layer.
   * @param {string} kind one of KINDS
   * @param {Object} [settings] what differs from the start values
   * @returns {Object} `{kind, ...settings}`
   */
  function layer(kind, settings) {
    return { kind, ...KINDS[kind].start, ...settings };
  }

  // --- presets -----------------------------------------------------------------------------

  const input = (height, width, channels) => layer("input", { height, width, channels });
  const conv = (kernels, size = 3) => layer("conv", { kernels, size });
  const dense = (units, activation) => layer("dense", { units, activation });
  const dropout = (rate) => layer("dropout", { rate });
  const pool = () => layer("maxpool");
  const flatten = () => layer("flatten");
  const times = (n, make) => Array.from({ length: n }, make);

  /** Networks of the course, as functions, so that each caller gets layers of its own. */
  const PRESETS = {
    lenet: {
      label: tr("LeNet, MNIST"),
      make: () => [
        input(28, 28, 1), conv(32, 4), pool(), conv(64, 4), pool(), flatten(), dense(1024, "relu"), dense(10, "linear"),
      ],
    },
    cifar: {
      label: tr("ConvNet, CIFAR-10"),
      make: () => [
        input(32, 32, 3), conv(32, 4), pool(), dropout(0.2), conv(64, 4), pool(), dropout(0.2), flatten(),
        dense(1024, "relu"), dropout(0.2), dense(10, "softmax"),
      ],
    },
    six: {
      label: tr("Six convolutions"),
      make: () => [
        input(32, 32, 3), conv(32), conv(32), pool(), conv(64), conv(64), pool(), conv(128), conv(128), flatten(),
        dropout(0.5), dense(512, "relu"), dropout(0.5), dense(10, "softmax"),
      ],
    },
    fifteen: {
      label: tr("Fifteen convolutions"),
      make: () => [
        input(32, 32, 3), ...times(3, () => conv(32)), ...times(2, () => conv(48)), pool(), dropout(0.25),
        ...times(5, () => conv(80)), pool(), dropout(0.25), ...times(5, () => conv(128)), layer("globalmax"),
        dropout(0.25), dense(500, "relu"), dropout(0.25), dense(10, "softmax"),
      ],
    },
  };

  // --- words -------------------------------------------------------------------------------

  const TIMES = "\u00d7";

  /** Write a whole number with a comma between thousands. */
  function thousands(value) {
    return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
  }

  /** Write a shape: 28 x 28 x 32, or 3,136. */
  function shapeText(shape) {
    return shape.map(thousands).join(` ${TIMES} `);
  }

  /**
   * Name a layer in a few words, with its settings that matter.
   * @param {Object} given a layer
   * @returns {{name: string, details: string}}
   */
  function describe(given) {
    const square = `${given.size} ${TIMES} ${given.size}`;
    const name = KINDS[given.kind].label;
    const rest = [];
    const say = (part) => rest.push(part);
    if (given.kind === "input") return { name, details: shapeText([given.height, given.width, given.channels]) };
    if (given.kind === "conv") {
      say(square);
      say(given.kernels === 1 ? tr("1 kernel") : tr("{n} kernels", { n: thousands(given.kernels) }));
    }
    else if (given.kind === "depthwise") {
      say(square);
      if (given.multiplier > 1) say(tr("{n} maps per channel", { n: given.multiplier }));
    }
    else if (given.kind === "dense") say(given.units === 1 ? tr("1 unit") : tr("{n} units", { n: thousands(given.units) }));
    else if (given.kind === "dropout") say(String(given.rate));
    else if (given.kind === "maxpool" || given.kind === "avgpool") say(square);
    const usual = given.kind === "conv" || given.kind === "depthwise" ? 1 : null;
    if (given.strides !== undefined && given.strides !== usual && given.strides !== (usual || given.size)) {
      say(tr("stride {strides}", given));
    }
    if (given.dilation > 1) say(tr("dilation {dilation}", given));
    if (given.padding && (usual || given.padding === "same")) say(given.padding.toUpperCase());
    if (given.activation && given.activation !== "linear") say(NAMES[given.activation]);
    if (given.bias === false) say(tr("no bias"));
    return { name, details: rest.join(tr(", ")) };
  }

  // --- one layer ---------------------------------------------------------------------------

  /**
   * Output size and padding along one axis, as Keras has them.
   * @returns {{out: number, before: number, span: number}} `before` cells of padding in front; `span` cells
   *     from the first to the last that a kernel touches; `out` is 0 or less where nothing fits
   */
  function slide(n, size, stride, dilation, padding) {
    const span = (size - 1) * dilation + 1;
    if (padding === "valid") return { out: Math.floor((n - span) / stride) + 1, before: 0, span };
    const out = Math.ceil(n / stride);
    // An odd cell of padding goes behind the map: so has TensorFlow.
    return { out, before: Math.floor(Math.max(0, (out - 1) * stride + span - n) / 2), span };
  }

  /** A sentence that names a layer's first impossible setting, or "". */
  function badSetting(given) {
    const kind = KINDS[given.kind];
    if (!kind) return tr("There is no layer called \u201c{kind}\u201d.", given);
    for (const [key, field] of Object.entries(kind.fields)) {
      const value = given[key];
      if (field.type === "choice") {
        if (!field.options.some(([name]) => name === value)) {
          return tr("{label} must be one of {options}.", { label: field.label, options: field.options.map((o) => o[1]).join(tr(", ")) });
        }
      } else if (field.type === "whole" || field.type === "number") {
        if (field.blank && (value === null || value === undefined)) continue;
        const fits = field.type === "whole" ? Number.isInteger(value) : Number.isFinite(value);
        if (!fits || value < field.min || value > field.max) {
          return field.type === "whole" ? tr("{label} must be a whole number from {min} to {max}.", field)
            : tr("{label} must be a number from {min} to {max}.", field);
        }
      }
    }
    return "";
  }

  const MAPS_WANTED = {
    conv: tr("A convolution"), depthwise: tr("A depthwise convolution"), maxpool: tr("Pooling"), avgpool: tr("Pooling"),
    globalmax: tr("Global pooling"), globalavg: tr("Global pooling"),
  };

  /** Positions first to last of the input that all values of a map see together, along one axis. */
  function reach(axis, n, limit) {
    return [Math.max(0, axis.start), Math.min(limit - 1, axis.start + (n - 1) * axis.jump + axis.field - 1)];
  }

  /**
   * Run one layer.
   *
   * The state that goes from layer to layer: `shape`; for maps `axes`, one entry for height and one for width with
   * `field` (how many input pixels one value sees, from the first to the last), `jump` (input pixels
   * between neighbours) and `start` (the pixel where the field of the first value begins, negative in the
   * padding); for a row of numbers `field`, how much each of them sees, and `all`, what they see together.
   */
  function step(given, before) {
    const bad = badSetting(given);
    if (bad) return { problem: bad };
    const { kind } = given;
    const still = { ...before, trainable: 0, fixed: 0, multiplyAdds: 0 };
    const isMap = before && before.shape.length === 3;
    if (kind === "input") {
      return {
        shape: [given.height, given.width, given.channels], input: [given.height, given.width],
        axes: [0, 1].map(() => ({ field: 1, jump: 1, start: 0 })), trainable: 0, fixed: 0, multiplyAdds: 0,
      };
    }
    const channels = before.shape[before.shape.length - 1];
    if (MAPS_WANTED[kind] && !isMap) {
      return {
        problem: channels === 1
          ? tr("{what} reads maps (height \u00d7 width \u00d7 channels), and what arrives here is 1 number in a row. "
            + "Move it in front of the layer that made the row.", { what: MAPS_WANTED[kind] })
          : tr("{what} reads maps (height \u00d7 width \u00d7 channels), and what arrives here is {n} numbers in a row. "
            + "Move it in front of the layer that made the row.", { what: MAPS_WANTED[kind], n: thousands(channels) }),
      };
    }
    if (kind === "conv" || kind === "depthwise" || kind === "maxpool" || kind === "avgpool") {
      const kernel = kind === "conv" || kind === "depthwise";
      const dilation = kernel ? given.dilation : 1;
      const stride = given.strides === null || given.strides === undefined ? given.size : given.strides;
      if (kind === "conv" && stride > 1 && dilation > 1) {
        return { problem: tr("Keras does not combine a stride above 1 with a dilation above 1: set one of them to 1.") };
      }
      const along = [0, 1].map((k) => slide(before.shape[k], given.size, stride, dilation, given.padding));
      if (along.some((one) => one.out < 1)) {
        const span = along[0].span;
        const covers = `${span} ${TIMES} ${span}`;
        const what = !kernel ? tr("The region is {covers}", { covers })
          : dilation > 1 ? tr("The kernel covers {covers} cells with its gaps", { covers })
            : tr("The kernel covers {covers} cells", { covers });
        return {
          problem: tr("{what}, and the map is only {map}: with VALID padding no position is left. "
            + "Make it smaller, or choose SAME.", { what, map: `${before.shape[0]} ${TIMES} ${before.shape[1]}` }),
        };
      }
      const places = along[0].out * along[1].out;
      const maps = kind === "conv" ? given.kernels : kind === "depthwise" ? channels * given.multiplier : channels;
      // A kernel of a convolution reads every channel; of a depthwise one, its own channel alone.
      const weights = !kernel ? 0 : given.size * given.size * (kind === "conv" ? channels : 1) * maps;
      return {
        ...still, shape: [along[0].out, along[1].out, maps],
        axes: before.axes.map((axis, k) => ({
          field: axis.field + (along[k].span - 1) * axis.jump,
          jump: axis.jump * stride,
          start: axis.start - along[k].before * axis.jump,
        })),
        trainable: weights + (kernel && given.bias ? maps : 0), multiplyAdds: places * weights,
      };
    }
    if (kind === "batchnorm") return { ...still, trainable: 2 * channels, fixed: 2 * channels };
    if (kind === "dense") {
      const weights = channels * given.units;
      const counts = { trainable: weights + (given.bias ? given.units : 0) };
      if (isMap) {
        const [h, w] = before.shape;
        return {
          ...still, ...counts, shape: [h, w, given.units], multiplyAdds: h * w * weights,
          note: tr("No flatten before it: Keras then applies the dense layer to the last axis alone, with the same "
            + "{weights} weights at each of the {places} places, as a 1 \u00d7 1 convolution does. "
            + "If each unit is to read the whole map, put Flatten in front.",
          { weights: thousands(weights), places: `${h} ${TIMES} ${w}` }),
        };
      }
      return { ...still, ...counts, shape: [given.units], field: before.all, multiplyAdds: weights };
    }
    if (isMap && (kind === "flatten" || kind === "globalmax" || kind === "globalavg")) {
      const [h, w] = before.shape;
      const all = before.axes.map((axis, k) => reach(axis, before.shape[k], before.input[k]))
        .map(([first, last]) => Math.max(0, last - first + 1));
      const flat = kind === "flatten";
      return {
        ...still, axes: null, shape: [flat ? h * w * channels : channels], all,
        field: flat ? before.axes.map((axis) => axis.field) : all,
      };
    }
    return still; // dropout, activation, and flatten where nothing is left to flatten
  }

  /**
   * Work out a stack.
   *
   * A layer that is impossible gets a `problem`; those behind it `wait`, since nothing arrives there; those
   * before it are counted as ever.
   * @param {Array<Object>} layers the first is the input
   * @returns {{layers: Array<Object>, totals: Object}} for each layer `shape`, `trainable`, `fixed` (parameters
   *     that training by gradients does not move), `parameters`, `multiplyAdds`, `field` ([height, width] in input
   *     pixels), `jump` (or null) and `note`; or `problem`; or `waits`, the index of the layer it waits for.
   *     The totals are of the layers that could be counted: `counted` says how many, `broken` which one stopped
   *     it (or null)
   */
  function analyse(layers) {
    const rows = [];
    const totals = { trainable: 0, fixed: 0, parameters: 0, multiplyAdds: 0, counted: 0, broken: null };
    let state = null;
    layers.forEach((given, index) => {
      if (totals.broken !== null) {
        rows.push({ waits: totals.broken });
        return;
      }
      let found = (index === 0) === (given.kind === "input") ? step(given, state)
        : { problem: tr("A stack has one input, and it comes first.") };
      if (!found.problem) {
        const sums = ["trainable", "fixed", "multiplyAdds"].map((key) => totals[key] + found[key]);
        if (!sums.every(Number.isSafeInteger) || !Number.isSafeInteger(found.shape.reduce((a, b) => a * b))) {
          found = { problem: tr("From here on the counts are larger than can be written exactly. Make this layer smaller.") };
        }
      }
      if (found.problem) {
        totals.broken = index;
        rows.push({ problem: found.problem });
        return;
      }
      state = found;
      const square = state.axes && state.axes[0].jump === state.axes[1].jump;
      rows.push({
        shape: found.shape, trainable: found.trainable, fixed: found.fixed, parameters: found.trainable + found.fixed,
        multiplyAdds: found.multiplyAdds, note: found.note || "", jump: square ? state.axes[0].jump : null,
        field: state.axes ? state.axes.map((axis) => axis.field) : state.field,
        start: state.axes ? state.axes.map((axis) => axis.start) : null,
      });
      // A note belongs to one layer; the state would carry it on.
      delete state.note;
      totals.trainable += found.trainable;
      totals.fixed += found.fixed;
      totals.parameters = totals.trainable + totals.fixed;
      totals.multiplyAdds += found.multiplyAdds;
      totals.counted += 1;
    });
    return { layers: rows, totals };
  }

  // --- code --------------------------------------------------------------------------------

  const CLASSES = {
    conv: "Conv2D", depthwise: "DepthwiseConv2D", maxpool: "MaxPooling2D", avgpool: "AveragePooling2D",
    globalmax: "GlobalMaxPooling2D", globalavg: "GlobalAveragePooling2D", batchnorm: "BatchNormalization",
    dropout: "Dropout", activation: "Activation", flatten: "Flatten", dense: "Dense",
  };

  function kerasLine(given) {
    if (given.kind === "input") return `keras.Input((${given.height}, ${given.width}, ${given.channels}))`;
    const said = [];
    if (given.kind === "conv") said.push(given.kernels);
    if (given.kind === "dense") said.push(given.units);
    if (given.kind === "dropout") said.push(given.rate);
    if (given.size !== undefined) said.push(given.size);
    const pooling = given.kind === "maxpool" || given.kind === "avgpool";
    const usual = pooling ? given.size : 1;
    if (given.strides !== undefined && given.strides !== null && given.strides !== usual) said.push(`strides=${given.strides}`);
    if (given.padding === "same") said.push('padding="same"');
    if (given.dilation > 1) said.push(`dilation_rate=${given.dilation}`);
    if (given.multiplier > 1) said.push(`depth_multiplier=${given.multiplier}`);
    if (given.kind === "activation") said.push(`"${given.activation}"`);
    else if (given.activation && given.activation !== "linear") said.push(`activation="${given.activation}"`);
    if (given.bias === false) said.push("use_bias=False");
    return `keras.layers.${CLASSES[given.kind]}(${said.join(", ")})`;
  }

  /**
   * Write a stack as Keras code.
   * @param {Array<Object>} layers
   * @returns {string} a few lines of Python; a layer that Keras would refuse has a comment above it
   */
  function kerasCode(layers) {
    const { broken } = analyse(layers).totals;
    const lines = layers.flatMap((given, index) => [
      ...(index === broken ? ["        # " + tr("Keras refuses the next layer.")] : []), `        ${kerasLine(given)},`,
    ]);
    return ["import keras", "", "model = keras.Sequential(", "    [", ...lines, "    ]", ")", "model.summary()", ""].join("\n");
  }

  course.shapesMath = { KINDS, PRESETS, analyse, describe, kerasCode, layer, shapeText, thousands };
})();
