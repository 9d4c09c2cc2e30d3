// The swipe handle: a line that can be dragged, and its place as a part of the view's width.
// What stands on either side of it is clipped by compare.js.

const KEY_STEPS = {ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02,
                   PageDown: -0.1, PageUp: 0.1};

export class Swipe {
  // onMove(position) while it moves; onRest(position) when the person lets go or pauses typing.
  constructor(map, {label, describe, onMove, onRest}) {
    Object.assign(this, {map, describe, onMove, onRest, position: 0.5});
    this.handle = buildHandle(label);
    map.getContainer().append(this.handle);
    this.listen();
  }

  listen() {
    const {handle, map} = this;
    const follow = (event) => {
      const box = map.getContainer().getBoundingClientRect();
      this.onMove((event.clientX - box.left) / box.width);
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
      this.onRest();
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
    this.onMove(position);
    this.onRest();
  }

  // Draw it `cut` pixels from the left edge of the view; hidden where it is not in use.
  draw(position, cut, inUse) {
    const {handle} = this;
    this.position = position;
    handle.hidden = !inUse;
    handle.style.transform = `translateX(${cut}px)`;
    handle.setAttribute("aria-valuenow", String(Math.round(position * 100)));
    handle.setAttribute("aria-valuetext", this.describe(position));
  }
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
