/* The pooling explorer: an image, a region on it, what is kept of it, and what a move by a pixel leaves.
   The arithmetic is in pooling_math.js. */
(function () {
  "use strict";

  const course = (window.course = window.course || {});
  const { core, poolingMath: maths } = course;
  const { element, format, tr } = core;

  const SIDE = 10;
  const BRIGHT = 9;
  const FARTHEST = 2; // pixels of a move

  function picture(value, side = SIDE) {
    return {
      rows: side, cols: side,
      values: Float64Array.from({ length: side * side }, (_, n) => value(Math.floor(n / side), n % side)),
    };
  }

  // A stroke by formula: a seven with a soft edge, and a ring.
  const soft = (far) => Math.round(BRIGHT * Math.min(1, Math.max(0, 1.35 - far)));
  const PRESETS = {
    worked: { label: tr("Worked example"), size: 2, stride: 1, make: () => picture((i, j) => 3 * i + j + 1, 3) },
    seven: {
      label: tr("A seven"), size: 2, stride: 2,
      make: () => picture((i, j) => {
        const bar = j >= 2 && j <= 7 ? Math.abs(i - 2) : 9;
        const stem = i >= 2 && i <= 8 ? Math.abs(j - (7 - (i - 2) * 0.5)) : 9;
        return soft(Math.min(bar, stem));
      }),
    },
    ring: { label: tr("A ring"), size: 2, stride: 2,
      make: () => picture((i, j) => soft(Math.abs(Math.hypot(i - 4.5, j - 4.5) - 2.9))) },
    empty: { label: tr("An empty sheet"), size: 2, stride: 2, make: () => picture(() => 0) },
  };

  function start(root, stage) {
    const on = (work) => core.guard(root, work);
    const state = { image: null, size: 2, stride: 1, mode: "max", down: 0, right: 0, brush: BRIGHT, at: [0, 0], filling: false };
    let moved = null;
    let still = null;
    let map = null;
    let found = null;

    const said = core.status();
    const message = core.message();
    const preset = core.choice({
      label: tr("Start from"), value: "worked", onInput: on(take),
      options: Object.entries(PRESETS).map(([value, { label }]) => ({ value, label })),
    });
    const pixels = core.grid({
      label: tr("Image. Type a digit from 0 to 9 to change a pixel; space paints it with the brush."),
      onPaint: on((i, j) => draw(i, j, state.brush)), onActivate: on((i, j) => draw(i, j, state.brush)),
      onKey: on((key, i, j) => {
        if (!/^[0-9]$/.test(key)) return false;
        draw(i, j, Number(key));
        return true;
      }),
    });
    const cells = core.grid({
      label: tr("Pooled map. Choose a cell to see the region that made it."),
      onFocus: on(look), onActivate: on(look), onHover: on((i, j) => { if (!film.playing) look(i, j); }),
    });
    const over = core.frame(pixels);
    const under = core.frame(cells);
    const pixelSize = element("span", { className: "x-size" });
    const cellSize = element("span", { className: "x-size" });
    const film = core.player({
      label: tr("Place of the region"), interval: 1000, format: (at, count) => tr("{at} of {count}", { at: count ? at + 1 : 0, count }),
      onStep: on((at) => {
        if (film.playing) state.filling = true;
        state.at = [Math.floor(at / map.cols), at % map.cols];
        if (at === map.values.length - 1) state.filling = false;
        paint();
      }),
    });
    const sentence = element("p", { className: "x-sentence x-large" });

    const size = core.number({
      label: tr("Region"), value: 2, min: 1, max: SIDE, whole: true, steps: true, onInput: on((value) => set({ size: value })),
    });
    const stride = core.number({
      label: tr("Stride"), value: 1, min: 1, max: SIDE, whole: true, steps: true, onInput: on((value) => set({ stride: value })),
    });
    const mode = core.choice({
      label: tr("Keep"), value: "max", options: [{ value: "max", label: tr("the maximum") }, { value: "average", label: tr("the average") }],
      onInput: on((value) => { state.mode = value; compute(); }),
    });
    const brush = core.range({
      label: tr("Brush"), min: 0, max: BRIGHT, value: BRIGHT,
      format: (value) => (value === 0 ? tr("{value}, black", { value }) : value === BRIGHT ? tr("{value}, white", { value }) : `${value}`),
      onInput: on((value) => { state.brush = value; }),
    });
    const finger = core.toggle({
      label: tr("Draw with a finger"), onInput: on((value) => pixels.element.classList.toggle("x-draw", value)),
    });

    const push = (label, icon, down, right) => core.button({
      label, text: "", icon, onClick: on(() => move(state.down + down, state.right + right)),
    });
    const home = core.button({ label: tr("Back"), onClick: on(() => move(0, 0)) });
    const survived = element("p", { className: "x-survived" });

    stage.append(
      preset.element,
      element("div", { className: "x-panels x-pair" },
        element("div", { className: "x-panel" },
          element("div", { className: "x-panel-head" }, element("p", { className: "x-title", text: tr("Image") }), pixelSize),
          pixels.wrap, element("p", { className: "x-hint", text: tr("Draw on it: drag with the mouse, tap, or type digits.") }),
          element("div", { className: "x-finger" }, finger)),
        element("div", { className: "x-arrow", "aria-hidden": "true", text: "\u2192" }),
        element("div", { className: "x-panel" },
          element("div", { className: "x-panel-head" }, element("p", { className: "x-title", text: tr("Pooled map") }), cellSize),
          cells.wrap, sentence)),
      message.element, film.element,
      element("div", { className: "x-panel x-move" },
        element("p", { className: "x-title", text: tr("Move the image by a pixel") }),
        element("div", { className: "x-buttons" }, push(tr("Move the image one pixel left"), "\u2190", 0, -1),
          push(tr("Move the image one pixel up"), "\u2191", -1, 0), push(tr("Move the image one pixel down"), "\u2193", 1, 0),
          push(tr("Move the image one pixel right"), "\u2192", 0, 1), home),
        survived),
      element("div", { className: "x-controls" }, mode, size, stride, brush),
      said.element,
    );

    function take(name) {
      const { make, ...rest } = PRESETS[name];
      Object.assign(state, { image: make(), size: rest.size, stride: rest.stride, mode: "max", down: 0, right: 0, at: [0, 0], filling: false });
      size.set(state.size);
      stride.set(state.stride);
      mode.set("max");
      film.stop();
      film.set(0);
      compute();
      preset.set(name);
    }

    function set(part) {
      Object.assign(state, part);
      changed();
    }

    function changed() {
      preset.set(null);
      state.filling = false;
      film.stop();
      compute();
    }

    function draw(i, j, value) {
      // What is drawn on is the image as it was before the move.
      const [row, col] = [i - state.down, j - state.right];
      if (row < 0 || col < 0 || row >= state.image.rows || col >= state.image.cols) {
        said.say(tr("This came in from outside when the image moved. It is zero."));
        return;
      }
      state.image.values[row * state.image.cols + col] = value;
      changed();
      said.say(tr("Pixel in row {row}, column {col} is {value}.", { row: i + 1, col: j + 1, value }));
    }

    function move(down, right) {
      state.down = Math.max(-FARTHEST, Math.min(FARTHEST, down));
      state.right = Math.max(-FARTHEST, Math.min(FARTHEST, right));
      state.filling = false;
      film.stop();
      compute();
      if (survived.textContent) said.say(survived.textContent);
    }

    function look(i, j) {
      if (film.playing) film.stop();
      state.filling = false;
      state.at = [i, j];
      film.set(i * map.cols + j);
      paint();
    }

    function compute() {
      moved = maths.shift(state.image, state.down, state.right);
      still = maths.pool(state.image, state);
      map = maths.pool(moved, state);
      pixels.size(moved.rows, moved.cols);
      const stuck = map.rows === 0;
      stage.classList.toggle("x-stuck", stuck);
      stage.classList.toggle("x-small", pixels.cols <= 4);
      if (stuck) {
        const n = `${state.image.rows} \u00d7 ${state.image.cols}`;
        message.show(tr("A region of {region} is larger than the image of {image}: it fits nowhere. Take a smaller region.",
          { region: `${state.size} \u00d7 ${state.size}`, image: n }));
      } else {
        message.clear();
        cells.size(map.rows, map.cols);
      }
      film.count(map.values.length);
      state.at = state.at.map((at) => Math.max(0, Math.min(at, map.rows - 1)));
      film.set(stuck ? 0 : state.at[0] * map.cols + state.at[1]);
      paint();
    }

    function paint() {
      const [i, j] = state.at;
      found = map.rows ? maths.region(moved, state, i, j) : { cells: [], winner: -1 };
      const best = found.winner < 0 ? null : found.cells[found.winner];
      const away = state.down !== 0 || state.right !== 0;
      const here = maths.survivors(state.image, moved);
      const there = maths.survivors(still, map);
      pixels.paint((r, c) => {
        const value = moved.values[r * moved.cols + c];
        const background = core.grey(value / BRIGHT);
        const under = found.cells.some((cell) => cell.row === r && cell.col === c);
        const wins = Boolean(best && best.row === r && best.col === c);
        const place = { row: r + 1, col: c + 1, value: format(value) };
        return {
          text: format(value), background, ink: core.inkOn(background),
          className: `${under ? "x-under" : ""}${wins ? " x-winner" : ""}`.trim(),
          label: wins ? tr("row {row}, column {col}: {value}, the winner of the region", place)
            : under ? tr("row {row}, column {col}: {value}, in the region", place) : tr("row {row}, column {col}: {value}", place),
        };
      });
      const sides = `${moved.rows} \u00d7 ${moved.cols}`;
      pixelSize.textContent = away ? tr("{sides}, moved {place}", { sides, place: distance() }) : sides;
      home.set({ disabled: !away });
      if (!map.rows) {
        over(0, 0, 0, 0);
        under(0, 0, 0, 0);
        cellSize.textContent = tr("none");
        sentence.textContent = "";
        survived.textContent = "";
        return;
      }
      const reached = i * map.cols + j;
      cells.paint((r, c) => {
        const n = r * map.cols + c;
        if (state.filling && n > reached) return { label: tr("row {row}, column {col}: not reached yet", { row: r + 1, col: c + 1 }), className: "x-later" };
        const value = map.values[n];
        const background = core.grey(value / BRIGHT);
        const text = format(value, map.cols > 6 ? 1 : 2);
        const lost = away && !there.same[n];
        const place = { row: r + 1, col: c + 1, value: format(value), before: format(still.values[n]) };
        return {
          text, background, ink: core.inkOn(background),
          className: `${text.length > 2 ? "x-long" : ""}${lost ? " x-lost" : ""}`.trim(),
          label: lost ? tr("row {row}, column {col}: {value}, was {before} before the move", place)
            : tr("row {row}, column {col}: {value}", place),
        };
      });
      cells.select(i, j);
      cellSize.textContent = `${map.rows} \u00d7 ${map.cols}`;
      over(i * state.stride, j * state.stride, state.size, state.size);
      under(i, j, 1, 1);
      const values = found.cells.map((cell) => format(cell.value));
      const words = values.length > 25 ? tr("of {n} pixels", { n: values.length })
        : state.mode === "max" ? `(${values.join(", ")})` : `(${values.join(" + ")}) / ${values.length}`;
      const name = state.mode === "max" ? "max" : tr("average");
      sentence.replaceChildren(
        element("span", { text: state.mode === "max" || values.length > 25 ? [name, words].join(" ") : words }),
        " = ", element("strong", { text: format(found.value) }));
      survived.replaceChildren(...(away
        ? [...told(tr("Unchanged by the move: {cells} cells of the pooled map, and {pixels} pixels of the image. "),
          { cells: share(there), pixels: share(here) }),
          element("span", { className: "x-hint",
            text: tr("Cells that are black before and after are not counted; a dashed frame marks a changed one.") })]
        : [tr("Press an arrow: how many cells of the pooled map will stay as they are?")]));
      if (!film.playing) said.say(tr("Row {row}, column {col} of the pooled map: {sentence}",
        { row: i + 1, col: j + 1, sentence: sentence.textContent }));
    }

    function share(one) {
      return element("strong", { text: tr("{n} of {all}", { n: one.kept, all: one.lit }) });
    }

    /** A sentence with elements in the places of its braces. */
    function told(text, parts) {
      return text.split(/\{(\w+)\}/).map((piece, at) => (at % 2 ? parts[piece] : piece));
    }

    function distance() {
      const parts = [];
      const n = (value) => ({ n: Math.abs(value) });
      if (state.down) parts.push(state.down > 0 ? tr("{n} down", n(state.down)) : tr("{n} up", n(state.down)));
      if (state.right) parts.push(state.right > 0 ? tr("{n} right", n(state.right)) : tr("{n} left", n(state.right)));
      return parts.join(tr(", "));
    }

    core.onTheme(on(() => { if (map) paint(); }));
    take("worked");
  }

  core.register("pooling", start);
})();
