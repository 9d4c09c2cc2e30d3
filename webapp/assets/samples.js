// Values of a collection at places, by its EDR queries and its statistics of polygons: which
// parameters there are of every layer at hand, and what they hold, as series that a chart draws.
import {pathLength} from "./geodesy.js";

const COLOURS = 6; // of models, see analyse.css
const DASHES = {measured: "", truth: "6 3", inferred: ""};

// Layers that have bands now: [{id: "sr.wiener-x4", title, kind, colour, dash, bands, interval}],
// the measurement first and the truth last; `bands` and `interval` are sets of names of bands.
export function sourcesOf({parameter_names: parameters, layers}, models) {
  const found = new Map();
  const intervals = new Map();
  for (const name of Object.keys(parameters)) {
    const cut = name.lastIndexOf(".");
    const [id, band] = [name.slice(0, cut), name.slice(cut + 1)];
    if (!/^B\d[\dA]$/.test(band)) continue;
    const into = name.startsWith("interval.") ? intervals : found;
    const key = into === intervals ? id.slice("interval.".length) : id;
    into.set(key, (into.get(key) ?? new Set()).add(band));
  }
  const made = models.filter(({id}) => found.has(`sr.${id}`)).map(({id, title}, index) => ({
    id: `sr.${id}`, model: id, title, kind: "inferred", bands: found.get(`sr.${id}`), interval: intervals.get(id) ?? new Set(),
    colour: `var(--series-${1 + (index % COLOURS)})`, dash: index < COLOURS ? DASHES.inferred : "2 3"}));
  const plain = (id) => (found.has(id) ? [{
    id, title: layers.find((layer) => layer.id === id)?.title ?? id, bands: found.get(id), interval: new Set(),
    kind: id === "lr" ? "measured" : id, colour: `var(--series-${id})`, dash: DASHES[id] ?? ""}] : []);
  return [...plain("lr"), ...made, ...plain("truth")];
}

export class Samples {
  constructor(api) {
    this.api = api;
  }

  // Look at what a collection holds now: blocks may have been computed since it was listed.
  async open(id, models) {
    this.id = id;
    this.document = await this.api.json(["collections", id]);
    this.sources = sourcesOf(this.document, models);
    this.wavelengths = new Map(this.document.bands.map((band) => [band.name, Math.round(1000 * band["eo:center_wavelength"])]));
  }

  ask(kind, coords, names, query = {}) {
    return this.api.json(["collections", this.id, kind], {
      query: {coords, "parameter-name": names.join(","), ...query}});
  }

  // Spectra at a place on one date, a series for each source, over wavelengths in nm.
  async spectrum(place, datetime) {
    const names = this.sources.flatMap(({id, model, bands, interval}) => [
      ...[...bands].map((band) => `${id}.${band}`), ...[...interval].map((band) => `interval.${model}.${band}`)]);
    const {ranges} = await this.ask("position", point(place), names, {datetime});
    return this.sources.map((source) => ({...source, points: [...source.bands].map((band) => ({
      x: this.wavelengths.get(band), ...valued(ranges, source, band, 0)})).sort((a, b) => a.x - b.x)}));
  }

  // A band or an index at a place over time; x in milliseconds, and the stamps of the dates.
  async times(place, quantity) {
    const found = await Promise.all(this.having(quantity).map(async (source) => {
      const {domain, ranges} = await this.ask("position", point(place), namesOf(source, quantity));
      const stamps = domain.axes.t.values;
      return {...source, stamps, points: stamps.map((stamp, index) => ({
        x: Date.parse(stamp), ...valued(ranges, source, quantity, index)}))};
    }));
    return {series: found, stamps: found[0]?.stamps ?? []};
  }

  // Along a line on one date; x in metres, and the place {lat, lng} of each x.
  async along(places, quantity, datetime) {
    const sources = this.having(quantity);
    const names = sources.flatMap((source) => namesOf(source, quantity));
    const coords = `LINESTRING(${places.map(pair).join(",")})`;
    const {domain, ranges} = await this.ask("trajectory", coords, names, {datetime});
    const steps = domain.axes.composite.values.map(([, lng, lat]) => ({lat, lng}));
    let walked = 0;
    const far = steps.map((step, index) => {
      if (index) walked += pathLength([steps[index - 1], step]);
      return +walked.toFixed(2);
    });
    const series = sources.map((source) => ({...source, points: far.map((x, index) => ({
      x, ...valued(ranges, source, quantity, index)}))}));
    return {series, places: new Map(far.map((x, index) => [x, steps[index]]))};
  }

  // Statistics in a ring: of every date, or of one where all are too much for one request.
  async zone(ring, quantity, minus, datetime) {
    const sources = this.having(quantity).filter(({id}) => id !== minus);
    const names = sources.map(({id}) => `${id}.${quantity}`);
    const coords = `POLYGON((${[...ring, ring[0]].map(pair).join(",")}))`;
    const query = {minus: minus ? `${minus}.${quantity}` : undefined};
    try {
      return {sources, ...(await this.ask("zonal", coords, names, query))};
    } catch (error) {
      if (error.status !== 413) throw error;
      return {sources, shortened: error.message, ...(await this.ask("zonal", coords, names, {...query, datetime}))};
    }
  }

  // Sources that have a band, or all the bands of an index.
  having(quantity) {
    const needed = this.indices?.get(quantity) ?? [quantity];
    return this.sources.filter(({bands}) => needed.every((band) => bands.has(band)));
  }
}

// Each series minus the one of source `id`, at every x where both have a value; `half` stays.
export function lessSource(series, id) {
  const base = new Map(series.find((one) => one.id === id)?.points.map(({x, y}) => [x, y]));
  return series.filter((one) => one.id !== id).map((one) => ({...one, points: one.points.map(({x, y, half}) => {
    const taken = base.get(x) ?? null;
    return {x, y: y === null || taken === null ? null : y - taken, half};
  })}));
}

function namesOf({id, model, interval}, quantity) {
  return [`${id}.${quantity}`, ...(interval.has(quantity) ? [`interval.${model}.${quantity}`] : [])];
}

function valued(ranges, {id, model, interval}, quantity, index) {
  const y = ranges[`${id}.${quantity}`].values[index];
  return interval.has(quantity) ? {y, half: ranges[`interval.${model}.${quantity}`].values[index]} : {y};
}

function pair({lat, lng}) {
  return `${lng.toFixed(7)} ${lat.toFixed(7)}`;
}

function point(place) {
  return `POINT(${pair(place)})`;
}
