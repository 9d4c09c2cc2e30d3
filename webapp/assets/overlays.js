// Overlays: pictures that the operator has registered, drawn over the map, beneath it, or on one
// side of the comparison; and files of the visitor's own. A visitor names no address: overlays are
// chosen from a list, and come through this server.
import {boundsOf} from "./box.js";
import {element, fill} from "./dom.js";
import {filePart} from "./geojson.js";
import {CubeTiles} from "./tiles.js";

// Where an overlay can lie: the pane, and its place in it. In the pane of a side it is cut, faded
// and blinked like the side's own layer, in every mode of comparing.
export const PLACES = {
  over: {pane: "overlay-over", zIndex: 1},
  left: {pane: "side-left", zIndex: 9},
  right: {pane: "side-right", zIndex: 9},
  beneath: {pane: "overlay-beneath", zIndex: 1},
};
const DEEPEST = 22;
const FIRST_OPACITY = 0.7;

export function overlaysTool(explorer) {
  const overlays = new Overlays(explorer);
  explorer.overlays = overlays;
  return {id: "overlays", icon: "▦", title: explorer.strings.overlays_title, body: overlays.body,
          onOpen: () => overlays.open()};
}

// All that can be laid over the map, and what is: the part of the link that says so is read and
// written here.
class Overlays {
  constructor(explorer) {
    const {map, strings} = explorer;
    Object.assign(this, {explorer, strings, rows: null, wanted: null, shown: new Map()});
    map.createPane("overlay-over").classList.add("overlay-over");
    map.createPane("overlay-beneath").classList.add("overlay-beneath");
    this.body = element("div", {className: "overlays"});
    this.list = element("div");
    this.credit = element("div", {className: "overlay-credit", role: "note"});
    this.credit.hidden = true;
    explorer.furniture.foot.prepend(this.credit);
    this.body.append(element("h3", {}, strings.overlays_registered), this.list, filePart(explorer));
  }

  async open() {
    try {
      await this.load();
    } catch (error) {
      this.list.replaceChildren(element("p", {className: "refused", role: "alert"}, error.message));
    }
  }

  // Ask for the list, once.
  async load() {
    if (this.rows) return;
    const {overlays} = await this.explorer.api.json(["overlays"]);
    if (this.rows) return; // asked for twice at the same time
    this.rows = new Map(overlays.map((overlay) => [overlay.id, new Row(this, overlay)]));
    const boxes = [...this.rows.values()].map(({box}) => box);
    this.list.replaceChildren(...(boxes.length ? boxes : [element("p", {className: "small"}, this.strings.overlays_none)]));
  }

  // What is on, the lowest first: [{id, place, opacity}].
  get state() {
    return [...this.shown.values()].map(({overlay: {id}, place, opacity}) => ({id, place, opacity}));
  }

  // Show these and no others, as soon as there is a collection beneath them; resolves with the ids
  // of those that are not there (any more).
  async restore(wanted) {
    if (!wanted.length && !this.shown.size) return [];
    try {
      await this.load();
    } catch (error) {
      this.explorer.complain(error);
      return [];
    }
    this.wanted = wanted;
    if (this.explorer.collection) this.arrive();
    return wanted.map(({id}) => id).filter((id) => !this.rows.has(id));
  }

  // The map has come to its place: lay what a link asked for.
  arrive() {
    if (!this.wanted) return;
    const wanted = this.wanted;
    this.wanted = null;
    for (const row of [...this.shown.values()]) row.set(null);
    for (const one of wanted) this.rows.get(one.id)?.set(one);
  }

  // Something has been laid otherwise: name it on the map, and in the address.
  changed() {
    describe(this.credit, [...this.shown.values()], this.strings);
    this.explorer.linkSoon();
  }
}

