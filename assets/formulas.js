/* How MathJax sets the formulas of a page: after the text has appeared, a few at a time, those in
   view first, so that the page answers its reader all the while. MathJax itself is in mathjax.js
   beside this file; see _ext/light.py, which puts both there. */
(function () {
  "use strict";

  /** Milliseconds of work after which the browser gets its turn. */
  const TURN = 8;

  /** The state of a formula that has been measured, in MathJax's own numbers. */
  const MEASURED = 110;

  const mathjax = document.currentScript.src.replace("formulas.js", "mathjax.js");

  /** Call a function when the browser has time for it. */
  function later(work) {
    if (window.requestIdleCallback) {
      window.requestIdleCallback(work, { timeout: 300 });
    } else {
      setTimeout(work, 20);
    }
  }

  /** Return the formulas of the page, the nearest to the reader's window first. */
  function formulas() {
    const middle = window.innerHeight / 2;
    return Array.from(document.querySelectorAll(".math"))
      .map(function (node) {
        return { node: node, distance: Math.abs(node.getBoundingClientRect().top - middle) };
      })
      .sort(function (a, b) { return a.distance - b.distance; })
      .map(function (entry) { return entry.node; });
  }

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

  /** Let the keyboard reach what is wider than its place: it scrolls. */
  function reachable() {
    const wide = Array.from(document.querySelectorAll("article mjx-container, article div.math"))
      .filter(function (node) {
        return node.scrollWidth > node.clientWidth && node.clientWidth > 0
          && getComputedStyle(node).overflowX !== "visible";
      });
    for (const node of wide) {
      node.tabIndex = 0;
    }
  }

  /** Set all formulas; the promise is kept when the last is set. */
  function setAll() {
    const waiting = formulas();
    measureOnce();
    // On paper everything must be there at once.
    window.addEventListener("beforeprint", function () {
      if (waiting.length) {
        window.MathJax.typeset(waiting.splice(0));
      }
    });
    return new Promise(function (resolve) {
      function turn() {
        const start = performance.now();
        while (waiting.length && performance.now() - start < TURN) {
          window.MathJax.typeset(waiting.splice(0, 2));
        }
        if (waiting.length) {
          later(turn);
        } else {
          reachable();
          resolve();
        }
      }
      later(turn);
    });
  }

  window.MathJax = Object.assign({}, window.MathJax, {
    // Its parts are in one file: nothing else is fetched.
    loader: { load: [] },
    startup: { pageReady: setAll },
  });

  /** Fetch MathJax. */
  function start() {
    const script = document.createElement("script");
    script.src = mathjax;
    document.head.append(script);
  }

  if (document.readyState === "complete") {
    start();
  } else {
    window.addEventListener("load", function () { later(start); });
  }
})();
