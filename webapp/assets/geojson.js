// A GeoJSON file of the visitor's own: read and drawn in the browser, sent nowhere. What it says
// is text, whatever it looks like; its size is bounded before it is read.
import * as L from "./leaflet/leaflet.js";
import {element, fill} from "./dom.js";

const MOST_BYTES = 10 * 1024 * 1024;
const MOST_FEATURES = 5000;
const MOST_POSITIONS = 200_000;
const MOST_ATTRIBUTES = 60;
const LONGEST_VALUE = 300;
const COLOURS = ["#ffb000", "#fe6100", "#dc267f", "#785ef0", "#648fff"]; // told apart by most eyes
const DEPTHS = {Point: 0, MultiPoint: 1, LineString: 1, MultiLineString: 2, Polygon: 2, MultiPolygon: 3};

class Unreadable extends Error {}

// The part of the tool that opens files and lists them.
export function filePart(explorer) {
  const {strings, map} = explorer;
  map.createPane("visitor").classList.add("visitor-pane");
  const box = element("div");
  const choose = element("input", {type: "file", accept: ".geojson,.json,application/geo+json",
                                   "aria-label": strings.overlays_file_choose});
  const note = element("p", {className: "refused", role: "alert"});
  note.hidden = true;
  const files = element("div");
  let count = 0;
  choose.addEventListener("change", async () => {
    const [file] = choose.files;
    choose.value = ""; // so that the same file can be chosen again
    if (!file) return;
    note.hidden = true;
    try {
      const features = await featuresOf(file, strings);
      files.append(new FileRow(explorer, file.name, features, COLOURS[count++ % COLOURS.length]).box);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      note.textContent = error.message;
      note.hidden = false;
    }
  });
  box.append(element("h3", {}, strings.overlays_file),
             element("p", {className: "small"}, strings.overlays_file_what), choose, note, files);
  return box;
}

// One opened file: its features on the map, and the attributes of the one that is looked at.
class FileRow {
  constructor(explorer, name, features, colour) {
    Object.assign(this, {explorer, strings: explorer.strings, layers: [], at: -1, colour});
    this.box = element("section", {className: "visitor-file", "aria-label": name});
    this.attributes = element("div", {"aria-live": "polite"});
    this.group = L.geoJSON(features, {
      pane: "visitor", renderer: L.svg({pane: "visitor"}), style: {color: colour, weight: 2, fillOpacity: 0.15},
      pointToLayer: (feature, place) => L.circleMarker(place, {pane: "visitor", radius: 6}),
      onEachFeature: (feature, layer) => this.add(layer),
    }).addTo(explorer.map);
    this.box.append(this.head(name), this.steps(), this.attributes);
  }

  add(layer) {
    const index = this.layers.push(layer) - 1;
    layer.on("click", () => {
      this.explorer.dock.show("overlays");
      this.look(index);
    });
  }

  head(name) {
    const {strings} = this;
    const head = element("div", {className: "visitor-head"});
    const patch = element("span", {className: "patch"});
    patch.style.background = this.colour;
    head.append(patch, element("strong", {}, name),
                this.button(strings.overlays_file_show, fill(strings.overlays_file_show_of, {name}), () => this.show()),
                this.button(strings.overlays_file_remove, fill(strings.overlays_file_remove_of, {name}), () => this.remove()));
    return head;
  }

  // From one feature to the next, also for who has no mouse.
  steps() {
    const {strings} = this;
    const row = element("div", {className: "visitor-steps"});
    this.count = element("span", {}, fill(strings.overlays_file_count, {count: this.layers.length}));
    row.append(this.button("‹", strings.overlays_file_previous, () => this.step(-1)), this.count,
               this.button("›", strings.overlays_file_next, () => this.step(1)));
    return row;
  }

  button(text, name, action) {
    const made = element("button", {type: "button", className: "action", "aria-label": name, title: name}, text);
    made.addEventListener("click", action);
    return made;
  }

  step(by) {
    const {length} = this.layers;
    this.look(this.at < 0 ? (by > 0 ? 0 : length - 1) : (this.at + by + length) % length);
  }

  look(index) {
    this.group.resetStyle();
    this.at = index;
    const layer = this.layers[index];
    layer.setStyle?.({weight: 5, fillOpacity: 0.3});
    this.count.textContent = fill(this.strings.overlays_file_at, {at: index + 1, count: this.layers.length});
    this.attributes.replaceChildren(table(layer.feature.properties, this.strings));
  }

  show() {
    const bounds = this.group.getBounds();
    if (bounds.isValid()) this.explorer.map.fitBounds(bounds, {maxZoom: 17, animate: false});
  }

  remove() {
    this.group.remove();
    this.box.remove();
  }
}

function table(properties, strings) {
  const pairs = Object.entries(properties ?? {});
  if (!pairs.length) return element("p", {className: "small"}, strings.overlays_file_bare);
  const list = element("dl");
  for (const [name, value] of pairs.slice(0, MOST_ATTRIBUTES)) {
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    list.append(element("dt", {}, name.slice(0, LONGEST_VALUE)), element("dd", {}, text.slice(0, LONGEST_VALUE)));
  }
  return list;
}

// The features of a file, checked; throws Unreadable with a sentence for the visitor.
async function featuresOf(file, strings) {
  if (file.size > MOST_BYTES) {
    throw new Unreadable(fill(strings.overlays_file_large, {most: MOST_BYTES / 1024 / 1024}));
  }
  let document;
  try {
    document = JSON.parse(await file.text());
  } catch {
    throw new Unreadable(strings.overlays_file_not_json);
  }
  const features = listed(document).filter(({geometry}) => geometry);
  if (!features.length) throw new Unreadable(strings.overlays_file_not_geojson);
  const left = {positions: MOST_POSITIONS};
  const many = features.length > MOST_FEATURES;
  if (many || !features.every(({geometry}) => fits(geometry, left, strings))) {
    throw new Unreadable(fill(strings.overlays_file_many, {features: MOST_FEATURES, positions: MOST_POSITIONS}));
  }
  return features;
}

function listed(document) {
  const {type} = document ?? {};
  if (type === "FeatureCollection" && Array.isArray(document.features)) {
    return document.features.filter((one) => one?.type === "Feature").map(plain);
  }
  if (type === "Feature") return [plain(document)];
  return type in DEPTHS || type === "GeometryCollection" ? [{type: "Feature", geometry: document}] : [];
}

// The parts of a feature that are looked at; a property that is no object holds no attributes.
function plain({geometry, properties}) {
  return {type: "Feature", geometry, properties: properties instanceof Object ? properties : {}};
}

// Whether a geometry keeps to the bound; throws Unreadable for one that is none.
function fits(geometry, left, strings) {
  if (geometry?.type === "GeometryCollection" && Array.isArray(geometry.geometries)) {
    return geometry.geometries.every((one) => one?.type in DEPTHS && fits(one, left, strings));
  }
  const depth = DEPTHS[geometry?.type];
  if (depth === undefined) throw new Unreadable(strings.overlays_file_not_geojson);
  return within(geometry.coordinates, depth, left, strings);
}

function within(coordinates, depth, left, strings) {
  if (!Array.isArray(coordinates)) throw new Unreadable(strings.overlays_file_not_geojson);
  if (depth > 0) return coordinates.every((one) => within(one, depth - 1, left, strings));
  const [lon, lat] = coordinates;
  if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 90)) throw new Unreadable(strings.overlays_file_degrees);
  left.positions -= 1;
  return left.positions >= 0;
}
