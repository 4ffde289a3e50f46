/* The live LeNet of chapter 05: a board to draw on, the network's reading, all of its maps, and one pixel of
   a map taken apart. The arithmetic is in lenet_math.js, the ten drawings in lenet_strokes.js; the weights,
   lenet_weights.js, are fetched when there is something to read for the first time. */
(function () {
  "use strict";

  const course = (window.course = window.course || {});
  const { core, lenetMath: math } = course;
  const { element, svg, tr } = core;

  const MEGABYTES = "3.5"; // of lenet_weights.js; the tests compare it with the file
  const CLOSE = 0.006; // points nearer than this, as a part of the board, are not kept
  const STEP = 1 / 28; // of the keyboard's pen
  const DOT = 0.06; // a drawing smaller than this is hardly more than a dot
  const LAYERS = {
    1: { side: 28, channels: 32, conv: "conv1", pool: "pool1" },
    2: { side: 14, channels: 64, conv: "conv2", pool: "pool2" },
  };
  const STAGES = [
    { value: "1conv", label: tr("Convolution 1") }, { value: "1pool", label: tr("Pooling 1") },
    { value: "2conv", label: tr("Convolution 2") }, { value: "2pool", label: tr("Pooling 2") },
  ];

  // One fetch for all explorers of a page, and one decoding.
  let fetched = null;

  /** Fetch and decode the weights; what `lenetMath.decode` throws, this rejects with. */
  function fetchNetwork() {
    if (!fetched) {
      fetched = new Promise((resolve, reject) => {
        const script = element("script", { src: core.asset("lenet_weights.js") });
        script.onload = () => {
          // Five megabytes of text that nobody needs any more; and what cannot be used must not be
          // taken for what a second attempt fetched.
          const file = course.lenetWeights;
          delete course.lenetWeights;
          try {
            resolve(math.decode(file));
          } catch (error) {
            reject(error);
          }
        };
        script.onerror = () => reject(new Error(tr("the file did not arrive")));
        document.head.append(script);
      });
      // What failed may be tried again: a train comes out of its tunnel.
      fetched.catch(() => { fetched = null; });
    }
    return fetched;
  }

  /** Write a number with a fixed count of decimals and a true minus sign; what rounds to zero has none. */
  function fixed(value, decimals) {
    const text = Math.abs(value).toFixed(decimals);
    return value < 0 && Number(text) !== 0 ? `\u2212${text}` : text;
  }

  /** Write a probability as a percentage that claims no certainty it does not have. */
  function percent(p) {
    if (p > 0.9995) return tr("over 99.9 %");
    return p < 0.0005 ? "0.0 %" : `${(100 * p).toFixed(1)} %`;
  }

  /** Return 256 colours as bytes, from a function of 0 to 1. */
  function table(colour) {
    const bytes = new Uint8ClampedArray(4 * 256);
    for (let k = 0; k < 256; k += 1) {
      const [r, g, b] = colour(k / 255).match(/[\d.]+/g).map(Number);
      bytes.set([r, g, b, 255], 4 * k);
    }
    return bytes;
  }

  /** Lift what is weak, so that it can be seen beside what is strong: all maps of a layer share one scale. */
  function lift(part) {
    return part ** 0.6;
  }

  /** Draw one channel of some maps, pixel for pixel; `limit` gets the last colour of the table. */
  function paintMap(canvas, values, channels, channel, limit, colours, signed) {
    const side = canvas.width;
    const context = canvas.getContext("2d");
    const image = context.createImageData(side, canvas.height);
    const scale = limit > 0 ? 255 / limit : 0;
    for (let k = 0; k < side * canvas.height; k += 1) {
      const value = values ? values[k * channels + channel] * scale : 0;
      const at = 4 * Math.max(0, Math.min(255, Math.round(signed ? 127.5 + value / 2 : value)));
      image.data.set(colours.subarray(at, at + 4), 4 * k);
    }
    context.putImageData(image, 0, 0);
  }

  function largest(values) {
    let most = 0;
    for (const value of values) if (value > most) most = value;
    return most;
  }

  function largestSize(values) {
    let most = 0;
    for (const value of values) most = Math.max(most, Math.abs(value));
    return most;
  }

  // --- the board ---------------------------------------------------------------------------

  /**
   * A board to draw on with a mouse, a pen, a finger or the arrow keys.
   * @param {{onBegin: function(), onInk: function(), onRest: function(), onOutside: function(), say: function(string)}} on
   * @returns {Object} `element`, `strokes`, `set(strokes)`, `undo()`, `redraw()`
   */
  function board(on) {
    let strokes = [];
    let drawing = null; // the stroke that a pointer is drawing
    let pen = null; // the stroke that the keyboard is drawing
    let cursor = [0.5, 0.3];
    let focused = false;

    const sheet = core.canvas({ label: "", draw });
    sheet.element.removeAttribute("role");
    sheet.element.removeAttribute("aria-label");
    sheet.element.setAttribute("aria-hidden", "true");
    const prompt = element("p", { className: "ln-prompt", "aria-hidden": "true" },
      element("strong", { text: tr("Draw a digit") }), tr("with the mouse, a finger or the arrow keys"));
    const node = element("div", {
      className: "ln-board", role: "application", tabindex: "0", "aria-label":
        tr("Drawing board. Arrow keys move the pen, the space bar sets it down and lifts it, Backspace takes the last "
        + "stroke back."),
    }, sheet, prompt);

    function draw(context, width) {
      context.lineCap = "round";
      context.lineJoin = "round";
      context.strokeStyle = "#f6f3ea";
      context.fillStyle = "#f6f3ea";
      context.lineWidth = 0.075 * width;
      for (const stroke of strokes) {
        context.beginPath();
        const [first, ...rest] = stroke.map(([x, y]) => [x * width, y * width]);
        if (!rest.length) {
          context.arc(first[0], first[1], context.lineWidth / 2, 0, 2 * Math.PI);
          context.fill();
          continue;
        }
        context.moveTo(...first);
        // Through the middles, bent towards the points: a hand draws no corners that it did not mean.
        rest.forEach(([x, y], k) => {
          const next = rest[k + 1];
          if (next) context.quadraticCurveTo(x, y, (x + next[0]) / 2, (y + next[1]) / 2);
          else context.lineTo(x, y);
        });
        context.stroke();
      }
      if (focused) {
        const [x, y] = cursor.map((part) => part * width);
        context.lineWidth = 2;
        context.strokeStyle = pen ? "#ffb066" : "#8fd3ff";
        context.beginPath();
        context.arc(x, y, pen ? 5 : 9, 0, 2 * Math.PI);
        context.moveTo(x - 15, y); context.lineTo(x - 4, y);
        context.moveTo(x + 4, y); context.lineTo(x + 15, y);
        context.moveTo(x, y - 15); context.lineTo(x, y - 4);
        context.moveTo(x, y + 4); context.lineTo(x, y + 15);
        context.stroke();
      }
    }

    function changed() {
      prompt.hidden = strokes.length > 0;
      sheet.redraw();
      on.onInk();
    }

    function add(stroke, event) {
      const box = node.getBoundingClientRect();
      const raw = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      if (!raw.every(Number.isFinite)) return;
      if (raw.some((part) => part < -0.02 || part > 1.02)) on.onOutside();
      const point = raw.map((part) => Math.min(1, Math.max(0, part)));
      const last = stroke[stroke.length - 1];
      if (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < CLOSE) return;
      stroke.push(point);
    }

    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || drawing) return;
      focused = false;
      pen = null;
      drawing = { id: event.pointerId, stroke: [] };
      on.onBegin();
      add(drawing.stroke, event);
      strokes.push(drawing.stroke);
      try { node.setPointerCapture(event.pointerId); } catch (error) { /* the pointer is gone already */ }
      changed();
    });
    node.addEventListener("pointermove", (event) => {
      if (!drawing || event.pointerId !== drawing.id) return;
      const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of all.length ? all : [event]) add(drawing.stroke, one);
      changed();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      node.addEventListener(end, (event) => {
        if (!drawing || event.pointerId !== drawing.id) return;
        drawing = null;
        on.onRest();
      });
    }

    node.addEventListener("focus", () => { focused = node.matches(":focus-visible"); sheet.redraw(); });
    node.addEventListener("blur", () => { focused = false; pen = null; sheet.redraw(); });
    node.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (moves[event.key]) {
        const step = event.shiftKey ? STEP / 4 : STEP;
        cursor = cursor.map((part, k) => Math.min(1 - STEP, Math.max(STEP, part + step * moves[event.key][k])));
        if (pen) pen.push([...cursor]);
      } else if (event.key === " ") {
        pen = pen ? null : [[...cursor]];
        if (pen) strokes.push(pen);
        on.say(pen ? tr("Pen down") : tr("Pen up"));
        if (!pen) on.onRest();
      } else if (event.key === "Escape" && pen) {
        pen = null;
        on.onRest();
      } else if (event.key === "Backspace" || event.key === "Delete") {
        undo();
      } else {
        return;
      }
      event.preventDefault();
      focused = true;
      changed();
    });

    function undo() {
      pen = null;
      strokes.pop();
      changed();
      on.onRest();
    }
    function set(wanted) {
      on.onBegin();
      pen = null;
      drawing = null;
      strokes = wanted.map((stroke) => stroke.map((point) => [...point]));
      changed();
      on.onRest();
    }
    return { element: node, undo, set, redraw: sheet.redraw, get strokes() { return strokes; } };
  }

  // --- the ten probabilities ---------------------------------------------------------------

  function bars() {
    const rows = Array.from({ length: 10 }, (_, digit) => {
      const fill = element("span", { className: "ln-fill" });
      const value = element("span", { className: "ln-percent", text: "\u2013" });
      const row = element("li", { className: "ln-bar" },
        element("span", { className: "ln-digit", text: String(digit) }),
        element("span", { className: "ln-track", "aria-hidden": "true" }, fill), value);
      return { row, fill, value };
    });
    return {
      element: element("ol", { className: "ln-bars", "aria-label": tr("Probability of each digit") }, rows.map((r) => r.row)),
      show(probabilities, reading) {
        rows.forEach(({ row, fill, value }, digit) => {
          const p = probabilities ? probabilities[digit] : 0;
          fill.style.transform = `scaleX(${p})`;
          value.textContent = probabilities ? `${(100 * p).toFixed(1)} %` : "\u2013";
          row.classList.toggle("ln-best", Boolean(probabilities) && digit === reading);
        });
      },
    };
  }

  // --- the maps ----------------------------------------------------------------------------

  /** A pixelated little canvas; it is spoken for by what it lies in. */
  function tile(side, className) {
    const canvas = element("canvas", { className: `ln-tile ${className}`, "aria-hidden": "true" });
    canvas.width = side;
    canvas.height = side;
    return canvas;
  }

  /** Return which pixel of a little canvas an event points at. */
  function pixelAt(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const side = canvas.width;
    const part = (at, from, size) => Math.min(side - 1, Math.max(0, Math.floor(((at - from) / size) * side)));
    return [part(event.clientY, box.top, box.height), part(event.clientX, box.left, box.width)];
  }

  /**
   * All channels of one convolution and its pooling: for each, kernel, feature map and pooled map in a column.
   * @param {1|2} layer
   * @param {function(Object)} onPick gets `{layer, kind, channel, i, j}`; without i and j where a channel as a
   *     whole was chosen, and `keyboard` where it was with a key
   */
  function band(layer, onPick) {
    const { side, channels } = LAYERS[layer];
    const columns = Array.from({ length: channels }, (_, channel) => {
      const parts = {
        kernel: tile(math.KERNEL, "ln-kernel"), conv: tile(side, "ln-map"), pool: tile(side / 2, "ln-pooled"),
      };
      const node = element("button", {
        type: "button", className: "ln-channel", tabindex: channel ? "-1" : "0", "aria-pressed": "false",
        "aria-label": layer === 1 ? tr("first convolution, map {n} of {channels}", { n: channel + 1, channels })
          : tr("second convolution, map {n} of {channels}", { n: channel + 1, channels }),
        onclick: (event) => {
          rove(channel);
          const kind = event.target === parts.pool ? "pool" : "conv";
          const pointed = event.detail && (event.target === parts.conv || event.target === parts.pool);
          const [i, j] = pointed ? pixelAt(event.target, event) : [];
          onPick({ layer, kind, channel, i, j, keyboard: !event.detail });
        },
      }, parts.kernel, parts.conv, parts.pool);
      return { ...parts, node };
    });
    let current = 0;
    function rove(channel) {
      columns[current].node.tabIndex = -1;
      current = channel;
      columns[current].node.tabIndex = 0;
    }
    const node = element("div", {
      className: `ln-channels ln-channels-${layer}`, role: "group",
      "aria-label": layer === 1 ? tr("The {channels} maps of the first convolution; arrow keys move between them", { channels })
        : tr("The {channels} maps of the second convolution; arrow keys move between them", { channels }),
      onkeydown: (event) => {
        const top = columns[0].node.offsetTop;
        const wide = columns.filter((c) => c.node.offsetTop === top).length;
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide }[event.key];
        const to = event.key === "Home" ? 0 : event.key === "End" ? channels - 1 : current + step;
        if (!(to >= 0 && to < channels)) return;
        rove(to);
        columns[to].node.focus();
        event.preventDefault();
      },
    }, columns.map((c) => c.node));
    return { element: node, columns };
  }

  // --- one pixel, worked out ---------------------------------------------------------------

  /** A little table of numbers with a caption. */
  function numbers(caption, side) {
    const cells = Array.from({ length: side * side }, () => element("td", {}));
    const title = element("caption", { text: caption });
    return {
      element: element("table", { className: "ln-numbers", style: { "--side": side } }, title,
        element("tbody", {}, Array.from({ length: side }, (_, i) =>
          element("tr", {}, cells.slice(i * side, (i + 1) * side))))),
      caption(text) { if (title.textContent !== text) title.textContent = text; },
      show(look) {
        cells.forEach((cell, k) => {
          const { text = "", background = "", className = "" } = look ? look(k) : {};
          cell.textContent = text;
          cell.className = className;
          cell.style.backgroundColor = background;
          cell.style.color = background ? core.inkOn(background) : "";
        });
      },
    };
  }

  /** A large map in which the arrow keys, a mouse or a finger choose a pixel; or one that is only looked at. */
  function plate(onMove) {
    const canvas = tile(28, "ln-sheet");
    const frame = element("span", { className: "ln-frame", "aria-hidden": "true" });
    frame.hidden = true;
    const node = element("div", { className: "ln-plate" }, canvas, frame);
    let at = [0, 0];
    if (onMove) {
      node.setAttribute("role", "application");
      node.tabIndex = 0;
      let pressed = false;
      node.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        pressed = true;
        try { node.setPointerCapture(event.pointerId); } catch (error) { /* the pointer is gone already */ }
        onMove(...pixelAt(canvas, event));
      });
      node.addEventListener("pointermove", (event) => { if (pressed) onMove(...pixelAt(canvas, event)); });
      for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { pressed = false; });
      node.addEventListener("keydown", (event) => {
        const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
        if (!moves[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
        onMove(...at.map((value, k) => Math.min(canvas.width - 1, Math.max(0, value + moves[event.key][k]))));
        event.preventDefault();
      });
    }
    return {
      element: node,
      label(text) { node.setAttribute("aria-label", text); },
      /** Show side x side pixels of one channel of `values`; `mark` is a frame {i, j, size}, in pixels. */
      show(side, values, channels, channel, limit, colours, mark) {
        if (canvas.width !== side) {
          canvas.width = side;
          canvas.height = side;
        }
        paintMap(canvas, values, channels, channel, limit, colours);
        frame.hidden = !mark;
        if (!mark) return;
        at = [mark.i, mark.j];
        const part = (value) => `${(100 * value) / side}%`;
        // A frame that sticks out shows the padding: there is room for it around the map.
        Object.assign(frame.style, {
          left: part(mark.j), top: part(mark.i), width: part(mark.size), height: part(mark.size),
        });
      },
    };
  }

  // --- the explorer ------------------------------------------------------------------------

  core.register("lenet", (root, stage) => {
    const said = core.status();
    const trouble = core.message();
    const note = element("p", { className: "x-hint ln-note" });
    const again = core.button({ label: tr("Fetch the weights again"), onClick: () => {
      broken = false;
      trouble.clear();
      again.element.hidden = true;
      load();
    } });
    again.element.hidden = true;
    const outside = element("p", { className: "x-hint ln-said-outside", role: "status" });
    let network = null;
    let run = null;
    let given = null; // an image that did not come from the board
    let pending = 0;
    let loading = false;
    let broken = false;
    const chosen = { layer: 1, kind: "conv", channel: 0, i: 13, j: 13, input: 0, byHand: false };
    const greys = table(core.grey);
    let ramp = null; // colours of maps
    let signed = null; // and of numbers with a sign
    let kernelsShown = null; // what the kernel tiles show at present

    // The board and its controls.
    const pad = board({
      onBegin: () => { outside.textContent = ""; },
      onInk: () => { given = null; later(); },
      onRest: () => announce(),
      onOutside: () => { outside.textContent = tr("The pen left the board: what lies outside is drawn on its edge."); },
      say: (text) => said.say(text),
    });
    const undo = core.button({ label: tr("Take the last stroke back"), text: tr("Undo"), onClick: () => { given = null; pad.undo(); } });
    const clear = core.button({ label: tr("Clear the board"), text: tr("Clear"), onClick: () => { given = null; pad.set([]); } });
    const prepare = core.toggle({ label: tr("Fit and centre it, as MNIST does"), value: true, onInput: () => { later(); announce(); } });
    const samples = element("div", { className: "ln-samples", role: "group", "aria-label": tr("Ten drawings to start from") },
      (course.lenetStrokes || []).map((strokes, digit) => element("button", {
        type: "button", className: "ln-sample", "aria-label": tr("Drawing of a {digit}", { digit }),
        onclick: () => { given = null; pad.set(strokes); },
      }, svg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true", focusable: "false" },
        strokes.map((stroke) => svg("polyline", { points: stroke.map(([x, y]) => `${100 * x},${100 * y}`).join(" ") }))))));

    // The reading.
    const answer = element("p", { className: "ln-answer", text: "?" });
    const certainty = element("p", { className: "ln-certainty" });
    const preview = plate(null);
    const chances = bars();

    const top = element("div", { className: "ln-top" },
      element("section", { className: "x-panel ln-draw" },
        pad, element("div", { className: "x-buttons ln-tools" }, undo, clear)),
      element("section", { className: "x-panel ln-read" },
        element("div", { className: "ln-said" },
          element("figure", { className: "ln-preview" }, preview, element("figcaption", { text: tr("what it gets") })),
          element("div", { className: "ln-verdict" }, element("p", { className: "ln-kicker", text: tr("It reads") }), answer, certainty)),
        chances));

    // The maps.
    const slice = element("span", { className: "ln-slice" });
    const bands = { 1: band(1, pick), 2: band(2, pick) };
    const hidden = element("canvas", { className: "ln-tile ln-hidden", role: "img", "aria-label": tr("The 1,024 numbers of the dense layer, after the ReLU") });
    hidden.width = 128;
    hidden.height = 8;
    const head = (number, title, ...rest) => element("div", { className: "ln-head" },
      element("p", { className: "x-title" }, element("span", { className: "ln-step", "aria-hidden": "true", text: number }), title),
      element("p", { className: "x-size" }, ...rest));
    const maps = element("section", { className: "x-panel ln-maps" },
      element("p", { className: "x-hint", text: tr("Each column is one channel, from top to bottom: its kernel, its feature "
        + "map, its pooled map.") }),
      head("1", tr("Convolution, ReLU, pooling"), tr("32 kernels 4 \u00d7 4 \u2192 32 maps 28 \u00d7 28 \u2192 14 \u00d7 14")), bands[1],
      head("2", tr("Convolution, ReLU, pooling"), tr("64 kernels 4 \u00d7 4 \u00d7 32 "), slice, tr(" \u2192 64 maps 14 \u00d7 14 \u2192 7 \u00d7 7")), bands[2],
      head("3", tr("Dense layer, ReLU"), tr("7 \u00d7 7 \u00d7 64 = 3,136 numbers \u2192 1,024 \u2192 10 probabilities")), hidden,
      element("p", { className: "ln-key", "aria-hidden": "true" },
        element("span", { className: "ln-swatch ln-swatch-map" }), tr("maps: 0 to the largest of the layer"),
        element("span", { className: "ln-swatch ln-swatch-kernel" }), tr("kernels: negative, zero, positive")));

    // One pixel.
    const title = element("p", { className: "x-title", text: tr("One pixel, worked out") });
    const which = core.choice({ label: tr("Where"), options: STAGES, value: "1conv",
      onInput: (value) => pick({ layer: Number(value[0]), kind: value.slice(1), channel: chosen.channel }) });
    const channelAt = core.range({ label: tr("Map"), min: 1, max: 32, value: 1,
      format: (value) => tr("{n} of {all}", { n: value, all: LAYERS[chosen.layer].channels }),
      onInput: (value) => pick({ layer: chosen.layer, kind: chosen.kind, channel: value - 1, i: chosen.i, j: chosen.j }) });
    const inputAt = core.range({ label: tr("Input map"), min: 1, max: 32, value: 1, format: (value) => tr("{n} of {all}", { n: value, all: 32 }),
      onInput: (value) => { chosen.input = value - 1; chosen.inputByHand = true; show(); } });
    const source = plate(null);
    const target = plate((i, j) => {
      pick({ layer: chosen.layer, kind: chosen.kind, channel: chosen.channel, i, j });
    });
    const sourceName = element("figcaption", {});
    const targetName = element("figcaption", {});
    const patch = numbers(tr("patch"), 4);
    const kernel = numbers(tr("kernel"), 4);
    const products = numbers(tr("products"), 4);
    const four = numbers(tr("four neighbours"), 2);
    const sum = element("dl", { className: "ln-sum" });
    const sign = (text) => element("span", { className: "ln-sign", "aria-hidden": "true", text });
    const folded = element("div", { className: "ln-equation" }, patch, sign("\u00d7"), kernel, sign("="), products);
    const pooled = element("div", { className: "ln-equation ln-equation-pool" }, four);
    const one = element("section", { className: "x-panel ln-one" },
      element("div", { className: "x-panel-head" }, title,
        element("p", { className: "x-size", text: tr("click a pixel in any map, or walk with the arrow keys") })),
      element("div", { className: "ln-choose" }, which, channelAt, inputAt),
      element("div", { className: "ln-plates" },
        element("figure", {}, source, sourceName), sign("\u2192"), element("figure", {}, target, targetName)),
      folded, pooled, sum);

    stage.classList.add("ln-stage");
    stage.append(top, samples, element("div", { className: "ln-options" }, prepare, note, outside), trouble.element, again.element,
      maps, one, said.element);

    // --- what happens -----------------------------------------------------------------------

    function say(text) { note.textContent = text; }

    function image() {
      if (given) return given;
      return prepare.value ? math.likeMnist(pad.strokes) : math.asDrawn(pad.strokes);
    }

    function later() {
      if (!pending) pending = requestAnimationFrame(core.guard(root, () => { pending = 0; read(); }));
    }

    function load() {
      if (loading || network) return;
      loading = true;
      root.classList.add("ln-loading");
      say(tr("Fetching the network\u2019s 3,255,914 weights ({size} MB, once) \u2026", { size: MEGABYTES }));
      fetchNetwork().then((found) => {
        network = found;
        say("");
        read();
        announce();
      }, (error) => {
        broken = true; // until the reader asks for another attempt: a pen that moves would ask for many
        again.element.hidden = false;
        trouble.show(tr("The network\u2019s weights cannot be used: {message}. Nothing is read.", { message: error.message }));
        say("");
      }).catch((error) => core.fail(root, error)).finally(() => {
        loading = false;
        root.classList.remove("ln-loading");
      });
    }

    /** Show the network what there is, and the page what it made of it. */
    function read() {
      const pixels = image();
      if (pixels && !network && !broken) load();
      run = pixels && network ? math.forward(network, pixels) : null;
      root.classList.toggle("ln-awake", Boolean(run));
      preview.show(28, pixels, 1, 0, 1, greys);
      chances.show(run && run.probabilities, run && run.reading);
      answer.textContent = run ? String(run.reading) : "?";
      if (run) {
        const p = run.probabilities[run.reading];
        certainty.textContent = tr("{percent} sure", { percent: percent(p) });
        const all = pad.strokes.flat();
        const extent = all.length ? Math.max(...[0, 1].map((k) =>
          Math.max(...all.map((q) => q[k])) - Math.min(...all.map((q) => q[k])))) : 1;
        if (extent < DOT) say(tr("That is hardly more than a dot. The network has to answer with a digit all the same."));
        else if (p < 0.6) say(tr("It is not sure. It has to answer with a digit, whatever it is shown."));
        else if (!prepare.value) say(tr("The drawing goes in as it is. Try a small digit, or one in a corner."));
        else say(tr("Every pixel below was made by this drawing. Choose one to see how."));
      } else {
        certainty.textContent = "";
        if (!pixels) {
          say(network ? tr("The board is empty: draw a digit, or take one of the ten drawings.")
            : tr("Draw, or take one of the ten drawings. The first stroke fetches the network: {size} MB, once.",
              { size: MEGABYTES }));
        }
      }
      if (run && !chosen.byHand) choosePixel();
      show();
    }

    function announce() {
      if (run) said.say(tr("Read as {digit}, {percent} sure", { digit: run.reading, percent: percent(run.probabilities[run.reading]) }));
      else if (!image()) said.say(tr("The board is empty"));
    }

    /** Until the reader chooses, the strongest pixel of the first layer is the example. */
    function choosePixel() {
      const values = run.conv1;
      let best = 0;
      for (let k = 0; k < values.length; k += 1) if (values[k] > values[best]) best = k;
      chosen.channel = best % 32;
      chosen.j = Math.floor(best / 32) % 28;
      chosen.i = Math.floor(best / 32 / 28);
    }

    /** Return the pixel of a map that is largest. */
    function strongest(layer, kind, channel) {
      const { channels, side: full } = LAYERS[layer];
      const side = kind === "pool" ? full / 2 : full;
      const values = run[LAYERS[layer][kind]];
      let best = [Math.floor(side / 2), Math.floor(side / 2)];
      let most = 0;
      for (let k = 0; k < side * side; k += 1) {
        if (values[k * channels + channel] > most) {
          most = values[k * channels + channel];
          best = [Math.floor(k / side), k % side];
        }
      }
      return best;
    }

    /** Choose a pixel, or a map and with it its strongest pixel. */
    function pick({ layer, kind, channel, i, j, keyboard }) {
      chosen.byHand = true;
      if (layer !== chosen.layer || channel !== chosen.channel) chosen.inputByHand = false;
      chosen.layer = layer;
      chosen.kind = kind;
      chosen.channel = Math.min(channel, LAYERS[layer].channels - 1);
      const found = i !== undefined ? [i, j] : run ? strongest(layer, kind, chosen.channel) : [3, 3];
      [chosen.i, chosen.j] = found;
      show();
      if (keyboard) target.element.focus();
      if (run) {
        said.say(tr("Map {n}, row {row}, column {col}: {value}",
          { n: chosen.channel + 1, row: chosen.i + 1, col: chosen.j + 1, value: fixed(valueAt(), 4) }));
      }
    }

    function valueAt() {
      const { channels, side: full } = LAYERS[chosen.layer];
      const side = chosen.kind === "pool" ? full / 2 : full;
      return run[LAYERS[chosen.layer][chosen.kind]][(chosen.i * side + chosen.j) * channels + chosen.channel];
    }

    // --- what is shown ----------------------------------------------------------------------

    function show() {
      if (!ramp) return;
      showOne();
      showMaps();
    }

    function showMaps() {
      const limits = {};
      for (const layer of [1, 2]) {
        const { channels, conv, pool } = LAYERS[layer];
        limits[layer] = run ? largest(run[conv]) : 0;
        bands[layer].columns.forEach((column, c) => {
          paintMap(column.conv, run && run[conv], channels, c, limits[layer], ramp);
          paintMap(column.pool, run && run[pool], channels, c, limits[layer], ramp);
          const on = Boolean(run) && chosen.layer === layer && chosen.channel === c;
          if ((column.node.getAttribute("aria-pressed") === "true") !== on) column.node.setAttribute("aria-pressed", String(on));
        });
      }
      paintMap(hidden, run && run.hidden, 1, 0, run ? largest(run.hidden) : 0, ramp);
      // Kernels change only with the theme and with the slice that is looked at.
      const state = `${network ? chosen.input : "none"} ${ramp.id}`;
      if (state !== kernelsShown) {
        kernelsShown = state;
        slice.textContent = tr("(shown: the slice for pooled map {n})", { n: chosen.input + 1 });
        const most = network ? [largestSize(network.conv1Kernel), largestSize(network.conv2Kernel)] : [0, 0];
        bands[1].columns.forEach((column, c) =>
          paintMap(column.kernel, network && network.conv1Kernel, 32, c, most[0], signed, true));
        bands[2].columns.forEach((column, c) =>
          paintMap(column.kernel, network && network.conv2Kernel, 32 * 64, chosen.input * 64 + c, 0.7 * most[1], signed, true));
      }
    }

    function showOne() {
      const { layer, kind, channel, i, j } = chosen;
      const { side: full, channels, conv, pool } = LAYERS[layer];
      const pooling = kind === "pool";
      const side = pooling ? full / 2 : full;
      const c = core.theme();
      const part = (value, limit) => core.mix(c.zero, c.orange, limit > 0 ? lift(value / limit) : 0);
      which.set(`${layer}${kind}`);
      channelAt.limits(1, channels);
      channelAt.set(channel + 1);
      folded.hidden = pooling;
      pooled.hidden = !pooling;
      inputAt.element.classList.toggle("ln-away", pooling || layer === 1);
      inputAt.input.disabled = pooling || layer === 1;
      const limit = run ? largest(run[conv]) : 0;

      const where = { n: channel + 1, row: i + 1, col: j + 1 };
      const arrows = tr("Arrow keys choose another pixel.");
      target.label(pooling
        ? (layer === 1 ? tr("Pooled map {n} of the first convolution, pixel in row {row}, column {col}. {arrows}", { ...where, arrows })
          : tr("Pooled map {n} of the second convolution, pixel in row {row}, column {col}. {arrows}", { ...where, arrows }))
        : (layer === 1 ? tr("Feature map {n} of the first convolution, pixel in row {row}, column {col}. {arrows}", { ...where, arrows })
          : tr("Feature map {n} of the second convolution, pixel in row {row}, column {col}. {arrows}", { ...where, arrows })));
      target.show(side, run && run[pooling ? pool : conv], channels, channel, limit, ramp, run && { i, j, size: 1 });
      targetName.textContent = pooling ? tr("pooled map {n}, row {row}, column {col}", where)
        : tr("feature map {n}, row {row}, column {col}", where);

      if (pooling) {
        const at = [0, 1, 2, 3].map((k) => [2 * i + (k >> 1), 2 * j + (k & 1)]);
        const values = run ? at.map(([a, b]) => run[conv][(a * full + b) * channels + channel]) : null;
        source.show(full, run && run[conv], channels, channel, limit, ramp, run && { i: 2 * i, j: 2 * j, size: 2 });
        sourceName.textContent = tr("feature map {n}, {sides}", { n: channel + 1, sides: `${full} \u00d7 ${full}` });
        const winner = values ? values.indexOf(Math.max(...values)) : -1;
        four.show(values && ((k) => ({
          text: fixed(values[k], 4), background: part(values[k], limit), className: k === winner ? "ln-winner" : "",
        })));
        terms(values ? [[tr("The largest of the four"), Math.max(...values), "ln-total"]] : []);
        return;
      }

      const found = run && math.explain(network, run, layer, channel, i, j);
      if (found && layer === 2 && !chosen.inputByHand) {
        // The input map that says most about this pixel is the most telling example.
        const sums = found.channels.map((ch) => Math.abs(ch.sum));
        chosen.input = sums.indexOf(Math.max(...sums));
      }
      const input = layer === 1 ? 0 : chosen.input;
      inputAt.set(chosen.input + 1);
      const inputLimit = run && layer === 2 ? largest(run.pool1) : 1;
      const frame = run && { i: i - math.BEFORE, j: j - math.BEFORE, size: math.KERNEL };
      if (layer === 1) source.show(28, run && run.image, 1, 0, 1, greys, frame);
      else source.show(14, run && run.pool1, 32, input, inputLimit, ramp, frame);
      sourceName.textContent = layer === 1 ? tr("the image, 28 \u00d7 28")
        : tr("pooled map {n} of 32, 14 \u00d7 14", { n: input + 1 });

      const shown = found && found.channels[input];
      const most = shown ? largestSize(shown.kernel) : 0;
      const mostProduct = shown ? Math.max(largestSize(shown.products), 1e-9) : 0;
      patch.show(shown && ((k) => (shown.patch[k] === null
        ? { text: "0", className: "ln-padding" }
        : { text: fixed(shown.patch[k], 2), background: layer === 1 ? core.grey(shown.patch[k]) : part(shown.patch[k], inputLimit) })));
      kernel.show(shown && ((k) => ({ text: fixed(shown.kernel[k], 2), background: core.diverging(shown.kernel[k], most, c) })));
      products.show(shown && ((k) => ({
        text: fixed(shown.products[k], 3), background: core.diverging(shown.products[k], mostProduct, c) })));
      terms(found ? [
        [tr("Sum of the 16 products"), shown.sum],
        layer === 2 && [tr("The 31 other input maps"), found.total - shown.sum],
        [tr("Bias of this kernel"), found.bias],
        [tr("Together"), found.before],
        [found.before > 0 ? tr("The ReLU lets it pass") : tr("The ReLU makes it zero"), found.value, "ln-total"],
      ].filter(Boolean) : []);
    }

    /** Write the sum, term by term; before there is anything to add, the lines are there and empty. */
    function terms(rows) {
      const lines = rows.length ? rows : [[tr("Sum of the 16 products"), null], [tr("Bias of this kernel"), null],
        [tr("Together"), null], [tr("After the ReLU"), null, "ln-total"]];
      sum.replaceChildren(...lines.map(([what, value, className]) => element("div", { className: className || null },
        element("dt", { text: what }), element("dd", { text: value === null ? "\u2013" : fixed(value, 4) }))));
    }

    let themes = 0;
    core.onTheme(core.guard(root, (colours) => {
      ramp = table((t) => core.mix(colours.zero, colours.orange, lift(t)));
      ramp.id = themes += 1;
      signed = table((t) => core.diverging(Math.sign(2 * t - 1) * lift(Math.abs(2 * t - 1)), 1, colours));
      show();
    }));
    read();

    // For scripts and tests.
    root.lenet = {
      /** What `lenetMath.forward` returned last, or null. */
      run: () => run,
      /** Show an image of 784 numbers that did not come from the board; resolves to the digit read. */
      show(pixels) {
        return fetchNetwork().then((found) => {
          network = found;
          pad.set([]);
          given = Float32Array.from(pixels);
          read();
          return run.reading;
        });
      },
    };
  });
})();
