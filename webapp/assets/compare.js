// How two pictures of one place are compared: by a handle between them, a lens, opacity, blinking
// or their difference. Each side is a pane; a mode is a rule for what is seen of the two.
// A pane has no size of its own and moves with the map, so that what is cut out of it is given in
// the pane's coordinates and drawn anew whenever the map moves.
import {Blink} from "./blink.js";
import {fill} from "./dom.js";
import {ModeBar} from "./mode_bar.js";
import {Lens} from "./spy.js";
import {Swipe} from "./swipe.js";

export const MODES = ["swipe", "spy", "opacity", "blink", "difference"];
// Numbers of a mode and their limits: parts of the view, pixels, seconds, factor. At 0.4 s there
// are 1.25 flashes a second, where WCAG 2.3.1 allows three.
export const LIMITS = {position: [0, 1], x: [0, 1], y: [0, 1], radius: [30, 400], blend: [0, 1],
                       period: [0.4, 4], gain: [1, 10]};
export const FIRST = {mode: "swipe", position: 0.5, x: 0.5, y: 0.5, radius: 110, blend: 0.5,
                      period: 1, gain: 4};

export class Compare {
  // hooks: onMove() while what is seen changes, onRest() when it stays
  constructor(map, {sides, strings, foot, calm, onMove, onRest}) {
    Object.assign(this, {map, sides, strings, onMove, onRest, state: {...FIRST}});
    this.swipe = new Swipe(map, {
      label: strings.swipe_label, describe: (position) => this.describe(position),
      onMove: (position) => this.set({position}), onRest});
    this.lens = new Lens(map, strings, {
      onMove: (place) => this.set(place), onSize: (radius) => this.set({radius}), onRest});
    this.blink = new Blink({calm, onTurn: () => this.draw()});
    this.bar = new ModeBar(strings, LIMITS, {
      onChange: (changes) => { this.set(changes); onRest(); },
      onPlay: () => this.blink.play(!this.blink.playing), onTurn: () => this.blink.turn()});
    foot.append(this.bar.box);
    map.on("move zoom zoomend moveend viewreset", () => this.cut());
    map.on("resize", () => this.draw());
    this.draw();
  }

  get mode() { return this.state.mode; }
  get position() { return this.state.position; }

  describe(position) {
    return fill(this.strings.swipe_value, {percent: Math.round(position * 100),
                                          left: this.sides.left.title, right: this.sides.right.title});
  }

  // Take over what is known of `changes`, within its limits.
  set(changes) {
    for (const [key, value] of Object.entries(changes)) {
      if (key in LIMITS) this.state[key] = Math.min(LIMITS[key][1], Math.max(LIMITS[key][0], value));
      else if (key === "mode" && MODES.includes(value)) this.state.mode = value;
    }
    this.draw();
    this.onMove();
  }

  // Which side is seen at a point of the view.
  sideAt({x, y}) {
    const size = this.map.getSize();
    const {mode, position, radius, blend} = this.state;
    const within = Math.hypot(x - size.x * this.state.x, y - size.y * this.state.y) <= radius;
    const right = {swipe: x >= size.x * position, spy: within, opacity: blend >= 0.5,
                   blink: this.blink.right, difference: true}[mode];
    return right ? "right" : "left";
  }

  // [[left, top], [right, bottom]] of the view in which a computed layer is seen, or null.
  // `computed`: {left, right}
  seen({left, right}) {
    const size = this.map.getSize();
    const {mode, position, radius} = this.state;
    const whole = [[0, 0], [size.x, size.y]];
    if (left === right) return left ? whole : null;
    if (mode === "swipe") {
      const cut = size.x * position;
      return left ? [[0, 0], [cut, size.y]] : [[cut, 0], [size.x, size.y]];
    }
    if (mode !== "spy" || left) return whole;
    const [x, y] = [size.x * this.state.x, size.y * this.state.y];
    return [[Math.max(0, x - radius), Math.max(0, y - radius)],
            [Math.min(size.x, x + radius), Math.min(size.y, y + radius)]];
  }

  draw() {
    const {state, state: {x, y}} = this;
    const size = this.map.getSize();
    this.cut();
    this.swipe.draw(state.position, Math.round(size.x * state.position), state.mode === "swipe");
    this.lens.draw(state, {x: size.x * x, y: size.y * y}, state.mode === "spy");
    this.blink.keep({inUse: state.mode === "blink", seconds: state.period});
    this.blend();
    this.bar.show(state, this.blink);
  }

  // All that a drag of the map changes: it is done at every step of one.
  cut() {
    const {map, state, sides: {left, right}} = this;
    const size = map.getSize();
    const first = map.containerPointToLayerPoint([0, 0]);
    const last = map.containerPointToLayerPoint(size);
    const cut = first.x + Math.round(size.x * state.position);
    const [to, from] = state.mode === "swipe" ? [cut, cut] : [last.x, first.x];
    left.pane.style.clipPath = rectangle(first.x, first.y, to, last.y);
    right.pane.style.clipPath = state.mode === "spy"
      ? `circle(${state.radius}px at ${first.x + size.x * state.x}px ${first.y + size.y * state.y}px)`
      : rectangle(from, first.y, last.x, last.y);
  }

  // What is not a matter of place: opacity, and how the right pane is laid over the left one.
  blend() {
    const {state: {mode, blend, gain}, sides: {left, right}, blink} = this;
    const turn = mode === "blink";
    right.pane.style.opacity = mode === "opacity" ? blend : turn && !blink.right ? 0 : 1;
    right.pane.style.mixBlendMode = mode === "difference" ? "difference" : "normal";
    left.pane.parentElement.style.filter = mode === "difference" ? `brightness(${gain})` : "none";
    const text = (side) => this.strings[`compare_${mode}_${side}`] ?? "";
    left.setRole(text("left"), turn && blink.right);
    right.setRole(text("right"), turn && !blink.right);
  }

  close() {
    this.blink.stop();
  }
}

function rectangle(left, top, right, bottom) {
  return `polygon(${left}px ${top}px, ${right}px ${top}px, ${right}px ${bottom}px, ${left}px ${bottom}px)`;
}
