// The spy lens: a circle in which the right layer is seen inside the left one. It follows the
// mouse, can be pushed by a finger, and moved by the arrow keys; + and - change its size.
import {element} from "./dom.js";

const KEY_MOVES = {ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10]};
const KEY_SIZES = {"+": 10, "=": 10, "-": -10, "_": -10};

export class Lens {
  // hooks: onMove({x, y}) in parts of the view, onSize(radius in pixels), onRest()
  constructor(map, strings, hooks) {
    Object.assign(this, {map, ...hooks, inUse: false});
    this.ring = element("div", {
      className: "lens", tabindex: "0", role: "application", "aria-label": strings.compare_lens,
      "aria-roledescription": strings.compare_lens, "aria-description": strings.compare_lens_keys});
    map.getContainer().append(this.ring);
    this.listen();
  }

  listen() {
    const {ring, map} = this;
    const follow = (event) => {
      const box = map.getContainer().getBoundingClientRect();
      this.onMove({x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height});
    };
    // A mouse moves it without a button; a finger has to push it, or the map could not be panned.
    map.getContainer().addEventListener("pointermove", (event) => {
      if (this.inUse && (event.pointerType !== "touch" || event.target === ring)) follow(event);
    });
    ring.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") ring.setPointerCapture(event.pointerId);
    });
    ring.addEventListener("touchstart", (event) => event.stopPropagation(), {passive: true});
    map.getContainer().addEventListener("pointerleave", () => { if (this.inUse) this.onRest(); });
    ring.addEventListener("lostpointercapture", () => this.onRest());
    ring.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const {x, y} = this.map.getSize();
    const step = event.shiftKey ? 5 : 1;
    if (event.key in KEY_MOVES) {
      const [right, down] = KEY_MOVES[event.key];
      this.onMove({x: this.x + (step * right) / x, y: this.y + (step * down) / y});
    } else if (event.key in KEY_SIZES) {
      this.onSize(this.radius + KEY_SIZES[event.key]);
    } else return;
    event.preventDefault();
    event.stopPropagation(); // or the map would pan and zoom along
    this.onRest();
  }

  // x and y in parts of the view, `at` the same in pixels.
  draw({x, y, radius}, at, inUse) {
    Object.assign(this, {x, y, radius, inUse});
    this.ring.hidden = !inUse;
    Object.assign(this.ring.style, {
      width: `${2 * radius}px`, height: `${2 * radius}px`,
      transform: `translate(${at.x - radius}px, ${at.y - radius}px)`});
  }
}
