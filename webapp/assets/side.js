// One side of the comparison: its pane, the tiles in it, and the label that says what they are.
// Where super-resolution has not been computed yet the measured pixels show through, in grey, so
// that nobody takes them for the model's answer.
import {areThere, DIFFERENCE, differenceTitle, operandQuery} from "./difference.js";
import {element, fill} from "./dom.js";
import {CubeTiles} from "./tiles.js";

const COMPUTED_KINDS = ["inferred", "explanation", "uncertainty", "audit"];
const BANDED_KINDS = ["measured", "inferred", "truth"]; // whose pixels are bands, to choose from
const INDEX_LOOK = {colormap: "rdylgn", range: "-1,1"}; // what the server takes where none is named

export class Side {
  constructor(map, {name, api, strings, onWaiting, onProblem}) {
    Object.assign(this, {map, name, api, strings, onWaiting, onProblem});
    this.pane = map.createPane(`side-${name}`, map.getPane("sides") ?? map.createPane("sides"));
    this.pane.classList.add("side");
    this.caption = element("div", {className: `caption ${name}`, role: "note"});
    this.layers = {};
    this.role = element("span", {className: "role"});
    map.getContainer().append(this.caption);
  }

  get computed() {
    return this.what?.operands.some(({layer}) => COMPUTED_KINDS.includes(layer.kind)) ?? false;
  }

  get banded() {
    return BANDED_KINDS.includes(this.layer?.kind);
  }

  get differs() {
    return this.layer?.kind === DIFFERENCE;
  }

  // what: {collection, scene, layer, model, modelTitle, operands, lacking, bands, index, indexTitle,
  // colormap, rescale, smooth}; either `bands` or `index` is empty; `lacking` are bands that no model
  // here makes: then the measured ones are shown, as they are where nothing is computed yet. `operands` are what it is drawn from, see
  // difference.js, each with the `title` of its model: the layer itself, or the two of a difference.
  show(what) {
    this.what = what;
    this.layer = what.layer;
    const onDate = what.layer && areThere(what.operands, what.collection);
    const there = onDate && !what.lacking.length;
    const measured = what.collection.layers.find(({kind}) => kind === "measured");
    this.place("top", there ? what.layer : null, {zIndex: 2});
    // Asked for after what stands on top of it on either side, which is what people look at.
    this.ground = onDate && this.computed ? measured : null;
    queueMicrotask(() => this.place("beneath", this.ground, {zIndex: 1, className: "pending"}));
    this.describe(there, onDate);
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
    const {collection, scene, smooth} = this.what;
    const query = {
      datetime: scene.datetime,
      ...this.asked(layer),
      resampling: smooth ? "bilinear" : "nearest",
      v: this.version(layer),
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

  // What a layer's tiles depend on besides what is asked of them; of a difference, both operands'.
  version(layer) {
    const {model, operands} = this.what;
    if (layer.kind === DIFFERENCE) return operands.map(versionOf).join("-");
    return versionOf({layer, model});
  }

  // What to ask of a layer's tiles beside date and resampling: model and look, or the two operands.
  asked(layer) {
    const {model, operands, bands, index, colormap, rescale} = this.what;
    const look = {bands: index ? undefined : bands, index, rescale};
    if (layer.kind === DIFFERENCE) return {...operandQuery(operands), ...look, colormap};
    const banded = BANDED_KINDS.includes(layer.kind) && !this.differs; // beneath it: true colour
    return {model: layer.models.length ? model : undefined,
            ...(banded && {...look, colormap: index && colormap})};
  }

  // What the tools are told of this side, see Explorer.seen().
  seen() {
    const {layer, model, modelTitle, operands, scene, bands, index, colormap, rescale, smooth} = this.what;
    const template = layer && this.source(layer).url({x: "{x}", y: "{y}", z: "{z}"}, "");
    return {layer, model, modelTitle, operands, datetime: scene.datetime, bands, index, colormap, rescale, smooth,
            title: this.title, template: template?.replace(/%7B([xyz])%7D/g, "{$1}")};
  }

  get title() {
    const {layer, modelTitle, operands, index, bands} = this.what ?? {};
    if (!layer) return this.strings.loading;
    if (this.differs) return differenceTitle(operands, index || bands, this.strings);
    return layer.models.length && modelTitle ? `${layer.title} · ${modelTitle}` : layer.title;
  }

  // The legend of what is shown: that of an index, or the layer's own; null for colours.
  get legend() {
    const {index, indexTitle, bands, colormap, rescale} = this.what;
    if (this.differs) {
      const [min, max] = rescale.split(",");
      return {min, max, units: fill(this.strings.difference_units, {what: index || bands}), colormap};
    }
    if (!this.banded || !index) return this.layer.legend;
    const [min, max] = (rescale || INDEX_LOOK.range).split(",");
    return {min, max, units: indexTitle || index, colormap: colormap || INDEX_LOOK.colormap};
  }

  // Say what part this side has in the comparison, and whether it cannot be seen just now.
  setRole(text, hidden) {
    this.role.textContent = text;
    this.role.hidden = !text;
    this.caption.classList.toggle("out-of-sight", hidden);
  }

  // Fetch again what could not be had.
  retry() {
    for (const tiles of Object.values(this.layers)) tiles.retry();
  }

  describe(there, onDate) {
    const {lacking} = this.what;
    const date = this.what.scene.datetime.slice(0, 10);
    const parts = [this.role, element("strong", {}, this.title), element("span", {className: "date"}, date)];
    const absent = onDate ? fill(this.strings.layer_lacks, {bands: lacking.join(", ")}) : this.strings.layer_absent;
    if (!there) parts.push(element("span", {className: "absent"}, absent));
    if (there && this.legend) parts.push(drawLegend(this.legend, this.api));
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

function versionOf({layer, model}) {
  return layer.versions[layer.models.length ? model : ""];
}

function drawLegend({min, max, units, colormap, classes}, api) {
  if (classes) return classLegend(classes);
  const bar = element("span", {className: "ramp"});
  api.colours(colormap).then(
    (colours) => { bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`; },
    () => {}); // told where tiles fail, too
  const scale = element("span", {className: "ends"});
  scale.append(short(min), bar, short(max));
  const box = element("span", {className: "legend"});
  box.append(scale, element("span", {className: "units"}, units ?? ""));
  return box;
}

function short(number) {
  return String(+Number(number).toPrecision(3));
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
