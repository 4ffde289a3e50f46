/* What a page does late: work that waits until its reader comes near, and work in small turns, so
   that the page answers all the while. Part of scripts/site.js (see _ext/light.py), before all other
   scripts, so it is at hand on every page as `window.course`. */
(function () {
  "use strict";

  const course = (window.course = window.course || {});

  /** How far from the window "near" begins: one and a half windows above and below it. */
  const MARGIN = "150% 0px";

  const turns = [];
  const waiting = new Map();
  const wholes = [];

  // --- turns -------------------------------------------------------------------------------

  function next() {
    const work = turns.shift();
    if (turns.length) setTimeout(next);
    work();
  }

  /**
   * Do pieces of work one after another; between them the browser gets its turn.
   * @param {Array<function()>} works
   */
  course.turns = function (works) {
    if (!turns.length) setTimeout(next);
    turns.push(...works);
  };

  /** Say whether work is left that takes turns: a test that clicks waits for it, a hand is slower. */
  course.busy = function () { return turns.length > 0; };

  /**
   * Call a function when the browser has time for it.
   * @param {function()} work
   */
  course.later = function (work) {
    if (window.requestIdleCallback) window.requestIdleCallback(() => work(), { timeout: 300 });
    else setTimeout(work, 20);
  };

  // --- near --------------------------------------------------------------------------------

  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) begin(entry.target);
  }, { rootMargin: MARGIN });

  function begin(node) {
    const work = waiting.get(node);
    waiting.delete(node);
    observer.unobserve(node);
    if (work) work();
  }

  /**
   * Call a function for each node once, when the node comes near the window.
   * @param {Iterable<Element>} nodes
   * @param {function(Element, number)} work gets the node and its place among the nodes
   */
  course.near = function (nodes, work) {
    Array.from(nodes).forEach((node, index) => {
      const before = waiting.get(node);
      waiting.set(node, () => { if (before) before(); work(node, index); });
      observer.observe(node);
    });
  };

  /**
   * Have the whole page there now, as a printer or a test wants it, however far away.
   * @returns {Promise} kept when every formula is set; the explorers start meanwhile
   */
  course.whole = function () {
    for (const node of Array.from(waiting.keys())) begin(node);
    return Promise.all(wholes.map((finish) => finish()));
  };

  /**
   * Say what `whole` has to wait for.
   * @param {function(): Promise} finish
   */
  course.whole.also = function (finish) { wholes.push(finish); };

  // --- the keyboard ------------------------------------------------------------------------

  const boxes = new ResizeObserver((entries) => {
    // First read, then write: otherwise the browser lays out the page again for each box.
    const stops = entries.map(({ target }) => {
      const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
      return target.clientWidth > 0 && scrolls && getComputedStyle(target).overflowX !== "visible" ? 0 : -1;
    });
    entries.forEach(({ target }, index) => {
      if (target.tabIndex !== stops[index]) target.tabIndex = stops[index];
    });
  });

  /**
   * Let the keyboard reach boxes while they are smaller than what is in them: they scroll.
   * @param {Iterable<Element>} nodes
   */
  course.reachable = function (nodes) {
    for (const node of nodes) boxes.observe(node);
  };

  const BOXES = "pre, .cell_output > .output, .pst-scrollable-table-container, article div.math";
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", () => course.reachable(document.querySelectorAll(BOXES)));
  } else {
    course.reachable(document.querySelectorAll(BOXES));
  }
})();
