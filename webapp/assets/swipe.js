// The swipe handle: two Leaflet panes, each clipped to its own side of a vertical line.
// A pane has no size of its own and moves with the map, so the clip is a polygon in the pane's
// coordinates, drawn anew whenever the map or the handle moves.

const KEY_STEPS = {ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02,
                   PageDown: -0.1, PageUp: 0.1};

export class Swipe {
  // onMove(position) while it moves; onRest(position) when the person lets go or pauses typing.
  constructor(map, {left, right, label, describe, onMove, onRest}) {
    Object.assign(this, {map, left, right, describe, onMove, onRest, position: 0.5});
    this.handle = buildHandle(label);
    map.getContainer().append(this.handle);
    this.listen();
    map.on("move zoom zoomend moveend viewreset resize", () => this.draw());
    this.draw();
  }

  listen() {
    const {handle, map} = this;
    const follow = (event) => {
      const box = map.getContainer().getBoundingClientRect();
      this.set((event.clientX - box.left) / box.width);
    };
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation(); // or the map would pan along
      handle.focus({preventScroll: true});
      handle.setPointerCapture(event.pointerId);
      handle.classList.add("dragging");
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) follow(event);
    });
    handle.addEventListener("lostpointercapture", () => {
      handle.classList.remove("dragging");
      this.onRest(this.position);
    });
    for (const name of ["mousedown", "touchstart", "click", "dblclick", "wheel"]) {
      handle.addEventListener(name, (event) => event.stopPropagation(), {passive: true});
    }
    handle.addEventListener("dblclick", () => this.finish(0.5));
    handle.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const ends = {Home: 0, End: 1};
    let goal = ends[event.key];
    if (event.key in KEY_STEPS) goal = this.position + KEY_STEPS[event.key] * (event.shiftKey ? 5 : 1);
    if (goal === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.finish(goal);
  }

  finish(position) {
    this.set(position);
    this.onRest(this.position);
  }

  set(position) {
    this.position = Math.min(1, Math.max(0, position));
    this.draw();
    this.onMove(this.position);
  }

  draw() {
    const {map, handle} = this;
    const size = map.getSize();
    const first = map.containerPointToLayerPoint([0, 0]);
    const last = map.containerPointToLayerPoint(size);
    const cut = first.x + Math.round(size.x * this.position);
    this.left.style.clipPath = rectangle(first.x, first.y, cut, last.y);
    this.right.style.clipPath = rectangle(cut, first.y, last.x, last.y);
    handle.style.transform = `translateX(${cut - first.x}px)`;
    handle.setAttribute("aria-valuenow", String(Math.round(this.position * 100)));
    handle.setAttribute("aria-valuetext", this.describe(this.position));
  }
}

function rectangle(left, top, right, bottom) {
  return `polygon(${left}px ${top}px, ${right}px ${top}px, ${right}px ${bottom}px, ${left}px ${bottom}px)`;
}

function buildHandle(label) {
  const handle = document.createElement("div");
  handle.className = "swipe";
  handle.tabIndex = 0;
  const attributes = {role: "slider", "aria-label": label, "aria-orientation": "horizontal",
                      "aria-valuemin": "0", "aria-valuemax": "100"};
  for (const [name, value] of Object.entries(attributes)) handle.setAttribute(name, value);
  const grip = document.createElement("div");
  grip.className = "grip";
  handle.append(grip);
  return handle;
}
