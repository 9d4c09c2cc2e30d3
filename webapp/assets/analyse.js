// The tool that reads values: at a point, along a line, in a polygon. Charts show every layer at
// hand together; a click on a date in one of them changes the date shown.
import {element, fill} from "./dom.js";
import {Sketch} from "./draw.js";
import {areaText, lengthText, pathLength, ringArea} from "./geodesy.js";
import {MOST_VERTICES, Unfit, polygonOf} from "./polygon_file.js";
import {Readings} from "./readings.js";
import {Samples} from "./samples.js";

const KINDS = ["point", "line", "polygon"];
const COMMON = ["NDVI", "NDWI", "EVI2", "SAVI", "MNDWI", "NBR", "NDMI"];

export function analyseTool(explorer) {
  return new Analyse(explorer);
}

class Analyse {
  constructor(explorer) {
    const {strings, map} = explorer;
    Object.assign(this, {explorer, strings, id: "analyse", icon: "∿", title: strings.analyse_title,
                         kind: "point", quantity: "", minus: "", turn: 0, samples: new Samples(explorer.api)});
    this.sketch = new Sketch(map, {
      most: MOST_VERTICES, free: () => !explorer.why.active,
      onChange: (places) => this.drawn(places), onDone: () => this.read()});
    explorer.model.on("indices", () => { if (this.sketch.kind) this.offer(); }); // listed later
    explorer.model.on("job", () => { // blocks that were read may have been computed only now
      if (explorer.model.job.status === "successful" && this.sketch.done) this.read();
    });
    this.body = element("div", {className: "analyse"});
    this.controls = element("div");
    this.hint = element("p", {className: "small", role: "status"});
    this.results = element("div", {className: "results"});
    this.body.append(this.kinds(), this.controls, this.hint, this.figureButtons(), this.results);
  }

  kinds() {
    const row = element("div", {className: "kinds", role: "group", "aria-label": this.strings.analyse_kind});
    this.buttons = KINDS.map((kind) => {
      const button = this.button(this.strings[`analyse_${kind}`], () => this.start(kind));
      button.dataset.kind = kind;
      return button;
    });
    row.append(...this.buttons);
    return row;
  }

  figureButtons() {
    const {strings, sketch} = this;
    this.end = this.button(strings.analyse_finish, () => sketch.finish(), "action main");
    this.back = this.button(strings.analyse_undo, () => sketch.undo());
    this.away = this.button(strings.analyse_clear, () => {
      sketch.clear();
      this.results.replaceChildren();
    });
    this.file = element("label", {className: "file"}, strings.analyse_file);
    const choose = element("input", {type: "file", accept: ".geojson,.json,application/geo+json"});
    choose.addEventListener("change", () => this.upload(choose));
    this.file.append(choose);
    const row = element("div", {className: "figure-buttons"});
    row.append(this.end, this.back, this.away, this.file);
    return row;
  }

  button(text, action, className = "action") {
    const made = element("button", {type: "button", className}, text);
    made.addEventListener("click", action);
    return made;
  }

  onOpen() {
    this.explorer.why.set(false);
    this.view = this.explorer.seen();
    this.offer();
    this.start(this.kind);
  }

  onClose() {
    this.turn += 1;
    this.sketch.point(null);
    this.sketch.stop();
    this.results.replaceChildren();
    this.busy(false);
  }

  onView(view) {
    const key = (one) => one && `${one.collection.id} ${one.right.datetime}`;
    const [before, after] = [key(this.view), key(view)];
    const moved = this.view?.collection.id !== view?.collection.id;
    this.view = view;
    if (!this.sketch.kind || before === after) return;
    if (moved) {
      this.offer();
      this.start(this.kind);
    } else if (this.sketch.done) this.read();
  }

  start(kind) {
    this.turn += 1;
    this.kind = kind;
    for (const each of this.buttons) each.setAttribute("aria-pressed", String(each.dataset.kind === kind));
    this.file.hidden = kind !== "polygon";
    for (const each of [this.end, this.back]) each.hidden = kind === "point";
    this.sketch.point(null);
    this.results.replaceChildren();
    this.sketch.start(kind);
    this.drawn([]);
  }

