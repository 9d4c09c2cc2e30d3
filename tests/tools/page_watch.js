// Watches a page from its first moment: window.watched holds when what was reached, in milliseconds
// since the address was given; countFrames() and framesCounted() take the times between frames.
(() => {
  const watched = (window.watched = {});
  const roots = [];
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function attachShadow(options) {
    const root = attach.call(this, options);
    roots.push(root);
    return root;
  };
  let explorer = null;
  let restingSince = null;

  function look() {
    explorer ??= roots.map((root) => root.querySelector(".srcube")).find(Boolean) ?? null;
    if (!explorer) return;
    const named = explorer.querySelector(".caption.right strong")?.textContent;
    const tiles = [...explorer.querySelectorAll("img.leaflet-tile")];
    const loaded = tiles.length && !explorer.querySelector(".caption.waiting") &&
      tiles.every((tile) => tile.complete && tile.classList.contains("leaflet-tile-loaded"));
    if (named) watched.named ??= performance.now();
    if (named && loaded) watched.shown ??= performance.now();
    rest(watched.shown && explorer.getAttribute("aria-busy") === "false");
  }

  // At rest is what stays so for a while; it counts from the beginning of that while.
  function rest(now) {
    if (!now) restingSince = null;
    else restingSince ??= performance.now();
    if (now && performance.now() - restingSince > 600) {
      watched.at_rest = restingSince;
      clearInterval(timer);
    }
  }

  const timer = setInterval(look, 20);
  let frames = [];
  let counting = false;
  window.countFrames = () => {
    frames = [];
    counting = true;
    requestAnimationFrame(function frame(at) {
      frames.push(at);
      if (counting) requestAnimationFrame(frame);
    });
  };
  window.framesCounted = () => {
    counting = false;
    return frames.slice(1).map((at, index) => at - frames[index]);
  };
})();
