/* What all explorers share: how they start, the colours of the page, labelled controls, a canvas, a grid
   of cells that the arrow keys walk, and what is shown when something breaks.

   A classic script, not a module: it has to work from file://. Everything hangs on `window.course.core`.
   An explorer registers itself: course.core.register("convolution", function (root) { ... }). */
(function () {
  "use strict";

  const course = (window.course = window.course || {});
  const views = new Map();
  const themeListeners = new Set();
  const ids = new Map();
  let ready = false;

  // Where the explorers' files lie: scripts that are loaded on first use are found beside this one.
  const HERE = document.currentScript ? document.currentScript.src.replace(/[^/]*$/, "") : "";

  // --- words -------------------------------------------------------------------------------

  /**
   * Return a text in the language of the page: every text that a reader sees or hears goes through here. The
   * words of another language are a table in a file of its own, `course.words`, with the English as the keys.
   * @param {string} text English; `{name}` stands for a value
   * @param {Object} [values] the values by name
   * @returns {string}
   */
  function tr(text, values) {
    const found = (course.words || {})[text] || text;
    return values ? found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole)) : found;
  }

  // --- small things ------------------------------------------------------------------------

  /**
   * Return an id that nothing else on the page has.
   * @param {string} stem what the id begins with
   * @returns {string}
   */
  function uniqueId(stem) {
    let id;
    do {
      ids.set(stem, (ids.get(stem) || 0) + 1);
      id = `explorer-${stem}-${ids.get(stem)}`;
    } while (document.getElementById(id));
    return id;
  }

  function setAttributes(node, attributes) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2).toLowerCase(), value);
      else if (name === "text") node.textContent = value;
      else if (name === "style") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
      else node.setAttribute(name === "className" ? "class" : name, value === true ? "" : String(value));
    }
  }

  function append(node, children) {
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      node.append(child.element || child);
    }
    return node;
  }

  /**
   * Make an HTML element.
   * @param {string} tag
   * @param {Object} [attributes] attributes by name; `onclick` and the like take functions, `text` the
   *     text, `style` an object of CSS properties; what is null, undefined or false is left out
   * @param {...(Node|string|Object|Array)} children nodes, strings, controls (their `.element`), lists
   * @returns {HTMLElement}
   */
  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    setAttributes(node, attributes);
    return append(node, children);
  }

  /** Make an SVG element; takes what `element` takes. */
  function svg(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    setAttributes(node, attributes);
    return append(node, children);
  }

  /**
   * Write a number as the figures of the book do: short, with a true minus sign.
   * @param {number} value
   * @param {number} [decimals] at most so many (default 2)
   * @returns {string}
   */
  function format(value, decimals) {
    const scale = 10 ** (decimals === undefined ? 2 : decimals);
    // Adding zero turns the -0 that rounding may leave into 0.
    const text = String(Math.round(value * scale) / scale + 0);
    return text.replace("-", "\u2212");
  }

  /**
   * Read what somebody typed as a number.
   * @param {string} text a decimal number, `1e-3` or a fraction such as `1/9`; true minus signs and a
   *     decimal comma are understood
   * @param {{min?: number, max?: number, whole?: boolean, what?: string}} [limits]
   * @returns {{value?: number, problem?: string}} the number, or one plain sentence that says what is wrong
   */
  function readNumber(text, limits) {
    const { min = -Infinity, max = Infinity, whole = false, what = tr("This") } = limits || {};
    const clean = String(text).trim().replace(/[\u2212\u2013]/g, "-").replace(",", ".");
    const decimal = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?";
    const match = new RegExp(`^(${decimal})(?:\\s*/\\s*(${decimal}))?$`, "i").exec(clean);
    const shown = String(text).trim().slice(0, 20);
    if (clean === "") return { problem: tr("{what} is empty: please type a number.", { what }) };
    const value = match ? Number(match[1]) / (match[2] === undefined ? 1 : Number(match[2])) : NaN;
    if (!Number.isFinite(value)) return { problem: tr("{what} must be a number, and \u201c{shown}\u201d is none.", { what, shown }) };
    if (whole && !Number.isInteger(value)) return { problem: tr("{what} must be a whole number, not {shown}.", { what, shown }) };
    if (value < min) return { problem: tr("{what} must be {limit} or more, not {shown}.", { what, shown, limit: format(min) }) };
    if (value > max) return { problem: tr("{what} must be {limit} or less, not {shown}.", { what, shown, limit: format(max) }) };
    return { value };
  }

  // --- theme and motion --------------------------------------------------------------------

  const COLOURS = ["ink", "muted", "face", "card", "line", "blue", "orange", "green", "purple", "pale-blue",
    "pale-orange", "pale-green", "zero", "focus"];

  /**
   * Return the colours of the page as it is now, light or dark.
   *
   * The same colours are CSS custom properties on `.course-explorer`: `--x-ink`, `--x-pale-blue` and so on.
   * Blue, orange and green stay apart for colour-blind readers and can be read on `face` and `card`.
   * @returns {Object} `dark` (a boolean) and a CSS colour for each of ink, muted, face, card, line, blue,
   *     orange, green, purple, paleBlue, paleOrange, paleGreen, zero, focus
   */
  function theme() {
    const sample = document.querySelector(".course-explorer") || document.documentElement;
    const style = getComputedStyle(sample);
    const found = { dark: document.documentElement.dataset.theme === "dark" };
    for (const name of COLOURS) {
      const key = name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
      found[key] = style.getPropertyValue(`--x-${name}`).trim();
    }
    return found;
  }

  /**
   * Call a function now and whenever the page changes between light and dark.
   * @param {function(Object)} listener gets what `theme` returns
   */
  function onTheme(listener) {
    themeListeners.add(listener);
    listener(theme());
  }

  new MutationObserver(() => {
    const now = theme();
    for (const listener of themeListeners) listener(now);
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });

  function rgb(colour) {
    const hex = /^#([0-9a-f]{6})$/i.exec(colour);
    if (hex) return [0, 2, 4].map((at) => parseInt(hex[1].slice(at, at + 2), 16));
    return (colour.match(/[\d.]+/g) || [0, 0, 0]).slice(0, 3).map(Number);
  }

  /**
   * Mix two colours.
   * @param {string} from CSS colour, as #rrggbb or rgb()
   * @param {string} to
   * @param {number} part 0 gives `from`, 1 gives `to`
   * @returns {string}
   */
  function mix(from, to, part) {
    const at = Math.min(1, Math.max(0, part));
    const [a, b] = [rgb(from), rgb(to)];
    return `rgb(${a.map((value, k) => Math.round(value + (b[k] - value) * at)).join(", ")})`;
  }

  /** Return black or white, whichever can be read on a colour. */
  function inkOn(colour) {
    const linear = rgb(colour).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    // At 0.179 black and white are equally far, 4.6 to 1; with any softer black there is a gap between them.
    return luminance > 0.179 ? "#000000" : "#ffffff";
  }

  /**
   * Colour of a signed number: blue below zero, orange above, the colour of the page at zero.
   * @param {number} value
   * @param {number} limit the size that gets the full colour
   * @param {Object} [colours] what `theme` returns, where it is at hand
   * @returns {string}
   */
  function diverging(value, limit, colours) {
    const c = colours || theme();
    if (!(limit > 0) || !Number.isFinite(value)) return mix(c.zero, c.zero, 0);
    return mix(c.zero, value < 0 ? c.blue : c.orange, (0.9 * Math.abs(value)) / limit);
  }

  /** Colour of a pixel from 0 (black) to 1 (white). Pictures look alike on light and dark pages. */
  function grey(part) {
    const level = Math.round(255 * Math.min(1, Math.max(0, part)));
    return `rgb(${level}, ${level}, ${level})`;
  }

  /** Whether the reader asked for little motion: then nothing plays by itself and nothing glides. */
  function reducedMotion() {
    return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  // --- controls ----------------------------------------------------------------------------
  // Each returns an object with `element`, `value` (readable) and `set(value)`, which tells nobody.

  /**
   * A slider with its value beside it.
   * @param {{label: string, min: number, max: number, step?: number, value: number,
   *     format?: function(number): string, onInput?: function(number)}} options
   */
  function range(options) {
    const id = uniqueId("range");
    const show = options.format || ((value) => format(value));
    const output = element("output", { className: "x-output", for: id });
    const input = element("input", {
      id, type: "range", min: options.min, max: options.max, step: options.step || 1, className: "x-range",
      oninput: () => { refresh(); if (options.onInput) options.onInput(Number(input.value)); },
    });
    function refresh() {
      const text = show(Number(input.value));
      output.textContent = text;
      input.setAttribute("aria-valuetext", text);
    }
    const control = {
      input, output,
      element: element("div", { className: "x-control" },
        element("label", { for: id, className: "x-label" }, element("span", { text: options.label }), output), input),
      get value() { return Number(input.value); },
      set(value) { input.value = String(value); refresh(); },
      limits(min, max) { input.min = String(min); input.max = String(max); refresh(); },
    };
    control.set(options.value);
    return control;
  }

  /**
   * A list to choose from.
   * @param {{label: string, options: Array<{value: string, label: string}>, value: string,
   *     onInput?: function(string)}} options
   */
  function select(options) {
    const id = uniqueId("select");
    const input = element("select", {
      id, className: "x-select", onchange: () => options.onInput && options.onInput(input.value),
    }, options.options.map((o) => element("option", { value: o.value, text: o.label })));
    input.value = options.value;
    return {
      input,
      element: element("div", { className: "x-control" },
        element("label", { for: id, className: "x-label", text: options.label }), input),
      get value() { return input.value; },
      set(value) { input.value = value; },
    };
  }

  /**
   * A field for one number. What is no number is named in a sentence under the field, is announced, and
   * changes nothing: the last good value stays.
   * @param {{label: string, value: number, min?: number, max?: number, whole?: boolean,
   *     onInput?: function(number), onProblem?: function(string), steps?: boolean}} options `onProblem`
   *     hears the sentence; with `steps` there are buttons for one less and one more
   */
  function number(options) {
    const id = uniqueId("number");
    const note = element("p", { id: `${id}-note`, className: "x-note", "aria-live": "polite" });
    let good = options.value;
    const input = element("input", {
      id, type: "text", inputmode: options.whole && (options.min || 0) >= 0 ? "numeric" : "text",
      autocomplete: "off", spellcheck: "false",
      className: "x-number", "aria-describedby": note.id, oninput: read,
    });
    function read() {
      const found = readNumber(input.value, { what: options.label, ...options });
      mark(found.problem || "");
      if (found.problem) {
        if (options.onProblem) options.onProblem(found.problem);
      } else {
        good = found.value;
        if (options.onInput) options.onInput(good);
      }
    }
    function mark(problem) {
      note.textContent = problem;
      if (problem) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    function step(by) {
      const value = good + by;
      if (value < (options.min === undefined ? -Infinity : options.min) || value > (options.max || Infinity)) return;
      input.value = format(value, 4);
      read();
    }
    const fewer = options.steps && button({ label: tr("{label}: one less", options), text: "", icon: "\u2212", onClick: () => step(-1) });
    const more = options.steps && button({ label: tr("{label}: one more", options), text: "", icon: "+", onClick: () => step(1) });
    input.value = format(good, 4);
    return {
      input, note,
      element: element("div", { className: "x-control" },
        element("label", { for: id, className: "x-label", text: options.label }),
        element("div", { className: options.steps ? "x-steps" : "" }, fewer, input, more), note),
      get value() { return good; },
      set(value) { good = value; input.value = format(value, 4); mark(""); },
    };
  }

  /**
   * A button.
   * @param {{label: string, text?: string, icon?: string, primary?: boolean, onClick: function()}} options
   *     `label` is read aloud; `text` is shown (default: the label), and an empty one leaves the icon alone
   */
  function button(options) {
    const text = options.text === undefined ? options.label : options.text;
    const caption = element("span", { text });
    const icon = options.icon ? element("span", { className: "x-icon", "aria-hidden": "true", text: options.icon }) : null;
    const node = element("button", {
      type: "button", className: `x-button${options.primary ? " x-primary" : ""}${text ? "" : " x-bare"}`,
      "aria-label": text === options.label ? null : options.label, title: text ? null : options.label,
      onclick: () => options.onClick(),
    }, icon, text || !icon ? caption : null);
    return {
      element: node,
      set(changed) {
        if (changed.icon !== undefined && icon) icon.textContent = changed.icon;
        if (changed.text !== undefined) caption.textContent = changed.text;
        if (changed.label !== undefined) {
          node.setAttribute("aria-label", changed.label);
          if (node.title) node.title = changed.label;
        }
        if (changed.disabled !== undefined) node.disabled = changed.disabled;
      },
    };
  }

  /**
   * A switch that is on or off.
   * @param {{label: string, value?: boolean, onInput?: function(boolean)}} options
   */
  function toggle(options) {
    const node = element("button", {
      type: "button", className: "x-button x-toggle", role: "switch", text: options.label,
      onclick: () => { set(!on); if (options.onInput) options.onInput(on); },
    });
    let on;
    function set(value) { on = Boolean(value); node.setAttribute("aria-checked", String(on)); }
    set(options.value);
    return { element: node, input: node, get value() { return on; }, set };
  }

  /**
   * A row of choices of which one is taken; the arrow keys move between them, as between radio buttons.
   * @param {{label: string, options: Array<{value: string, label: string}>, value: string,
   *     onInput?: function(string)}} options
   */
  function choice(options) {
    const name = uniqueId("choice");
    const inputs = options.options.map((o) => element("input", {
      type: "radio", name, value: o.value, id: `${name}-${o.value}`,
      onchange: () => options.onInput && options.onInput(o.value),
    }));
    const control = {
      inputs,
      element: element("fieldset", { className: "x-choice" },
        element("legend", { className: "x-label", text: options.label }),
        element("div", { className: "x-choices" }, options.options.map((o, k) =>
          [inputs[k], element("label", { for: inputs[k].id, text: o.label })]))),
      get value() { const on = inputs.find((input) => input.checked); return on ? on.value : null; },
      /** Take one; a value that is none of them takes none, as when the reader went their own way. */
      set(value) { for (const input of inputs) input.checked = input.value === value; },
    };
    control.set(options.value);
    return control;
  }

  // --- what is said ------------------------------------------------------------------------

  /**
   * A line for screen readers, invisible. Of what comes quickly after one another, the last is read.
   * @returns {{element: HTMLElement, say: function(string)}}
   */
  function status() {
    const node = element("p", { className: "x-status", role: "status", "aria-live": "polite" });
    let timer = 0;
    return {
      element: node,
      say(text) {
        clearTimeout(timer);
        timer = setTimeout(() => { node.textContent = text; }, 150);
      },
    };
  }

  /**
   * A place for one plain sentence about what does not fit, such as a kernel larger than its image.
   * @returns {{element: HTMLElement, show: function(string), clear: function()}}
   */
  function message() {
    const node = element("p", { className: "x-message", role: "alert" });
    node.hidden = true;
    return {
      element: node,
      show(text) { if (node.textContent !== text) node.textContent = text; node.hidden = false; },
      clear() { node.textContent = ""; node.hidden = true; },
    };
  }

  /** Put a plain sentence in the place of an explorer that cannot go on; its still picture comes back. */
  function fail(root, error) {
    console.error(error);
    root.classList.remove("x-live");
    const stage = root.querySelector(":scope > .x-stage");
    if (stage) stage.remove();
    if (!root.querySelector(":scope > .x-failed")) {
      root.prepend(element("p", { className: "x-failed", role: "alert",
        text: tr("Something in this explorer broke, and it has stopped. Reloading the page starts it again; "
          + "the picture below shows the same example.") }));
    }
  }

  /**
   * Wrap a function so that an error in it stops this one explorer, with a plain message, and not the page.
   * What is called by events, timers or promises is to be wrapped.
   * @param {HTMLElement} root the explorer
   * @param {Function} work
   * @returns {Function}
   */
  function guard(root, work) {
    return function (...given) {
      try {
        const result = work.apply(this, given);
        return result && typeof result.catch === "function" ? result.catch((error) => fail(root, error)) : result;
      } catch (error) {
        fail(root, error);
        return undefined;
      }
    };
  }

  // --- canvas ------------------------------------------------------------------------------

  /**
   * A canvas that is sharp on every screen and is drawn again when its size or the theme changes.
   * @param {{label: string, aspect?: number, draw: function(CanvasRenderingContext2D, number, number, Object)}}
   *     options `label` is read aloud; `aspect` is height over width; `draw` gets the context, the size in
   *     CSS pixels and the theme's colours
   * @returns {{element: HTMLCanvasElement, redraw: function()}}
   */
  function canvas(options) {
    const node = element("canvas", { className: "x-canvas", role: "img", "aria-label": options.label });
    const aspect = options.aspect || 1;
    node.style.aspectRatio = String(1 / aspect);
    let pending = 0;
    function draw() {
      pending = 0;
      const width = node.clientWidth;
      if (!width || !node.isConnected) return;
      const height = Math.round(width * aspect);
      const ratio = window.devicePixelRatio || 1;
      if (node.width !== Math.round(width * ratio) || node.height !== Math.round(height * ratio)) {
        node.width = Math.round(width * ratio);
        node.height = Math.round(height * ratio);
      }
      const context = node.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      options.draw(context, width, height, theme());
    }
    function redraw() { if (!pending) pending = requestAnimationFrame(draw); }
    new ResizeObserver(redraw).observe(node);
    onTheme(redraw);
    return { element: node, redraw };
  }

  // --- a grid of cells ---------------------------------------------------------------------

  /**
   * A grid of cells that can be looked at, walked with the arrow keys, and painted on.
   *
   * One cell at a time is in the tab order. Arrows, Home, End and, with Ctrl, the corners move the focus.
   * @param {{label: string, onFocus?: function(number, number), onActivate?: function(number, number),
   *     onHover?: function(number, number), onLeave?: function(), onKey?: function(string, number, number): boolean,
   *     onPaint?: function(number, number, boolean)}} options
   *     `onFocus` hears the cell that gets the focus; `onActivate` Enter, space and a click; `onHover` the
   *     mouse; `onLeave` that mouse or focus went elsewhere; `onKey` other keys, and returns whether it used one; `onPaint` each cell that a pressed mouse
   *     or pen goes over, and a finger where the grid has the class `x-draw`; its last argument is whether
   *     a stroke begins
   * @returns {Object} `element`, `rows`, `cols`, `size(rows, cols)`, `cell(i, j)`, `select(i, j)`,
   *     `focus(i, j)`, `paint(look)`: `look(i, j)` returns `{text, label, background, ink, className}`
   */
  function grid(options) {
    const node = element("div", { className: "x-grid", role: "grid", "aria-label": options.label });
    let cells = [];
    let rows = 0;
    let cols = 0;
    let current = [0, 0];
    let stroke = null;

    function cell(i, j) { return (cells[i] || [])[j]; }
    function place(target) {
      const found = target && target.closest ? target.closest("[role=gridcell]") : null;
      return found && node.contains(found) ? [Number(found.dataset.i), Number(found.dataset.j)] : null;
    }
    function size(newRows, newCols) {
      if (newRows === rows && newCols === cols) return;
      const held = node.contains(document.activeElement);
      rows = newRows;
      cols = newCols;
      node.style.setProperty("--rows", rows);
      node.style.setProperty("--cols", cols);
      node.setAttribute("aria-rowcount", rows);
      node.setAttribute("aria-colcount", cols);
      cells = Array.from({ length: rows }, (_, i) => Array.from({ length: cols }, (_unused, j) =>
        element("div", { className: "x-cell", role: "gridcell", tabindex: "-1", "data-i": i, "data-j": j })));
      node.replaceChildren(...cells.map((row) => element("div", { role: "row", className: "x-row" }, row)));
      rove(Math.min(current[0], rows - 1), Math.min(current[1], cols - 1));
      if (held) focus(...current);
    }
    function rove(i, j) {
      const old = cell(...current);
      if (old) old.tabIndex = -1;
      current = [Math.max(0, i), Math.max(0, j)];
      const now = cell(...current);
      if (now) now.tabIndex = 0;
    }
    function focus(i, j) {
      rove(i, j);
      const now = cell(i, j);
      if (now) now.focus({ preventScroll: false });
    }
    function mark(i, j) {
      for (const row of cells) for (const one of row) one.removeAttribute("aria-selected");
      const now = cell(i, j);
      if (now) now.setAttribute("aria-selected", "true");
      if (!node.contains(document.activeElement)) rove(i, j);
    }
    function paint(look) {
      for (let i = 0; i < rows; i += 1) {
        for (let j = 0; j < cols; j += 1) {
          const { text = "", label, background = "", ink = "", className = "" } = look(i, j);
          const one = cells[i][j];
          // Writing only what changed keeps a grid of hundreds of cells quick.
          if (one.textContent !== text) one.textContent = text;
          if (label !== undefined && one.getAttribute("aria-label") !== label) one.setAttribute("aria-label", label);
          if (one.dataset.background !== background) {
            one.dataset.background = background;
            one.style.backgroundColor = background;
          }
          if (one.dataset.ink !== ink) { one.dataset.ink = ink; one.style.color = ink; }
          const classes = className ? `x-cell ${className}` : "x-cell";
          if (one.className !== classes) one.className = classes;
        }
      }
    }

    node.addEventListener("focusin", (event) => {
      const at = place(event.target);
      if (!at) return;
      rove(...at);
      if (options.onFocus) options.onFocus(...at);
    });
    node.addEventListener("keydown", (event) => {
      const at = place(event.target);
      if (!at) return;
      const [i, j] = at;
      const far = event.ctrlKey || event.metaKey;
      const moves = {
        ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1],
        Home: [far ? 0 : i, 0], End: [far ? rows - 1 : i, cols - 1],
      };
      if (event.altKey || (far && !["Home", "End"].includes(event.key))) return;
      if (moves[event.key]) {
        const [a, b] = moves[event.key];
        if (cell(a, b)) focus(a, b);
        event.preventDefault();
      } else if ((event.key === "Enter" || event.key === " ") && options.onActivate) {
        options.onActivate(i, j);
        event.preventDefault();
      } else if (options.onKey && options.onKey(event.key, i, j)) {
        event.preventDefault();
      }
    });
    if (options.onHover) {
      node.addEventListener("pointerover", (event) => {
        const at = event.pointerType === "mouse" && !event.buttons ? place(event.target) : null;
        if (at) options.onHover(...at);
      });
    }
    if (options.onLeave) {
      node.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") options.onLeave(); });
      node.addEventListener("focusout", (event) => { if (!node.contains(event.relatedTarget)) options.onLeave(); });
    }
    if (options.onPaint) {
      const over = (event, begins) => {
        const at = place(document.elementFromPoint(event.clientX, event.clientY));
        if (!at || (stroke && stroke[0] === at[0] && stroke[1] === at[1])) return;
        stroke = at;
        options.onPaint(at[0], at[1], begins);
      };
      node.addEventListener("pointerdown", (event) => {
        if (event.button !== 0 || (event.pointerType === "touch" && !node.classList.contains("x-draw"))) return;
        over(event, true);
        // A finger is held by the cell it touched; without this the others would hear nothing of it.
        if (node.setPointerCapture) node.setPointerCapture(event.pointerId);
      });
      node.addEventListener("pointermove", (event) => { if (stroke) over(event, false); });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
        node.addEventListener(end, () => { stroke = null; });
      }
      node.addEventListener("click", (event) => {
        // A tap: fingers scroll the page, so they paint one cell unless the grid is being drawn on.
        const touched = event.pointerType === "touch" && !node.classList.contains("x-draw");
        const at = touched ? place(event.target) : null;
        if (at) options.onPaint(at[0], at[1], true);
      });
    } else if (options.onActivate) {
      node.addEventListener("click", (event) => {
        const at = place(event.target);
        if (!at) return;
        focus(...at);
        options.onActivate(...at);
      });
    }
    return {
      element: node, size, cell, paint, focus, select: mark,
      get rows() { return rows; }, get cols() { return cols; }, get current() { return current; },
    };
  }

  /**
   * Give a grid a frame that glides over it; the grid is then placed as `grid.wrap`.
   * @param {Object} over what `grid` returns
   * @returns {function(number, number, number, number, string=)} moves the frame: row, column, height and
   *     width in cells, and a class; a height of 0 hides it
   */
  function frame(over) {
    const node = element("div", { className: "x-frame", "aria-hidden": "true" });
    // Beside the grid, not in it: a grid holds rows and nothing else.
    over.wrap = element("div", { className: "x-framed" }, over.element, node);
    return (row, col, height, width, className) => {
      const { rows, cols } = over;
      const share = (part, whole) => `${(100 * part) / whole}%`;
      node.className = `x-frame ${className || ""}`;
      node.hidden = height <= 0;
      node.style.left = share(col, cols);
      node.style.top = share(row, rows);
      node.style.width = share(width, cols);
      node.style.height = share(height, rows);
      over.wrap.style.setProperty("--cols", cols);
    };
  }

  // --- steps -------------------------------------------------------------------------------

  /**
   * The buttons of a film: first, back, play, forward, and a slider over all positions.
   *
   * Playing stops at the end, when the page is hidden, and when the reader takes over. With reduced motion
   * asked for, playing goes in slow single steps, and only after the reader pressed the button.
   * @param {{label: string, interval?: number, format: function(number, number): string,
   *     onStep: function(number)}} options `format` gets the position and the count
   */
  function player(options) {
    let count = 1;
    let at = 0;
    let timer = 0;
    const back = button({ label: tr("One step back"), text: "", icon: "\u25c2", onClick: () => go(at - 1, true) });
    const next = button({ label: tr("One step forward"), text: "", icon: "\u25b8", onClick: () => go(at + 1, true) });
    const play = button({ label: tr("Play"), icon: "\u25b6", primary: true, onClick: () => (timer ? stop() : start()) });
    const slider = range({
      label: options.label, min: 0, max: 0, value: 0,
      format: (value) => options.format(value, count), onInput: (value) => go(value, true),
    });
    const node = element("div", { className: "x-player" },
      element("div", { className: "x-buttons" }, back, play, next), slider);
    node.addEventListener("keydown", (event) => {
      if (event.key === "Escape") stop();
    });
    document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); });

    function refresh() {
      slider.limits(0, Math.max(0, count - 1));
      slider.set(at);
      back.set({ disabled: at <= 0 });
      next.set({ disabled: at >= count - 1 });
      play.set({ disabled: count < 2 });
    }
    function go(position, byHand) {
      if (byHand) stop();
      at = Math.min(Math.max(0, position), Math.max(0, count - 1));
      refresh();
      options.onStep(at);
    }
    function start() {
      if (at >= count - 1) go(0, false);
      play.set({ icon: "\u275a\u275a", text: tr("Pause") });
      // Long films get shorter steps, so that none lasts much over ten seconds.
      const pace = Math.max(90, Math.min(options.interval || 900, 12000 / count));
      timer = setInterval(() => {
        if (!node.isConnected || at >= count - 1) stop();
        else go(at + 1, false);
      }, reducedMotion() ? Math.max(1000, pace) : pace);
    }
    function stop() {
      if (timer) clearInterval(timer);
      timer = 0;
      play.set({ icon: "\u25b6", text: tr("Play") });
    }
    return {
      element: node, stop,
      get at() { return at; },
      get playing() { return timer !== 0; },
      /** Move to a position from elsewhere, such as a click on a cell; `onStep` is not called. */
      set(position) { at = Math.min(Math.max(0, position), Math.max(0, count - 1)); refresh(); },
      /** Say how many positions there are now; the position stays if there is such a one. */
      count(steps) { count = steps; at = Math.min(at, Math.max(0, count - 1)); refresh(); },
    };
  }

  // --- start -------------------------------------------------------------------------------

  /**
   * Register an explorer. It is started for each place on the page that asks for it, when that comes near
   * the window (see near.js).
   * @param {string} name as in the directive: `:::{explorer} name`
   * @param {function(HTMLElement, HTMLElement)} view gets the explorer's element and the empty stage in it,
   *     to fill
   */
  function register(name, view) {
    views.set(name, view);
    if (ready) boot();
  }

  function boot() {
    ready = true;
    for (const root of document.querySelectorAll(".course-explorer[data-explorer]")) {
      const view = views.get(root.dataset.explorer);
      if (!view || root.dataset.started) continue;
      root.dataset.started = "yes";
      // Far from the window its place is kept; building it would only hold up the page.
      root.classList.add("x-waiting");
      if (course.near) course.near([root], () => course.later(() => begin(root, view)));
      else begin(root, view);
    }
  }

  function begin(root, view) {
    const words = root.querySelector(":scope > .x-description");
    if (words && !words.id) words.id = uniqueId("description");
    const stage = element("div", {
      className: "x-stage", role: "group", "aria-label": root.dataset.label || root.dataset.explorer,
      "aria-describedby": words ? words.id : null,
    });
    root.prepend(stage);
    root.classList.replace("x-waiting", "x-live");
    guard(root, view)(root, stage);
  }

  // Reached through events, an error has no caller that could catch it: find the explorer it came from.
  window.addEventListener("error", (event) => {
    const from = /\/explorers\/([a-z]+)(?:_\w+)?\.js/.exec(event.filename || "");
    if (!from || !event.error) return;
    for (const root of document.querySelectorAll(`.course-explorer.x-live[data-explorer="${from[1]}"]`)) {
      fail(root, event.error);
    }
  });

  course.core = {
    asset: (name) => HERE + name,
    boot, button, canvas, choice, diverging, element, fail, format, frame, grey, grid, guard, inkOn, message, mix,
    number, onTheme, player, range, readNumber, reducedMotion, register, select, status, svg, theme, toggle,
    tr, uniqueId,
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", boot);
  else ready = true; // a deferred script: the explorers' own scripts follow and register themselves
})();
