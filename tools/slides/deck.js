// Turns the pages of a deck: keys, a finger, two buttons, and an address for each slide (#7).
(() => {
  const slides = [...document.querySelectorAll(".slide")];
  const stage = document.querySelector("main");
  const wide = window.matchMedia("(min-width: 801px)");
  let here = 0;

  function show(number, note = true) {
    here = Math.max(0, Math.min(slides.length - 1, number));
    slides.forEach((slide, index) => slide.classList.toggle("here", index === here));
    if (note) history.replaceState(null, "", `#${here + 1}`);
  }

  function scale() {
    if (!wide.matches) { stage.style.transform = ""; return; }
    const factor = Math.min(innerWidth / 1280, innerHeight / 720);
    stage.style.transform = `scale(${factor}) translate(-50%, -50%)`;
  }

  // What does not fit at full size is set smaller, down to two thirds; beyond that it scrolls.
  function fit() {
    if (!wide.matches) return;
    for (const slide of slides) {
      const content = slide.querySelector(".content");
      for (let size = 100; size >= 64; size -= 6) {
        slide.style.fontSize = `${size}%`;
        if (content.scrollHeight <= content.clientHeight + 1) break;
      }
    }
  }

  const keys = {
    ArrowRight: 1, PageDown: 1, " ": 1, ArrowDown: 1, ArrowLeft: -1, PageUp: -1, ArrowUp: -1,
    Home: -slides.length, End: slides.length,
  };
  addEventListener("keydown", (event) => {
    if (!wide.matches || event.ctrlKey || event.altKey || event.metaKey) return;
    const pressing = event.target.closest("summary, button");
    if (event.key === "f") document.documentElement.requestFullscreen?.();
    if (!(event.key in keys) || (event.key === " " && pressing)) return;
    event.preventDefault();
    show(here + (event.key === " " && event.shiftKey ? -1 : keys[event.key]));
  });

  let start = null;
  addEventListener("touchstart", (event) => { start = event.changedTouches[0]; }, {passive: true});
  addEventListener("touchend", (event) => {
    const end = event.changedTouches[0];
    const across = end.clientX - start.clientX;
    if (!wide.matches || Math.abs(across) < 60) return;
    if (Math.abs(across) > 2 * Math.abs(end.clientY - start.clientY)) show(here - Math.sign(across));
  }, {passive: true});

  document.querySelector(".back").addEventListener("click", () => show(here - 1));
  document.querySelector(".on").addEventListener("click", () => show(here + 1));
  addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0, false));
  addEventListener("resize", scale);
  wide.addEventListener("change", fit);
  window.deck = {fit, show};
  document.documentElement.classList.add("staged");
  scale();
  fit();
  show(Number(location.hash.slice(1)) - 1 || 0, false);
})();