  // What can be read of the collection: its bands, and the indices that they make.
  offer() {
    const {strings, explorer} = this;
    const bands = (this.view?.collection.bands ?? []).map(({name}) => name);
    const fit = explorer.model.indices.filter(({bands: needed}) => needed.every((band) => bands.includes(band)));
    this.samples.indices = new Map(fit.map(({name, bands: needed}) => [name, needed]));
    const rank = ({name}) => (COMMON.includes(name) ? COMMON.indexOf(name) : COMMON.length);
    const sorted = [...fit].sort((a, b) => rank(a) - rank(b));
    const known = [...bands, ...fit.map(({name}) => name)];
    if (!known.includes(this.quantity)) this.quantity = bands.includes("B08") ? "B08" : bands[0] ?? "";
    const what = select(strings.analyse_quantity, [
      [strings.bands, bands.map((name) => [name, name])],
      [strings.analyse_indices, sorted.map(({name, title}) => [name, `${name}: ${title}`])]], this.quantity);
    what.input.addEventListener("change", () => this.set({quantity: what.input.value}));
    const less = select(strings.analyse_minus, [["", [
      ["", strings.analyse_minus_nothing], ["lr", strings.analyse_minus_lr], ["truth", strings.analyse_minus_truth]]
      .filter(([id]) => id !== "truth" || this.view?.collection.layers.some((layer) => layer.id === id))]], this.minus);
    less.input.addEventListener("change", () => this.set({minus: less.input.value}));
    this.minus = less.input.value;
    this.controls.replaceChildren(what.label, less.label);
  }

  set(choice) {
    Object.assign(this, choice);
    if (this.sketch.done) this.read();
  }

  drawn(places) {
    const {strings, kind, sketch} = this;
    const language = strings.language;
    const size = kind === "line" && places.length > 1 ? lengthText(pathLength(places), language)
      : kind === "polygon" && places.length > 2 ? areaText(ringArea(places), language) : "";
    const hint = fill(strings[`analyse_hint_${kind}`], {most: MOST_VERTICES});
    this.hint.textContent = size ? `${size}. ${sketch.done ? "" : hint}` : hint;
    this.end.disabled = !sketch.complete || sketch.done;
    this.back.disabled = this.away.disabled = !places.length;
  }

  async upload(choose) {
    const [file] = choose.files;
    choose.value = ""; // so that the same file can be chosen again
    if (!file) return;
    try {
      const ring = await polygonOf(file);
      this.explorer.map.fitBounds(ring, {maxZoom: 17, animate: false});
      this.sketch.put(ring);
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      this.refuse({message: fill(this.strings[error.message], error.values)});
    }
  }

  refuse({message}) {
    this.results.replaceChildren(element("p", {className: "refused", role: "alert"}, message));
  }

  busy(active) {
    this.explorer.busy.set("analyse", active);
    this.results.setAttribute("aria-busy", String(active));
  }

  async read() {
    const turn = ++this.turn;
    const {samples, view, sketch: {places}} = this;
    if (!view) return;
    this.busy(true);
    if (!this.results.children.length) this.results.append(element("p", {}, this.strings.loading));
    try {
      await samples.open(view.collection.id, this.explorer.model.models);
      const readings = new Readings(this.explorer, {
        samples, quantity: this.quantity, minus: this.minus, onPoint: (place) => this.sketch.point(place)});
      const parts = await readings[this.kind](places, view.right.datetime);
      if (turn !== this.turn) return;
      const first = !this.results.querySelector("figure");
      this.results.replaceChildren(...parts);
      // On a phone the dock is half the screen: bring the first chart into it.
      if (first && this.explorer.model.narrow) this.results.scrollIntoView({block: "start"});
    } catch (error) {
      if (turn === this.turn) this.refuse(error);
    } finally {
      if (turn === this.turn) this.busy(false);
    }
  }
}

function select(title, groups, chosen) {
  const label = element("label", {className: "choice"}, title);
  const input = element("select", {"aria-label": title});
  for (const [name, options] of groups) {
    const into = name ? element("optgroup", {label: name}) : input;
    for (const [value, text] of options) {
      const option = element("option", {value}, text);
      option.selected = value === chosen;
      into.append(option);
    }
    if (into !== input) input.append(into);
  }
  label.append(input);
  return {label, input};
}
