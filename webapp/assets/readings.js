// What the tool of analysis shows of a place, a line or a polygon: charts of every layer at hand,
// and a table of figures. A click on a date in one of them changes the date shown.
import {chart, csvButton} from "./chart.js";
import {element, fill} from "./dom.js";
import {readLink} from "./link.js";
import {lessSource} from "./samples.js";

const FIGURES = ["mean", "std", "min", "max"];

export class Readings {
  // what: {samples, quantity, minus, onPoint(place or null)}: `quantity` is a band or an index,
  // `minus` the id of the layer to take away, or empty
  constructor(explorer, what) {
    Object.assign(this, {explorer, strings: explorer.strings, ...what});
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
      onHover: (x) => this.onPoint(x === null ? null : found.places.get(x)),
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
  const {wanted} = readLink(new URL(explorer.address.link()).hash);
  const names = wanted.lock.includes("date") ? ["left", "right"] : ["right"];
  for (const name of names) wanted[name].date = stamp;
  explorer.model.wanted = {...wanted, at: Date.now()};
}

function dotted(source) {
  return {...source, name: source.title, shape: "dots", linked: source.linked};
}

function day(stamp) {
  return stamp.slice(0, 10);
}
