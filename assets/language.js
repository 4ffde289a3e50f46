/* The switch to the other language, in the header of each page: it leads to the section that is being read.
   Part of scripts/site.js (see _ext/light.py). The sections of both books have the same ids. */
(function () {
  "use strict";

  /** Return the id of the place that the reader is at; an empty string is the top of the page. */
  function place() {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (named) {
      const { top } = named.getBoundingClientRect();
      if (top > -2 && top < window.innerHeight) return named.id;
    }
    // Of the sections that begin above this line, the last is the one that one reads.
    const line = window.innerHeight / 3;
    let found = "";
    for (const section of document.querySelectorAll("article section section[id]")) {
      if (section.getBoundingClientRect().top > line) break;
      found = section.id;
    }
    return found;
  }

  for (const link of document.querySelectorAll("a.course-language")) {
    const page = link.href;
    const lead = () => {
      const id = place();
      link.href = id ? `${page}#${encodeURIComponent(id)}` : page;
    };
    // Before the browser follows it, opens it in a new tab, or copies it.
    for (const event of ["pointerdown", "focus", "click"]) link.addEventListener(event, lead);
  }
})();
