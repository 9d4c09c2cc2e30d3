// Overlays: pictures that the operator has registered, drawn over the map, beneath it, or on one
// side of the comparison; and files of the visitor's own. A visitor names no address: overlays are
// chosen from a list, and come through this server.
import * as L from "./leaflet/leaflet.js";
import {element, fill} from "./dom.js";
import {filePart} from "./geojson.js";
import {CubeTiles} from "./tiles.js";

// Where an overlay can lie: the pane, and its place in it. In the pane of a side it is cut, faded
// and blinked like the side's own layer, in every mode of comparing.
const PLACES = {
  over: {pane: "overlay-over", zIndex: 1},
  left: {pane: "side-left", zIndex: 9},
  right: {pane: "side-right", zIndex: 9},
  beneath: {pane: "overlay-beneath", zIndex: 1},
};
const DEEPEST = 22;
const FIRST_OPACITY = 0.7;

export function overlaysTool(explorer) {
  const {map, strings, api} = explorer;
  map.createPane("overlay-over").classList.add("overlay-over");
  map.createPane("overlay-beneath").classList.add("overlay-beneath");
  const body = element("div", {className: "overlays"});
  const list = element("div");
  const credit = element("div", {className: "overlay-credit", role: "note"});
  credit.hidden = true;
  explorer.furniture.foot.prepend(credit);
  const shown = new Map();
  const tell = () => describe(credit, [...shown.values()], strings);
  body.append(element("h3", {}, strings.overlays_registered), list, filePart(explorer));
  const load = async () => {
    try {
      const {overlays} = await api.json(["overlays"]);
      const rows = overlays.map((overlay) => new Row(explorer, overlay, shown, tell).box);
      list.replaceChildren(...(rows.length ? rows : [element("p", {className: "small"}, strings.overlays_none)]));
      loaded = true;
    } catch (error) {
      list.replaceChildren(element("p", {className: "refused", role: "alert"}, error.message));
    }
  };
  let loaded = false;
  return {id: "overlays", icon: "▦", title: strings.overlays_title, body,
          onOpen: () => { if (!loaded) load(); }};
}

// One overlay of the list: a switch, and what can be set while it is on.
class Row {
  constructor(explorer, overlay, shown, tell) {
    Object.assign(this, {explorer, overlay, shown, tell, strings: explorer.strings});
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
    return select;
  }

  opacityControl() {
    const {strings, overlay} = this;
    const range = element("input", {type: "range", min: "0", max: "100", step: "5", value: String(100 * this.opacity),
                                    "aria-label": fill(strings.overlays_opacity, {title: overlay.title})});
    const value = element("output", {}, `${Math.round(100 * this.opacity)} %`);
    range.addEventListener("input", () => {
      this.opacity = Number(range.value) / 100;
      value.textContent = `${range.value} %`;
      this.tiles?.setOpacity(this.opacity);
    });
    const row = element("span", {className: "overlay-opacity"});
    row.append(range, value);
    return row;
  }

  draw() {
    const {explorer, overlay, place} = this;
    const busy = `overlay-${overlay.id}`;
    this.tiles?.remove();
    this.tiles = null;
    this.shown.delete(overlay.id);
    this.note.hidden = true;
    explorer.busy.set(busy, false);
    this.settings.hidden = !this.toggle.checked;
    if (this.toggle.checked) {
      this.tiles = new CubeTiles(this.source(), {
        ...PLACES[place], opacity: this.opacity, bounds: boundsOf(overlay), minZoom: overlay.minzoom,
        maxNativeZoom: overlay.maxzoom, maxZoom: DEEPEST});
      this.tiles.on("waiting", ({waiting}) => explorer.busy.set(busy, waiting > 0));
      this.tiles.addTo(explorer.map);
      this.shown.set(overlay.id, {overlay, place});
    }
    this.tell();
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

function boundsOf({bounds: [west, south, east, north]}) {
  return L.latLngBounds([south, west], [north, east]);
}
