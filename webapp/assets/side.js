// One side of the comparison: its pane, the tiles in it, and the label that says what they are.
// Where super-resolution has not been computed yet the measured pixels show through, in grey, so
// that nobody takes them for the model's answer.
import {CubeTiles} from "./tiles.js";
import {element} from "./dom.js";

const RAMPS = {
  viridis: ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"],
  magma: ["#000004", "#51127c", "#b73779", "#fc8961", "#fcfdbf"],
  greys: ["#000000", "#ffffff"],
};
const COMPUTED_KINDS = ["inferred", "explanation", "uncertainty", "audit"];

export class Side {
  constructor(map, {name, api, strings, onWaiting, onProblem}) {
    Object.assign(this, {map, name, api, strings, onWaiting, onProblem});
    this.pane = map.createPane(`side-${name}`);
    this.pane.classList.add("side");
    this.caption = element("div", {className: `caption ${name}`, role: "note"});
    this.layers = {};
    map.getContainer().append(this.caption);
  }

  get computed() {
    return COMPUTED_KINDS.includes(this.layer?.kind);
  }

  // what: {collection, scene, layer, model, modelTitle, bands, rescale, smooth}
  show(what) {
    this.what = what;
    this.layer = what.layer;
    const there = what.layer && what.scene.layers.includes(what.layer.id);
    const measured = what.collection.layers.find(({kind}) => kind === "measured");
    this.place("beneath", there && this.computed ? measured : null, {zIndex: 1, className: "pending"});
    this.place("top", there ? what.layer : null, {zIndex: 2});
    this.describe(there);
  }

  place(slot, layer, options) {
    const source = layer && this.source(layer);
    const known = this.layers[slot];
    if (known && source && known.source.identity === source.identity) {
      if (known.source.key !== source.key) known.setSource(source);
      return;
    }
    known?.remove();
    delete this.layers[slot];
    if (!source) return;
    const tiles = new CubeTiles(source, {
      pane: `side-${this.name}`, bounds: this.what.collection.bounds, maxZoom: 22, ...options,
    });
    tiles.on("waiting", () => this.mark());
    this.layers[slot] = tiles.addTo(this.map);
  }

  source(layer) {
    const {collection, scene, model, bands, rescale, smooth} = this.what;
    const coloured = !["explanation", "uncertainty", "audit"].includes(layer.kind);
    const query = {
      datetime: scene.datetime,
      model: layer.models.length ? model : undefined,
      bands: coloured ? bands : undefined,
      rescale: coloured ? rescale : undefined,
      resampling: smooth ? "bilinear" : "nearest",
      v: collection.generation,
    };
    const path = ["collections", collection.id, "layers", layer.id, "tiles", "WebMercatorQuad"];
    return {
      api: this.api,
      onProblem: this.onProblem,
      identity: `${collection.id}/${layer.id}`,
      key: JSON.stringify(query),
      url: ({x, y, z}, suffix) =>
        this.api.url([...path, String(z), String(x), String(y)], query).replace("?", `${suffix}?`),
    };
  }

  // What the tools are told of this side, see Explorer.seen().
  seen() {
    const {layer, model, modelTitle, scene, bands, rescale, smooth} = this.what;
    const template = layer && this.source(layer).url({x: "{x}", y: "{y}", z: "{z}"}, "");
    return {layer, model, modelTitle, datetime: scene.datetime, bands, rescale, smooth,
            title: this.title, template: template?.replace(/%7B([xyz])%7D/g, "{$1}")};
  }

  get title() {
    const {layer, modelTitle} = this.what ?? {};
    if (!layer) return this.strings.loading;
    return layer.models.length && modelTitle ? `${layer.title} · ${modelTitle}` : layer.title;
  }

  describe(there) {
    const date = this.what.scene.datetime.slice(0, 10);
    const parts = [element("strong", {}, this.title), element("span", {className: "date"}, date)];
    if (!there) parts.push(element("span", {className: "absent"}, this.strings.layer_absent));
    if (there && this.layer.legend) parts.push(legend(this.layer.legend));
    this.pendingNote = element("span", {className: "pending-note"}, this.strings.pending_note);
    this.pendingNote.hidden = true;
    parts.push(this.pendingNote);
    this.caption.replaceChildren(...parts);
    this.mark();
  }

  setPending(pending) {
    if (this.pendingNote) this.pendingNote.hidden = !(pending && this.computed);
  }

  mark() {
    const waiting = Object.values(this.layers).some((tiles) => tiles.waiting > 0);
    this.caption.classList.toggle("waiting", waiting);
    this.onWaiting(waiting);
  }

  refresh(bbox) {
    if (this.computed) this.layers.top?.refresh(bbox);
  }
}

function legend({min, max, units, colormap, classes}) {
  if (classes) return classLegend(classes);
  const colours = RAMPS[colormap] ?? RAMPS.greys;
  const bar = element("span", {className: "ramp"});
  bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  const scale = element("span", {className: "ends"});
  scale.append(String(min), bar, String(max));
  const box = element("span", {className: "legend"});
  box.append(scale, element("span", {className: "units"}, units ?? ""));
  return box;
}

function classLegend(classes) {
  const box = element("span", {className: "legend"});
  for (const {title, color} of classes) {
    const row = element("span", {className: "ends"});
    const patch = element("span", {className: "ramp"});
    patch.style.cssText = `background: ${color}; flex: none; min-width: 14px;`;
    row.append(patch, title);
    box.append(row);
  }
  return box;
}
