// The tool that reads values: at a point, along a line, in a polygon. Charts show every layer at
// hand together; a click on a date in one of them changes the date shown.
import {chart, csvButton} from "./chart.js";
import {element, fill} from "./dom.js";
import {Sketch} from "./draw.js";
import {areaText, lengthText, pathLength, ringArea} from "./geodesy.js";
import {readLink} from "./link.js";
import {MOST_VERTICES, Unfit, polygonOf} from "./polygon_file.js";
import {Samples, lessSource} from "./samples.js";

const KINDS = ["point", "line", "polygon"];
const COMMON = ["NDVI", "NDWI", "EVI2", "SAVI", "MNDWI", "NBR", "NDMI"];
const FIGURES = ["mean", "std", "min", "max"];

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
      const parts = await this[this.kind](places, view.right.datetime);
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

  async point([place], datetime) {
    const {strings, samples} = this;
    const [spectra, {series, stamps}] = await Promise.all([
      samples.spectrum(place, datetime), samples.times(place, this.quantity)]);
    const bands = new Map([...samples.wavelengths].map(([band, x]) => [x, `${band} ${x} nm`]));
    const at = `${place.lat.toFixed(5)}°, ${place.lng.toFixed(5)}°`;
    const spectrum = chart({
      title: fill(strings.analyse_spectrum, {date: day(datetime)}), note: strings.analyse_interval_note,
      x: {label: strings.analyse_wavelength, names: bands}, y: {label: this.unit(strings.analyse_reflectance)},
      series: this.less(spectra).map((one) => dotted({...one, linked: true})), file: `spectrum_${day(datetime)}`}, strings);
    return [element("p", {className: "place"}, at), spectrum, this.timeChart(this.less(series).map(dotted), stamps, datetime)];
  }

  async line(places, datetime) {
    const {strings, samples} = this;
    const found = await samples.along(places, this.quantity, datetime);
    return [chart({
      title: fill(strings.analyse_transect, {what: this.what(), date: day(datetime)}), note: this.note(),
      x: {label: strings.analyse_metres, digits: 1}, y: {label: this.unit(this.told())},
      series: this.less(found.series).map((one) => ({...one, name: one.title, shape: "line"})),
      onHover: (x) => this.sketch.point(x === null ? null : found.places.get(x)),
      file: `transect_${this.quantity}_${day(datetime)}`}, strings)];
  }

  async polygon(places, datetime) {
    const {strings, samples} = this;
    const found = await samples.zone(places, this.quantity, this.minus, datetime);
    const now = found.dates.find((one) => one.datetime === datetime) ?? found.dates[0];
    const key = ({id}) => `${id}.${this.quantity}`;
    const histogram = found.sources.map((source) => ({...source, name: source.title, shape: "steps",
      until: now.edges[now.edges.length - 1], points: (now.figures[key(source)].histogram ?? []).map((count, bin, all) => ({
        x: now.edges[bin], y: (100 * count) / all.reduce((sum, one) => sum + one, 0)}))}));
    const means = found.sources.map((source) => dotted({...source, points: found.dates.map(({datetime: stamp, figures}) => ({
      x: Date.parse(stamp), y: figures[key(source)].mean}))}));
    const series = this.timeChart(means, found.dates.map((one) => one.datetime), datetime, strings.analyse_mean_note);
    return [
      this.statistics(found, now, key),
      chart({title: fill(strings.analyse_histogram, {what: this.what(), date: day(now.datetime)}),
             x: {label: this.unit(this.told())}, y: {label: strings.analyse_share}, series: histogram,
             file: `histogram_${this.quantity}_${day(now.datetime)}`}, strings),
      ...(found.shortened ? [element("p", {className: "refused"}, found.shortened)] : [series])];
  }

  // A row of figures for each layer on the date shown; the file has every date.
  statistics({sources, dates, percentiles}, now, key) {
    const {strings} = this;
    const title = fill(strings.analyse_statistics, {what: this.what(), date: day(now.datetime)});
    const heads = [strings.analyse_count, ...FIGURES.map((name) => strings[`analyse_${name}`]), ...percentiles.map((one) => `${one} %`)];
    const cells = ({count, percentiles: found, ...others}) => [
      count, ...FIGURES.map((name) => others[name]), ...(found ?? percentiles.map(() => null))];
    const table = element("table");
    table.append(element("caption", {}, title));
    const head = element("tr");
    head.append(element("td"), ...sources.map(({title: name}) => element("th", {scope: "col"}, name)));
    table.append(head);
    heads.forEach((name, index) => {
      const row = element("tr");
      row.append(element("th", {scope: "row"}, name), ...sources.map((source) => {
        const value = cells(now.figures[key(source)])[index];
        return element("td", {}, value === null ? "" : String(index ? +value.toPrecision(4) : value));
      }));
      table.append(row);
    });
    const rows = [["datetime", "layer", ...heads], ...dates.flatMap(({datetime, figures}) => sources.map((source) => [
      datetime, source.id, ...cells(figures[key(source)]).map((value) => (value === null ? "" : String(value)))]))];
    const scroll = element("div", {className: "scroll", tabindex: "0", role: "region", "aria-label": title});
    scroll.append(table);
    const box = element("div", {className: "statistics"});
    box.append(scroll, csvButton(rows, {title, file: `statistics_${this.quantity}`}, strings));
    return box;
  }

  timeChart(series, stamps, datetime, note = this.note()) {
    const {strings} = this;
    const names = new Map(stamps.map((stamp) => [Date.parse(stamp), stamp]));
    return chart({
      title: fill(strings.analyse_times, {what: this.what()}), note: `${strings.analyse_pick} ${note}`,
      x: {label: strings.date, dates: true, names}, y: {label: this.unit(this.told())},
      series: series.map((one) => ({...one, linked: true})), now: Date.parse(datetime),
      onPick: (x) => showDate(this.explorer, names.get(x)), file: `series_${this.quantity}`}, strings);
  }

  less(series) {
    const {minus} = this;
    return minus && series.some(({id}) => id === minus) ? lessSource(series, minus) : series;
  }

  what() {
    const {minus, quantity, strings} = this;
    return minus ? `${quantity} ${strings[`analyse_minus_${minus}`]}` : quantity;
  }

  told() {
    return this.samples.indices.has(this.quantity) ? this.quantity : `${this.strings.analyse_reflectance} ${this.quantity}`;
  }

  unit(words) {
    return this.minus ? fill(this.strings.analyse_difference, {what: words}) : words;
  }

  note() {
    return this.samples.indices.has(this.quantity) ? this.strings.analyse_index_note : this.strings.analyse_interval_note;
  }
}

// Show another date, through what Python takes over from an address: on both sides where they
// share one, else on the right.
function showDate(explorer, stamp) {
  const {wanted} = readLink(new URL(explorer.link()).hash);
  const names = wanted.lock.includes("date") ? ["left", "right"] : ["right"];
  for (const name of names) wanted[name].date = stamp;
  explorer.model.wanted = {...wanted, at: Date.now()};
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

function dotted(source) {
  return {...source, name: source.title, shape: "dots", linked: source.linked};
}

function day(stamp) {
  return stamp.slice(0, 10);
}