// One overlay of the list: a switch, and what can be set while it is on.
class Row {
  constructor(overlays, overlay) {
    const {explorer, strings} = overlays;
    Object.assign(this, {overlays, explorer, overlay, strings});
    this.place = overlay.basemap ? "beneath" : "over";
    this.opacity = overlay.basemap ? 1 : FIRST_OPACITY;
    this.box = element("div", {className: "overlay-row"});
    this.toggle = element("input", {type: "checkbox"});
    this.toggle.addEventListener("change", () => this.draw());
    const label = element("label");
    label.append(this.toggle, ` ${overlay.title}`);
    this.settings = element("div", {className: "overlay-settings"});
    this.settings.hidden = true;
    this.settings.append(this.placeControl(), this.opacityControl());
    this.note = element("p", {className: "refused", role: "status"});
    this.note.hidden = true;
    this.box.append(label, this.settings, this.note);
  }

  // Lay it as a link says, or take it away (null).
  set(wanted) {
    this.toggle.checked = wanted !== null;
    if (wanted) {
      Object.assign(this, {place: wanted.place, opacity: wanted.opacity});
      this.select.value = wanted.place;
      this.range.value = String(Math.round(100 * wanted.opacity));
      this.tellOpacity();
    }
    this.draw();
  }

  placeControl() {
    const {strings, overlay} = this;
    const select = element("select", {"aria-label": fill(strings.overlays_place, {title: overlay.title})});
    for (const name of Object.keys(PLACES)) {
      const option = element("option", {value: name}, strings[`overlays_${name}`]);
      option.selected = name === this.place;
      select.append(option);
    }
    select.addEventListener("change", () => {
      this.place = select.value;
      this.draw();
    });
    this.select = select;
    return select;
  }

  opacityControl() {
    const {strings, overlay} = this;
    const range = element("input", {type: "range", min: "0", max: "100", step: "5", value: String(100 * this.opacity),
                                    "aria-label": fill(strings.overlays_opacity, {title: overlay.title})});
    const value = element("output");
    range.addEventListener("input", () => {
      this.opacity = Number(range.value) / 100;
      this.tellOpacity();
      this.tiles?.setOpacity(this.opacity);
      this.overlays.changed();
    });
    Object.assign(this, {range, value});
    this.tellOpacity();
    const row = element("span", {className: "overlay-opacity"});
    row.append(range, value);
    return row;
  }

  tellOpacity() {
    this.value.textContent = `${this.range.value} %`;
  }

  draw() {
    const {explorer, overlay, place, overlays: {shown}} = this;
    const busy = `overlay-${overlay.id}`;
    this.tiles?.remove();
    this.tiles = null;
    shown.delete(overlay.id);
    this.note.hidden = true;
    explorer.busy.set(busy, false);
    this.settings.hidden = !this.toggle.checked;
    if (this.toggle.checked) {
      this.tiles = new CubeTiles(this.source(), {
        ...PLACES[place], opacity: this.opacity, bounds: boundsOf(overlay.bounds), minZoom: overlay.minzoom,
        maxNativeZoom: overlay.maxzoom, maxZoom: DEEPEST});
      this.tiles.on("waiting", ({waiting}) => explorer.busy.set(busy, waiting > 0));
      this.tiles.addTo(explorer.map);
      shown.set(overlay.id, this);
    }
    this.overlays.changed();
  }

  source() {
    const {explorer: {api}, overlay} = this;
    const path = ["overlays", overlay.id, "tiles", "WebMercatorQuad"];
    return {
      api,
      url: ({x, y, z}) => api.url([...path, String(z), String(x), String(y)]),
      onProblem: (problem) => {
        this.note.textContent = problem.message;
        this.note.hidden = false;
      },
    };
  }
}

// What lies over the measured and the inferred pixels has to be named on the map itself.
function describe(credit, rows, strings) {
  const lines = rows.map(({overlay: {title, attribution}, place}) => {
    const where = strings[`overlays_${place}`];
    return element("div", {}, [`${title} (${where})`, attribution].filter(Boolean).join(" · "));
  });
  credit.replaceChildren(...lines);
  credit.hidden = !lines.length;
}
