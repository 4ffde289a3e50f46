/* The shape calculator: a stack of layers that can be added to, taken from, moved about and edited, with what
   each layer gives, holds, costs and sees. The arithmetic is in shapes_math.js. */
(function () {
  "use strict";

  const { core, shapesMath: maths } = window.course;
  const { element, tr } = core;
  const { KINDS, PRESETS } = maths;

  const FIRST = "lenet";
  const UNDO_STEPS = 100;
  const MOST_LAYERS = 80;

  /** A share as the eye takes it: 98.7 %, 0.02 %. */
  function percent(part) {
    if (part === 0) return "0 %";
    if (part < 0.0001) return tr("under 0.01 %");
    return `${core.format(100 * part, part < 0.01 ? 2 : 1)} %`;
  }

  /** Bytes as `model.summary()` states them. */
  function megabytes(parameters) {
    const bytes = 4 * parameters;
    for (const [unit, size] of [["GB", 2 ** 30], ["MB", 2 ** 20], ["KB", 2 ** 10]]) {
      if (bytes >= size) return `${(bytes / size).toFixed(2)} ${unit}`;
    }
    return `${bytes} B`;
  }

  /**
   * A field for a number, which may be left empty where that means something.
   * @param {Object} field one of the fields in KINDS
   * @param {number|null} value
   * @param {function(number|null)} onInput hears good values alone
   */
  function numberField(field, value, onInput) {
    const id = core.uniqueId("field");
    const note = element("p", { id: `${id}-note`, className: "x-note", "aria-live": "polite" });
    const input = element("input", {
      id, type: "text", inputmode: field.type === "whole" ? "numeric" : "decimal", autocomplete: "off",
      spellcheck: "false", className: "x-number", "aria-describedby": note.id, placeholder: field.blank,
      oninput: read,
    });
    input.value = value === null || value === undefined ? "" : core.format(value, 6);
    function read() {
      // "1,024" is how the table writes a thousand and twenty-four.
      const text = /^\s*\d{1,3}(,\d{3})+\s*$/.test(input.value) ? input.value.replace(/,/g, "") : input.value;
      const empty = text.trim() === "" && field.blank;
      const found = empty ? { value: null }
        : core.readNumber(text, { what: field.label, min: field.min, max: field.max, whole: field.type === "whole" });
      note.textContent = found.problem ? tr("{problem} The last good value stays.", found) : "";
      if (found.problem) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
      if (!found.problem) onInput(found.value);
    }
    return element("div", { className: "x-control" },
      element("label", { for: id, className: "x-label", text: field.label }), input, note);
  }

  function control(field, value, onInput) {
    if (field.type === "choice") {
      return core.select({
        label: field.label, value, onInput, options: field.options.map(([name, label]) => ({ value: name, label })),
      });
    }
    if (field.type === "switch") {
      return element("div", { className: "x-control x-switch" }, core.toggle({ label: field.label, value, onInput }));
    }
    return numberField(field, value, onInput);
  }

  /** Copy text. Pages opened as files have no clipboard of the newer kind, so the older way is the way back. */
  async function copy(text, shown) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (_) {
      const range = document.createRange();
      range.selectNodeContents(shown);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      const done = document.execCommand("copy");
      if (done) selection.removeAllRanges();
      return done;
    }
  }

  function view(root, stage) {
    let items = []; // {id, layer}
    let open = null; // id of the layer whose fields are shown
    let lastEdit = ""; // what was edited last: typing "128" is one step to undo, not three
    let nextId = 1;
    const history = [];
    const rows = new Map(); // by id

    const status = core.status();
    const body = element("div", { role: "rowgroup", className: "x-s-body" });
    const foot = element("div", { role: "rowgroup", className: "x-s-foot" });
    const heads = ["#", tr("Layer"), tr("Output shape"), tr("Parameters"), tr("Multiply-adds"), tr("One value sees")];
    const table = element("div", { role: "table", className: "x-s-table", "aria-label": tr("The stack, layer by layer") },
      element("div", { role: "rowgroup", className: "x-s-head" },
        element("div", { role: "row", className: "x-s-row" }, heads.map((text, k) =>
          element("div", { role: "columnheader", className: `x-s-c${k}`, text })))),
      body, foot);

    const presets = core.choice({
      label: tr("Start from"), value: FIRST,
      options: Object.entries(PRESETS).map(([value, { label }]) => ({ value, label })),
      onInput: core.guard(root, (name) => {
        remember();
        load(PRESETS[name].make());
        say(tr("{label}. ", PRESETS[name]));
      }),
    });

    const kind = core.select({
      label: tr("Add at the end"), value: "conv",
      options: Object.entries(KINDS).slice(1).map(([value, { label }]) => ({ value, label })),
    });
    const kindLabel = kind.element.querySelector("label");
    const add = core.button({ label: tr("Add layer"), icon: "+", primary: true, onClick: core.guard(root, addLayer) });
    const empty = core.button({ label: tr("Clear"), icon: "\u2715", onClick: core.guard(root, clear) });
    const undo = core.button({ label: tr("Undo"), icon: "\u21b6", onClick: core.guard(root, goBack) });

    const bars = [["parameters", tr("Parameters")], ["multiplyAdds", tr("Multiply-adds")]].map(([key, label]) => {
      const bar = element("div", { className: "x-s-bar", role: "img" });
      const total = element("span", { className: "x-s-total" });
      return {
        key, label, bar, total,
        element: element("div", { className: "x-s-share" },
          element("div", { className: "x-s-caption" }, element("span", { text: label }), total), bar),
      };
    });

    const code = element("pre", { className: "x-s-code", tabindex: "0", "aria-label": tr("The stack as Keras code") });
    const copied = element("span", { className: "x-hint", role: "status" });
    const copyButton = core.button({
      label: tr("Copy"), onClick: core.guard(root, async () => {
        const done = await copy(code.textContent, code);
        copied.textContent = done ? tr("Copied.")
          : tr("This browser does not let the page copy. The code is selected: press Ctrl+C.");
      }),
    });
    const details = element("details", { className: "x-s-details" },
      element("summary", { text: tr("Copy as Keras") }), code,
      element("div", { className: "x-buttons" }, copyButton, copied));

    const convention = element("p", {
      className: "x-hint",
      text: tr("Parameters are counted as Keras counts them, biases included. Multiply-adds are those of convolutions and dense "
        + "layers for one image; adding a bias, comparing, averaging and scaling are not counted. What one value "
        + "sees is its receptive field in pixels of the input, from the first to the last; jump is the distance in pixels "
        + "between the fields of two neighbours. Near the edges, and where a field is larger than the image, a "
        + "part of it lies in the padding."),
    });

    // --- the stack -------------------------------------------------------------------------

    const layers = () => items.map((item) => item.layer);
    const item = (layer) => ({ id: nextId++, layer });
    const indexOf = (id) => items.findIndex((one) => one.id === id);

    function remember(edit) {
      if (edit && edit === lastEdit) return;
      lastEdit = edit || "";
      history.push({ items: items.map((one) => ({ id: one.id, layer: { ...one.layer } })), open, preset: presets.value });
      if (history.length > UNDO_STEPS) history.shift();
    }
    function goBack() {
      const before = history.pop();
      if (!before) return;
      lastEdit = "";
      for (const id of rows.keys()) rows.get(id).stale = true;
      ({ items, open } = before);
      presets.set(before.preset);
      render();
      say(tr("Undone. "));
      // The last step back disables the button, and a disabled button loses the focus.
      if (!history.length) add.element.focus();
    }
    function load(stack) {
      items = stack.map(item);
      open = null;
      render();
    }
    function clear() {
      remember();
      presets.set(null);
      load([items[0].layer]);
      // What cannot be pressed any more would keep the focus from the reader.
      add.element.focus();
      say(tr("All layers taken out; Undo brings them back. "));
    }
    function changed() {
      presets.set(null);
      render();
    }
    function addLayer() {
      if (items.length >= MOST_LAYERS) {
        status.say(tr("There are {n} layers: that is as many as fit here.", { n: items.length }));
        return;
      }
      remember();
      const at = open === null ? items.length : indexOf(open) + 1;
      const fresh = item(maths.layer(kind.value));
      items.splice(at, 0, fresh);
      open = fresh.id;
      changed();
      rows.get(fresh.id).button.focus();
      say(tr("{label} added as layer {at}. ", { label: KINDS[kind.value].label, at }));
    }
    function edit(id, key, value) {
      remember(`${id} ${key}`);
      items[indexOf(id)].layer[key] = value;
      changed();
      say("");
    }
    function move(id, by, button) {
      const from = indexOf(id);
      const to = from + by;
      if (to < 1 || to >= items.length) return;
      remember();
      items.splice(to, 0, ...items.splice(from, 1));
      changed();
      const ends = to === 1 || to === items.length - 1;
      (ends ? rows.get(id).button : button.element).focus();
      say(tr("{label} is now layer {to}. ", { label: KINDS[items[to].layer.kind].label, to }));
    }
    function remove(id) {
      remember();
      const at = indexOf(id);
      const [gone] = items.splice(at, 1);
      open = null;
      changed();
      rows.get(items[Math.min(at, items.length - 1)].id).button.focus();
      say(tr("{label} removed; Undo brings it back. ", KINDS[gone.layer.kind]));
    }
    function repeat(id) {
      if (items.length >= MOST_LAYERS) return;
      remember();
      const at = indexOf(id) + 1;
      const twin = item({ ...items[at - 1].layer });
      items.splice(at, 0, twin);
      open = twin.id;
      changed();
      rows.get(twin.id).button.focus();
      say(tr("Copied as layer {at}. ", { at }));
    }
    function unfold(id) {
      open = open === id ? null : id;
      lastEdit = "";
      render();
    }

    // --- drawing ---------------------------------------------------------------------------

    function cell(k, label) {
      const value = element("span", { className: "x-s-value" });
      const more = element("span", { className: "x-s-more" });
      const bar = label && k !== 2 && k !== 5 ? element("span", { className: "x-s-mini", "aria-hidden": "true" }) : null;
      const caption = label ? element("span", { className: "x-s-label", "aria-hidden": "true", text: label }) : null;
      return {
        value, more, bar,
        element: element("div", { role: "cell", className: `x-s-c${k}` }, caption, value, more, bar),
        set(text, extra, share) {
          if (value.textContent !== text) value.textContent = text;
          more.textContent = extra || "";
          value.classList.toggle("x-s-quiet", text === "0" || text === "\u2013");
          if (bar) bar.style.setProperty("--share", String(share || 0));
        },
      };
    }

    function makeRow(one) {
      const { id } = one;
      const fieldsId = core.uniqueId("layer");
      const chip = element("span", { className: "x-s-chip" });
      const name = element("span", { className: "x-s-name" });
      const what = element("span", { className: "x-s-what" });
      const button = element("button", {
        type: "button", className: "x-s-open", "aria-expanded": "false", "aria-controls": fieldsId,
        onclick: core.guard(root, () => unfold(id)),
      }, name, what);
      const cells = {
        shape: cell(2, tr("output")), parameters: cell(3, tr("parameters")), work: cell(4, tr("multiply-adds")), field: cell(5, tr("sees")),
      };
      const problem = element("p", { className: "x-message" });
      const note = element("p", { className: "x-s-remark" });
      const line = element("div", { role: "row", className: "x-s-row" },
        element("div", { role: "cell", className: "x-s-c0" }, chip),
        element("div", { role: "rowheader", className: "x-s-c1" }, button),
        cells.shape, cells.parameters, cells.work, cells.field);
      const words = element("div", { role: "cell", "aria-colspan": "6", className: "x-s-words" }, problem, note);
      const wordsRow = element("div", { role: "row", className: "x-s-extra" }, words);
      const editor = element("div", { role: "cell", "aria-colspan": "6", className: "x-s-editor" });
      const editorRow = element("div", { role: "row", className: "x-s-extra", id: fieldsId, hidden: true }, editor);
      const row = { button, line, wordsRow, editorRow, parts: [line, wordsRow, editorRow], stale: false };
      let buttons = null;

      function fill() {
        const settings = items[indexOf(id)].layer;
        const kindOf = KINDS[settings.kind];
        const fields = Object.entries(kindOf.fields).map(([key, field]) =>
          control(field, settings[key], core.guard(root, (value) => edit(id, key, value))));
        const up = core.button({ label: tr("Move up"), icon: "\u2191", onClick: core.guard(root, () => move(id, -1, up)) });
        const down = core.button({ label: tr("Move down"), icon: "\u2193", onClick: core.guard(root, () => move(id, 1, down)) });
        const twin = core.button({ label: tr("Repeat"), icon: "+", onClick: core.guard(root, () => repeat(id)) });
        const out = core.button({ label: tr("Remove"), icon: "\u2715", onClick: core.guard(root, () => remove(id)) });
        buttons = { up, down };
        editor.replaceChildren(
          ...(fields.length ? [element("div", { className: "x-controls" }, fields.map((field) => field.element || field))] : []),
          ...(settings.kind === "input" ? [] : [element("div", { className: "x-buttons" }, up.element, down.element, twin.element, out.element)]),
        );
      }

      row.update = (index, layer, found, totals) => {
        const family = KINDS[layer.kind].family;
        const spoken = maths.describe(layer);
        chip.textContent = String(index);
        // Layers that hold something wear the colour that their part of the bars has.
        chip.dataset.family = found.parameters || found.multiplyAdds ? family : "plain";
        name.textContent = spoken.name;
        what.textContent = spoken.details;
        const isOpen = open === id;
        if (isOpen && (editorRow.hidden || row.stale)) fill();
        if (!isOpen && !editorRow.hidden) editor.replaceChildren();
        row.stale = false;
        editorRow.hidden = !isOpen;
        button.setAttribute("aria-expanded", String(isOpen));
        line.classList.toggle("x-s-opened", isOpen);
        if (isOpen && buttons) {
          buttons.up.set({ disabled: index <= 1 });
          buttons.down.set({ disabled: index === items.length - 1 });
        }
        line.dataset.family = chip.dataset.family;
        const dash = "\u2013";
        if (found.shape) {
          const [h, w] = found.field;
          const image = layers()[0];
          const whole = found.jump === null && h === image.height && w === image.width;
          cells.shape.set(maths.shapeText(found.shape));
          cells.parameters.set(maths.thousands(found.parameters),
            found.fixed ? tr("{n} of them not trained", { n: maths.thousands(found.fixed) }) : "", found.parameters / (totals.parameters || 1));
          cells.work.set(maths.thousands(found.multiplyAdds), "", found.multiplyAdds / (totals.multiplyAdds || 1));
          cells.field.set(`${h} \u00d7 ${w}`,
            whole ? tr("whole image") : found.jump === null ? "" : tr("jump {jump}", found));
        } else {
          for (const one of Object.values(cells)) one.set(dash, "", 0);
          if (found.waits !== undefined) cells.shape.set(dash, tr("waits for layer {waits}", found));
        }
        problem.textContent = found.problem || "";
        problem.hidden = !found.problem;
        note.textContent = found.note || "";
        note.hidden = !found.note;
        wordsRow.hidden = problem.hidden && note.hidden;
        line.classList.toggle("x-s-broken", Boolean(found.problem));
      };
      return row;
    }

    const sums = { shape: cell(2, ""), parameters: cell(3, tr("parameters")), work: cell(4, tr("multiply-adds")), field: cell(5, "") };
    const sumName = element("div", { role: "rowheader", className: "x-s-c1" });
    foot.append(element("div", { role: "row", className: "x-s-row" },
      element("div", { role: "cell", className: "x-s-c0" }), sumName,
      sums.shape.element, sums.parameters.element, sums.work.element, sums.field.element));
    for (const one of Object.values(sums)) if (one.bar) one.bar.remove();

    let latest = null;
    function render() {
      const found = maths.analyse(layers());
      latest = found;
      const { totals } = found;
      const kept = new Set(items.map((one) => one.id));
      for (const [id, row] of rows) {
        if (kept.has(id)) continue;
        row.parts.forEach((part) => part.remove());
        rows.delete(id);
      }
      let at = body.firstChild;
      items.forEach((one, index) => {
        if (!rows.has(one.id)) rows.set(one.id, makeRow(one));
        const row = rows.get(one.id);
        row.update(index, one.layer, found.layers[index], totals);
        // Only what is out of place is moved: a node that moves loses the focus.
        for (const part of row.parts) {
          if (part === at) at = at.nextSibling;
          else body.insertBefore(part, at);
        }
      });
      sumName.textContent = totals.broken === null ? tr("Total") : totals.broken === 0 ? tr("Nothing to count yet")
        : tr("Total up to layer {at}", { at: totals.broken - 1 });
      sums.parameters.set(maths.thousands(totals.parameters), [
        totals.fixed ? tr("{trained} trained, {fixed} not",
          { trained: maths.thousands(totals.trainable), fixed: maths.thousands(totals.fixed) }) : "",
        totals.parameters ? tr("{size} in float32", { size: megabytes(totals.parameters) }) : "",
      ].filter(Boolean).join(tr("; ")));
      sums.work.set(maths.thousands(totals.multiplyAdds));
      for (const bar of bars) drawBar(bar, found);
      const text = maths.kerasCode(layers());
      if (code.textContent !== text) { code.textContent = text; copied.textContent = ""; }
      kindLabel.textContent = open === null ? tr("Add at the end") : tr("Add below layer {at}", { at: indexOf(open) });
      empty.set({ disabled: items.length < 2 });
      undo.set({ disabled: history.length === 0 });
    }

    function drawBar(bar, found) {
      const total = found.totals[bar.key];
      bar.total.textContent = maths.thousands(total);
      const parts = found.layers.map((one, index) => ({ index, value: one[bar.key] || 0 })).filter((one) => one.value > 0);
      const spoken = [...parts].sort((a, b) => b.value - a.value).slice(0, 5).map(({ index, value }) =>
        tr("layer {index}, {label}, {share}",
          { index, label: KINDS[items[index].layer.kind].label.toLowerCase(), share: percent(value / total) }));
      bar.bar.setAttribute("aria-label", total ? tr("{label}, largest parts: {parts}", { label: bar.label, parts: spoken.join(tr("; ")) })
        : tr("{label}: none", bar));
      bar.bar.replaceChildren(...parts.map(({ index, value }) => {
        const { label, family } = KINDS[items[index].layer.kind];
        const share = percent(value / total);
        const part = element("span", {
          className: "x-s-part", "data-family": family, title: tr("{index} {label}: {value}, {share}", { index, label, value: maths.thousands(value), share }),
        }, element("span", { className: "x-s-number", text: String(index) }),
        element("span", { className: "x-s-kind", text: label }), element("span", { className: "x-s-percent", text: share }));
        part.style.flexGrow = String(value / total);
        return part;
      }));
    }

    function say(opening) {
      const { totals, layers: found } = latest;
      const broken = totals.broken;
      status.say(opening + (broken !== null ? tr("Layer {broken}: {problem}", { broken, problem: found[broken].problem })
        : tr("{parameters} parameters, {work} multiply-adds.",
          { parameters: maths.thousands(totals.parameters), work: maths.thousands(totals.multiplyAdds) })));
    }

    stage.append(
      presets.element,
      element("div", { className: "x-panel x-s-panel" }, table),
      element("p", { className: "x-hint", text: tr("Choose a layer to change it, move it or take it out.") }),
      element("div", { className: "x-s-tools" }, kind.element, add.element, undo.element, empty.element),
      element("div", { className: "x-panel" },
        element("p", { className: "x-title", text: tr("Where they sit, to scale") }), ...bars.map((bar) => bar.element)),
      details, convention, status.element,
    );
    load(PRESETS[FIRST].make());
  }

  core.register("shapes", view);
})();
