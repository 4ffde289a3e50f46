/* The convolution explorer: an image, a kernel on it, and the map they make. The arithmetic is in
   convolution_math.js. */
(function () {
  "use strict";

  const course = (window.course = window.course || {});
  const { core, convolutionMath: maths } = course;
  const { element, format, tr } = core;

  const SIDE = 10; // of the pictures; their pixels run from 0 to BRIGHT
  const BRIGHT = 9;
  const LARGEST = 9; // stride, dilation and padding: more only makes the image vanish

  function picture(value) {
    return maths.matrix(Array.from({ length: SIDE }, (_, i) => Array.from({ length: SIDE }, (_unused, j) => value(i, j))));
  }

  // Drawn by formula: a roof over a wall with a door, a ball lit from the left, bars, nothing.
  const PICTURES = {
    numbers: { label: tr("1 to 9"), make: () => maths.matrix([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) },
    house: {
      label: tr("A house"),
      make: () => picture((i, j) => {
        const middle = Math.abs(j - 4.5);
        if (i >= 9) return 3;
        if (i < 5) return middle <= i - 0.5 && i > 0 ? 8 : 1;
        if (middle > 3.5) return 1;
        return i >= 6 && (j === 4 || j === 5) ? 2 : 6;
      }),
    },
    ball: {
      label: tr("A ball"),
      make: () => picture((i, j) => {
        const far = Math.hypot(i - 4.5, j - 4.5);
        return far > 4.2 ? 0 : Math.round(BRIGHT - 0.95 * Math.hypot(i - 3, j - 3));
      }),
    },
    bars: { label: tr("Bars"), make: () => picture((i, j) => (j % 4 < 2 ? 8 : 1)) },
    empty: { label: tr("An empty sheet"), make: () => picture(() => 0) },
  };

  const PRESETS = {
    worked: { label: tr("Worked example"), picture: "numbers", kernel: [["0", "-1"], ["-1", "0"]] },
    edges: { label: tr("Edges"), picture: "house", kernel: [["-1", "-1", "-1"], ["-1", "8", "-1"], ["-1", "-1", "-1"]] },
    blur: { label: tr("Blur"), picture: "house", kernel: Array(3).fill(["1/9", "1/9", "1/9"]) },
    sharpen: { label: tr("Sharpen"), picture: "ball", kernel: [["0", "-1", "0"], ["-1", "5", "-1"], ["0", "-1", "0"]] },
    identity: { label: tr("Identity"), picture: "house", kernel: [["0", "0", "0"], ["0", "1", "0"], ["0", "0", "0"]] },
  };

  const bracket = (value) => (value < 0 ? `(${format(value)})` : format(value));
  const minus = (text) => text.replace("-", "\u2212");

  function start(root, stage) {
    const on = (work) => core.guard(root, work);
    const state = {
      image: null, texts: null, kernel: null, stride: 1, dilation: 1, padding: "VALID", zeros: 1, flip: false,
      brush: BRIGHT, at: [0, 0], filling: false, touched: null,
    };
    let laid = null;
    let map = null;

    // --- the parts ---------------------------------------------------------------------

    const said = core.status();
    const message = core.message();
    const wrong = core.message();
    const preset = core.choice({
      label: tr("Start from"), value: "worked", onInput: on(take),
      options: Object.entries(PRESETS).map(([value, { label }]) => ({ value, label })),
    });

    const pixels = core.grid({
      label: tr("Image. Type a digit from 0 to 9 to change a pixel; space paints it with the brush."),
      onPaint: on((i, j) => draw(i, j, state.brush)),
      onActivate: on((i, j) => draw(i, j, state.brush)),
      onFocus: on((i, j) => touch(i, j)), onHover: on((i, j) => touch(i, j)), onLeave: on(() => touch(-1, -1)),
      onKey: on((key, i, j) => {
        if (!/^[0-9]$/.test(key)) return false;
        draw(i, j, Number(key));
        return true;
      }),
    });
    const cells = core.grid({
      label: tr("Feature map. Choose a cell to see the products that made it."),
      onFocus: on((i, j) => look(i, j)), onActivate: on((i, j) => look(i, j)),
      onHover: on((i, j) => { if (!film.playing) look(i, j); }),
    });
    const over = core.frame(pixels);
    const under = core.frame(cells);
    const pixelSize = element("span", { className: "x-size" });
    const cellSize = element("span", { className: "x-size" });
    const mapHint = element("p", { className: "x-hint" });

    const film = core.player({
      label: tr("Place of the kernel"), interval: 1000,
      format: (at, count) => tr("{at} of {count}", { at: count ? at + 1 : 0, count }),
      onStep: on((at) => {
        if (film.playing) state.filling = true;
        move(Math.floor(at / laid.cols), at % laid.cols);
        if (state.filling && at === laid.rows * laid.cols - 1) state.filling = false;
        paint();
      }),
    });

    const patch = element("div", { className: "x-grid x-factor" });
    const weights = element("div", { className: "x-grid x-factor", role: "group", "aria-label": tr("Weights of the kernel") });
    const products = element("div", { className: "x-grid x-factor" });
    const total = element("strong", { className: "x-sum" });
    const sentence = element("p", { className: "x-sentence" });
    const kernelName = element("span", { text: tr("kernel") });

    const side = core.select({
      label: tr("Kernel"), value: "2", onInput: on((value) => resize(Number(value))),
      options: [1, 2, 3, 4, 5].map((k) => ({ value: String(k), label: `${k} \u00d7 ${k}` })),
    });
    const stride = core.number({
      label: tr("Stride"), value: 1, min: 1, max: LARGEST, whole: true, steps: true,
      onInput: on((value) => set({ stride: value })),
    });
    const dilation = core.number({
      label: tr("Dilation"), value: 1, min: 1, max: LARGEST, whole: true, steps: true,
      onInput: on((value) => set({ dilation: value })),
    });
    const padding = core.select({
      label: tr("Padding"), value: "VALID",
      options: [
        { value: "VALID", label: tr("VALID: none") }, { value: "SAME", label: "SAME" },
        { value: "number", label: tr("A number of zeros") },
      ],
      onInput: on((value) => { zeros.element.hidden = value !== "number"; set({ padding: value }); }),
    });
    const zeros = core.number({
      label: tr("Zeros on each side"), value: 1, min: 0, max: LARGEST, whole: true, steps: true,
      onInput: on((value) => set({ zeros: value })),
    });
    zeros.element.hidden = true;
    const flip = core.toggle({ label: tr("Flip kernel"), onInput: on((value) => set({ flip: value })) });
    const motif = core.select({
      label: tr("Image"), value: "numbers",
      options: [...Object.entries(PICTURES).map(([value, { label }]) => ({ value, label })),
        { value: "own", label: tr("Your own") }],
      onInput: on((value) => {
        if (value !== "own") state.image = PICTURES[value].make();
        changed();
      }),
    });
    const brush = core.range({
      label: tr("Brush"), min: 0, max: BRIGHT, value: BRIGHT,
      format: (value) => (value === 0 ? tr("{value}, black", { value }) : value === BRIGHT ? tr("{value}, white", { value }) : `${value}`),
      onInput: on((value) => { state.brush = value; }),
    });
    const finger = core.toggle({
      label: tr("Draw with a finger"), onInput: on((value) => pixels.element.classList.toggle("x-draw", value)),
    });
    const formula = element("div", { className: "x-formula" });

    stage.append(
      preset.element,
      element("div", { className: "x-panels x-pair" },
        element("div", { className: "x-panel" },
          element("div", { className: "x-panel-head" }, element("p", { className: "x-title", text: tr("Image") }), pixelSize),
          pixels.wrap,
          element("p", { className: "x-hint", text: tr("Draw on it: drag with the mouse, tap, or type digits.") }),
          element("div", { className: "x-finger" }, finger)),
        element("div", { className: "x-arrow", "aria-hidden": "true", text: "\u2192" }),
        element("div", { className: "x-panel" },
          element("div", { className: "x-panel-head" }, element("p", { className: "x-title", text: tr("Feature map") }), cellSize),
          cells.wrap, mapHint)),
      message.element,
      film.element,
      element("div", { className: "x-panel x-workings" },
        element("div", { className: "x-factors" },
          named(tr("under the kernel"), patch), sign("\u00d7"), named(kernelName, weights), sign("="),
          named(tr("products"), products), element("span", { className: "x-total" }, tr("sum"), total)),
        wrong.element, sentence),
      element("div", { className: "x-controls" }, side, stride, dilation, padding, zeros, motif, brush,
        element("div", { className: "x-control x-switch" }, flip)),
      formula, said.element,
    );

    function named(words, part) {
      return element("div", { className: "x-named" }, part, element("p", { className: "x-hint" }, words));
    }
    function sign(text) { return element("span", { className: "x-sign", "aria-hidden": "true", text }); }

    // --- what changes ------------------------------------------------------------------

    function take(name) {
      const chosen = PRESETS[name];
      state.image = PICTURES[chosen.picture].make();
      Object.assign(state, { stride: 1, dilation: 1, padding: "VALID", flip: false, at: [0, 0], filling: false });
      setKernel(chosen.kernel);
      side.set(String(chosen.kernel.length));
      stride.set(1);
      dilation.set(1);
      padding.set("VALID");
      zeros.element.hidden = true;
      flip.set(false);
      motif.set(chosen.picture);
      film.stop();
      film.set(0);
      wrong.clear();
      compute();
      preset.set(name);
    }

    function setKernel(texts) {
      state.texts = texts.map((row) => [...row]);
      state.kernel = maths.matrix(texts.map((row) => row.map((text) => core.readNumber(text).value)));
      edit();
    }

    function resize(k) {
      const old = state.texts;
      // The old weights stay, around the same middle as far as there is one; new ones are zero.
      const shift = Math.trunc((k - old.length) / 2);
      setKernel(Array.from({ length: k }, (_, a) => Array.from({ length: k }, (_unused, b) =>
        (old[a - shift] || [])[b - shift] || "0")));
      changed();
    }

    function set(part) {
      Object.assign(state, part);
      if ("flip" in part) edit();
      changed();
    }

    function draw(i, j, value) {
      const row = i - laid.top;
      const col = j - laid.left;
      if (row < 0 || col < 0 || row >= state.image.rows || col >= state.image.cols) {
        said.say(tr("This is padding. It is always zero."));
        return;
      }
      state.image.values[row * state.image.cols + col] = value;
      motif.set("own");
      changed();
      said.say(tr("Pixel in row {row}, column {col} is {value}.", { row: row + 1, col: col + 1, value }));
    }

    /** The reader went their own way: no preset is chosen any more. */
    function changed() {
      preset.set(null);
      state.filling = false;
      film.stop();
      compute();
    }

    // --- what is computed and shown ----------------------------------------------------

    function compute() {
      const options = {
        stride: state.stride, dilation: state.dilation,
        padding: state.padding === "number" ? state.zeros : state.padding,
      };
      laid = maths.plan(state.image, state.kernel, options);
      map = maths.convolve(state.image, state.kernel, { ...options, flip: state.flip });
      pixels.size(state.image.rows + laid.top + laid.bottom, state.image.cols + laid.left + laid.right);
      if (laid.problem) {
        message.show(laid.problem);
        said.say(laid.problem);
      } else {
        message.clear();
        cells.size(laid.rows, laid.cols);
      }
      stage.classList.toggle("x-stuck", Boolean(laid.problem));
      stage.classList.toggle("x-scattered", laid.dilation > 1);
      stage.classList.toggle("x-small", pixels.cols <= 4);
      state.touched = null;
      film.count(laid.rows * laid.cols);
      move(Math.min(state.at[0], Math.max(0, laid.rows - 1)), Math.min(state.at[1], Math.max(0, laid.cols - 1)));
      paint();
      showSize();
    }

    function look(i, j) {
      if (film.playing) film.stop();
      state.filling = false;
      move(i, j);
      paint();
    }

    /** Mark the cells of the map that see a pixel of the padded image; -1 for none. */
    function touch(i, j) {
      const sees = (from, at) => {
        const steps = (at - from * laid.stride) / laid.dilation;
        return Number.isInteger(steps) && steps >= 0 && steps < state.kernel.rows;
      };
      state.touched = i < 0 ? null : (r, c) => sees(r, i) && sees(c, j);
      if (!laid.problem) paintMap(core.theme());
    }

    function move(i, j) {
      state.at = [i, j];
      film.set(i * laid.cols + j);
    }

    function lies() { return state.flip ? maths.flip(state.kernel) : state.kernel; }

    function paint() {
      const colours = core.theme();
      const [i, j] = state.at;
      const found = laid.problem ? { terms: [], sum: 0 } : maths.terms(state.image, lies(), laid, i, j);
      const lit = new Set(found.terms.map((term) => `${term.row},${term.col}`));
      pixels.paint((r, c) => {
        const row = r - laid.top;
        const col = c - laid.left;
        const inside = row >= 0 && col >= 0 && row < state.image.rows && col < state.image.cols;
        const under = lit.has(`${row},${col}`);
        if (!inside) {
          return { text: "0", label: under ? tr("padding, 0, under the kernel") : tr("padding, 0"),
            className: `x-padding${under ? " x-under" : ""}` };
        }
        const value = state.image.values[row * state.image.cols + col];
        const background = core.grey(value / BRIGHT);
        return {
          text: format(value), background, ink: core.inkOn(background), className: under ? "x-under" : "",
          label: under ? tr("row {row}, column {col}: {value}, under the kernel", { row: row + 1, col: col + 1, value: format(value) })
            : tr("row {row}, column {col}: {value}", { row: row + 1, col: col + 1, value: format(value) }),
        };
      });
      const sides = `${state.image.rows} \u00d7 ${state.image.cols}`;
      pixelSize.textContent = laid.top + laid.bottom
        ? tr("{sides}, padded to {padded}", { sides, padded: `${pixels.rows} \u00d7 ${pixels.cols}` }) : sides;
      if (laid.problem) {
        over(0, 0, 0, 0);
        under(0, 0, 0, 0);
        cellSize.textContent = tr("none");
        mapHint.textContent = "";
        sentence.textContent = "";
        return;
      }
      const reach = maths.span(state.kernel.rows, laid.dilation);
      over(i * laid.stride, j * laid.stride, reach, reach, laid.dilation > 1 ? "x-dashed" : "");
      under(i, j, 1, 1);
      paintMap(colours);
      paintWorkings(found, colours);
      cells.select(i, j);
    }

    function paintMap(colours) {
      let seen = 0;
      const [i, j] = state.at;
      // A kernel that keeps brightness makes a picture; one that takes differences makes signed numbers.
      const bright = state.kernel.values.reduce((sum, weight) => sum + weight, 0) > 1e-9;
      const limit = map.values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
      const decimals = map.cols > 6 ? 1 : 2;
      const reached = i * map.cols + j;
      cells.paint((r, c) => {
        const value = map.values[r * map.cols + c];
        if (state.filling && r * map.cols + c > reached) {
          return { label: tr("row {row}, column {col}: not reached yet", { row: r + 1, col: c + 1 }), className: "x-later" };
        }
        const background = bright ? core.grey(value / BRIGHT) : core.diverging(value, limit, colours);
        const text = format(value, decimals);
        const touched = Boolean(state.touched && state.touched(r, c));
        seen += touched;
        return {
          background, text, ink: core.inkOn(background),
          label: tr("row {row}, column {col}: {value}", { row: r + 1, col: c + 1, value: format(value) }),
          className: `${text.length > 3 ? "x-long" : text.length > 2 ? "x-three" : ""}${touched ? " x-touched" : ""}`.trim(),
        };
      });
      const meaning = bright ? tr("Grey, as in the image: 0 is black, 9 and more is white.") : tr("Blue is below zero, orange above.");
      mapHint.textContent = state.touched
        ? (seen === 1 ? tr("That pixel takes part in 1 sum, marked here.")
          : tr("That pixel takes part in {seen} sums, marked here.", { seen })) : meaning;
      cellSize.textContent = `${map.rows} \u00d7 ${map.cols}`;
    }

    function paintWorkings(found, colours) {
      const k = state.kernel.cols;
      const limit = Math.max(...found.terms.map((term) => Math.abs(term.product)), 1e-9);
      const cellsOf = (node, look) => {
        node.style.setProperty("--cols", k);
        while (node.children.length > found.terms.length) node.lastChild.remove();
        while (node.children.length < found.terms.length) node.append(element("div", { className: "x-cell" }));
        found.terms.forEach((term, n) => {
          const { text, background, className } = look(term);
          const cell = node.children[n];
          cell.textContent = text;
          cell.style.backgroundColor = background;
          cell.style.color = background ? core.inkOn(background) : "";
          cell.className = `x-cell ${className || ""}`;
        });
      };
      cellsOf(patch, (term) => (term.inside
        ? { text: format(term.pixel), background: core.grey(term.pixel / BRIGHT) }
        : { text: "0", background: "", className: "x-padding" }));
      cellsOf(products, (term) => ({
        text: format(term.product), background: core.diverging(term.product, limit, colours),
      }));
      total.textContent = format(found.sum);
      const shown = found.terms.map((term) => `${bracket(term.weight)}\u00b7${bracket(term.pixel)}`);
      sentence.replaceChildren(
        element("span", { text: shown.join(" + ") }), " = ", element("strong", { text: format(found.sum) }));
      const [i, j] = state.at;
      if (!film.playing) {
        said.say(tr("Row {row}, column {col} of the map: {sentence}", { row: i + 1, col: j + 1, sentence: sentence.textContent }));
      }
    }

    /** The kernel as fields. Where the kernel is flipped, they show it as it lies on the image. */
    function edit() {
      const k = state.texts.length;
      const shownAt = (a, b) => (state.flip ? [k - 1 - a, k - 1 - b] : [a, b]);
      weights.style.setProperty("--cols", k);
      weights.replaceChildren(...Array.from({ length: k * k }, (_, n) => {
        const [a, b] = [Math.floor(n / k), n % k];
        const [row, col] = shownAt(a, b);
        const what = tr("Weight in row {row}, column {col}", { row: a + 1, col: b + 1 });
        const input = element("input", {
          type: "text", className: "x-cell x-weight", "aria-label": what, autocomplete: "off", spellcheck: "false",
          value: minus(state.texts[row][col]),
          onfocus: () => input.select(),
          oninput: on(() => {
            const read = core.readNumber(input.value, { what, min: -1e6, max: 1e6 });
            if (read.problem) {
              input.setAttribute("aria-invalid", "true");
              wrong.show(tr("{problem} The last number stays.", read));
              return;
            }
            input.removeAttribute("aria-invalid");
            if (!weights.querySelector("[aria-invalid]")) wrong.clear();
            state.texts[row][col] = input.value.trim();
            state.kernel.values[row * k + col] = read.value;
            changed();
          }),
          onkeydown: (event) => {
            const to = { ArrowUp: n - k, ArrowDown: n + k }[event.key];
            const next = to === undefined ? null : weights.children[to];
            if (next) { next.focus(); event.preventDefault(); }
          },
        });
        return input;
      }));
      kernelName.textContent = state.flip ? tr("kernel, flipped") : tr("kernel: type in it");
      weights.setAttribute("aria-label", state.flip ? tr("Weights of the kernel, flipped") : tr("Weights of the kernel"));
      wrong.clear();
    }

    function showSize() {
      const n = state.image.rows;
      const k = state.kernel.rows;
      const { dilation: d, stride: s } = laid;
      const zerosInAll = laid.top + laid.bottom;
      const m = maths.outputSide(n, k, s, d, zerosInAll);
      const same = state.padding === "SAME";
      const letters = { n: tr("image"), d: tr("dilation"), k: tr("kernel"), [same ? "P" : "p"]: tr("padding"), s: tr("stride") };
      const zeroWords = same ? "P" : "2p";
      const zeroNumbers = same ? String(zerosInAll) : `2\u00b7${laid.top}`;
      // Letters lean, as in the formulas of the text; numbers and signs stand.
      const leaning = (text) => text.split(/([a-z])/i).map((part, at) => (at % 2 ? element("i", { text: part }) : part));
      const fraction = (above, below) => element("span", { className: "x-fraction" },
        element("span", {}, leaning(above)), element("span", {}, leaning(below)));
      const floor = (above, below) => [element("span", { className: "x-floor" }, fraction(above, below)), element("span", { text: "+ 1" })];
      formula.replaceChildren(
        element("p", { className: "x-title", text: tr("Side of the map") }),
        element("p", { className: "x-equation" },
          element("span", { className: "x-piece" }, floor(`n \u2212 d(k \u2212 1) \u2212 1 + ${zeroWords}`, "s")),
          element("span", { className: "x-piece" }, element("span", { text: "=" }),
            floor(`${n} \u2212 ${d}\u00b7(${k} \u2212 1) \u2212 1 + ${zeroNumbers}`, String(s))),
          element("span", { className: "x-piece" }, element("span", { text: "=" }), element("strong", { text: m > 0 ? String(m) : tr("no place") }))),
        element("p", { className: "x-hint" },
          Object.entries(letters).map(([letter, word], at) => [at ? tr(", ") : "", element("i", { text: letter }), ` ${word}`]),
          same ? [laid.top === 1 ? tr(". SAME puts 1 zero before and {after} after: ", { after: laid.bottom })
            : tr(". SAME puts {before} zeros before and {after} after: ", { before: laid.top, after: laid.bottom }),
          element("i", { text: "P" }), ` = ${zerosInAll}${tr(".")}`] : tr(".")),
      );
    }

    core.onTheme(on(() => { if (map) paint(); }));
    take("worked");
  }

  core.register("convolution", start);
})();
