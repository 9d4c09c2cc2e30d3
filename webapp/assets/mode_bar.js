// The one control for how two pictures are compared, and the number that belongs to each way.
import * as L from "./leaflet/leaflet.js";
import {element, fill} from "./dom.js";

const ICONS = {swipe: "◫", spy: "◎", opacity: "◐", blink: "⇄", difference: "±"};
const NUMBERS = {
  spy: {key: "radius", step: 10},
  opacity: {key: "blend", step: 0.01},
  blink: {key: "period", step: 0.1},
  difference: {key: "gain", step: 1},
};

export class ModeBar {
  // hooks: onChange({mode} or {a number}), onPlay(), onTurn(); limits: [least, most] of each number
  constructor(strings, limits, hooks) {
    Object.assign(this, {strings, limits, ...hooks, mode: null, radios: new Map()});
    this.box = element("div", {className: "modes"});
    this.numbers = element("div", {className: "number"});
    this.box.append(this.numbers, this.choices());
    L.DomEvent.disableClickPropagation(this.box);
    L.DomEvent.disableScrollPropagation(this.box);
  }

  choices() {
    const group = element("div", {className: "segments", role: "radiogroup",
                                  "aria-label": this.strings.compare_mode});
    for (const [mode, icon] of Object.entries(ICONS)) {
      const name = this.strings[`compare_${mode}`];
      const label = element("label", {title: name});
      const radio = element("input", {type: "radio", name: "compare-mode", value: mode, "aria-label": name});
      radio.addEventListener("change", () => this.onChange({mode}));
      label.append(radio, element("span", {className: "icon", "aria-hidden": "true"}, icon),
                   element("span", {className: "name", "aria-hidden": "true"}, name));
      this.radios.set(mode, radio);
      group.append(label);
    }
    return group;
  }

  // state: that of Compare; blink: {playing}
  show(state, blink) {
    if (state.mode !== this.mode) this.build(state.mode);
    this.radios.get(state.mode).checked = true;
    if (!this.range) return;
    const value = state[NUMBERS[state.mode].key];
    if (Number(this.range.value) !== value) this.range.value = String(value);
    const text = this.text(state.mode, value);
    this.range.setAttribute("aria-valuetext", text);
    this.output.textContent = text;
    if (!this.play) return;
    this.play.textContent = blink.playing ? "❚❚" : "▶";
    const what = blink.playing ? this.strings.compare_pause : this.strings.compare_play;
    this.play.setAttribute("aria-label", what);
    this.play.title = what;
  }

  build(mode) {
    Object.assign(this, {mode, range: null, play: null});
    this.numbers.replaceChildren();
    this.numbers.hidden = !(mode in NUMBERS);
    if (this.numbers.hidden) return;
    const {key, step} = NUMBERS[mode];
    const [min, max] = this.limits[key];
    const name = this.strings[`compare_${key}`];
    this.range = element("input", {type: "range", min, max, step, "aria-label": name, title: name});
    this.range.addEventListener("input", () => this.onChange({[key]: Number(this.range.value)}));
    this.output = element("output");
    this.numbers.append(this.range, this.output);
    if (mode === "blink") this.buttons();
    if (mode === "difference") {
      this.numbers.prepend(element("span", {className: "what"}, this.strings.compare_difference_what));
    }
  }

  buttons() {
    this.play = element("button", {type: "button"});
    this.play.addEventListener("click", () => this.onPlay());
    const turn = element("button", {type: "button"}, this.strings.compare_turn);
    turn.addEventListener("click", () => this.onTurn());
    this.numbers.prepend(this.play, turn);
  }

  text(mode, value) {
    const shown = {spy: Math.round(value), opacity: Math.round(100 * value), blink: value.toFixed(1),
                   difference: value}[mode];
    return fill(this.strings[`compare_${NUMBERS[mode].key}_value`], {value: shown});
  }
}
