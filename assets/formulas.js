/* How MathJax sets the formulas of a page: after the text has appeared, those near the window first,
   a few at a time, so that the page answers its reader all the while. Formulas far away wait for the
   first sign of a reader: a page that nobody scrolls does not set what nobody sees. MathJax itself is
   in mathjax.js beside this file, and what waits and takes turns is in near.js; see _ext/light.py. */
(function () {
  "use strict";

  const { course } = window;

  /** Milliseconds of work after which the browser gets its turn. */
  const TURN = 8;

  /** The state of a formula that has been measured, in MathJax's own numbers. */
  const MEASURED = 110;

  /** What shows that somebody reads. */
  const SIGNS = ["scroll", "wheel", "pointermove", "pointerdown", "touchstart", "keydown"];

  const address = document.currentScript.src.replace("formulas.js", "mathjax.js");
  const folder = address.slice(0, address.lastIndexOf("/"));
  const formulas = Array.from(document.querySelectorAll(".math"));
  /** Formulas that are still TeX: those near the window, and all. */
  const near = new Set();
  const left = new Set(formulas);

  let engine = null;
  let setting = null;
  let begun = false;
  let all = false;

  /**
   * Measure the text once. MathJax would measure it around each formula, and make the browser lay
   * out the whole page each time; but the sizes that it asks for are relative to the font, which
   * is one and the same.
   */
  function measureOnce() {
    const output = window.MathJax.startup.output;
    output.setDocument(window.MathJax.startup.document);
    const found = output.getMetricsFor(document.querySelector("article p") || document.body, false);
    output.getMetrics = function (mathDocument) {
      output.setDocument(mathDocument);
      for (const formula of mathDocument.math) {
        if (formula.state() < MEASURED) {
          formula.setMetrics(found.em, found.ex, found.containerWidth, found.lineWidth, found.scale);
          formula.state(MEASURED);
        }
      }
    };
  }

  /** Fetch MathJax and start it; the promise is kept when it can set formulas. */
  function start() {
    engine = engine || new Promise(function (resolve, reject) {
      window.MathJax = Object.assign({}, window.MathJax, {
        // Its parts are in one file, which calls `course.mathjaxReady` after the last of them:
        // nothing else is fetched but fonts. It cannot tell where it came from, since its parts
        // run in turns.
        loader: { load: [], paths: { mathjax: folder } },
        chtml: { fontURL: folder + "/output/chtml/fonts/woff-v2" },
        startup: {
          ready: function () {},
          pageReady: function () {
            measureOnce();
            resolve();
            return Promise.resolve();
          },
        },
      });
      course.mathjaxReady = function () { window.MathJax.startup.defaultReady(); };
      const script = document.createElement("script");
      script.src = address;
      script.onerror = reject;
      document.head.append(script);
    });
    return engine;
  }

  /** Set some formulas. */
  function set(nodes) {
    for (const node of nodes) {
      near.delete(node);
      left.delete(node);
    }
    window.MathJax.typeset(nodes);
    course.reachable(nodes.map(function (node) { return node.querySelector("mjx-container"); }).filter(Boolean));
  }

  /** Set what is to be set, the near first; the promise is kept when nothing is left of that. */
  function work() {
    setting = setting || start().then(function () {
      return new Promise(function (resolve) {
        function turn() {
          const since = performance.now();
          let some;
          do {
            some = Array.from(near.size || !all ? near : left).slice(0, 2);
            if (some.length) set(some);
          } while (some.length && performance.now() - since < TURN);
          if (some.length) {
            course.later(turn);
          } else {
            setting = null;
            resolve();
          }
        }
        course.later(turn);
      });
    });
    return setting;
  }

  function rest() {
    for (const sign of SIGNS) window.removeEventListener(sign, rest);
    all = true;
    return begun && left.size ? work() : Promise.resolve();
  }

  function begin() {
    begun = true;
    course.near(formulas, function (node) {
      if (left.has(node)) {
        near.add(node);
        work();
      }
    });
    // Its reader may have moved before.
    if (all) rest();
  }

  // On paper everything must be there at once.
  window.addEventListener("beforeprint", function () {
    if (left.size && window.MathJax && window.MathJax.typeset) set(Array.from(left));
  });
  course.whole.also(function () {
    begun = true;
    return rest();
  });

  for (const sign of SIGNS) window.addEventListener(sign, rest, { passive: true });

  // The text comes first.
  if (document.readyState === "complete") begin();
  else window.addEventListener("load", function () { course.later(begin); });
})();
