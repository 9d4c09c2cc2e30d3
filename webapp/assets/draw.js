// A figure drawn on the map by clicks or by keys: a point, a line or a polygon. With the map in
// focus the arrows move it, Enter sets a place at its centre, Backspace takes the last one back,
// Escape begins anew; the same place twice (a double click) ends the figure.
import * as L from "./leaflet/leaflet.js";

const SAME_PX = 5;
const LEAST = {point: 1, line: 2, polygon: 3};
const STYLE = {pane: "sketch", interactive: false, color: "#00dcff", weight: 2.5};

export class Sketch {
  // hooks: onChange(places), onDone(places): [{lat, lng}]; free(): whether clicks are for us;
  // `most` bounds the places of a figure
  constructor(map, {onChange = () => {}, onDone, free = () => true, most = 200}) {
    Object.assign(this, {map, onChange, onDone, free, most, kind: null, places: [], done: false});
    if (!map.getPane("sketch")) {
      Object.assign(map.createPane("sketch").style, {zIndex: 645, pointerEvents: "none"});
    }
    this.renderer = L.svg({pane: "sketch", padding: 1});
    this.marks = L.layerGroup();
    this.clicked = ({latlng}) => { if (this.free()) this.add(latlng); };
    this.keyed = (event) => this.key(event);
  }

  start(kind) {
    this.stop();
    this.kind = kind;
    this.map.on("click", this.clicked);
    this.map.getContainer().addEventListener("keydown", this.keyed);
    this.map.getContainer().classList.add("sketching");
    this.map.doubleClickZoom.disable();
    this.marks.addTo(this.map);
  }

  stop() {
    if (!this.kind) return;
    this.kind = null;
    this.map.off("click", this.clicked);
    this.map.getContainer().removeEventListener("keydown", this.keyed);
    this.map.getContainer().classList.remove("sketching");
    this.map.doubleClickZoom.enable();
    this.clear();
    this.marks.remove();
  }

  get complete() {
    return this.places.length >= LEAST[this.kind];
  }

  key(event) {
    if (event.target !== this.map.getContainer() || !this.free()) return;
    if (event.key === "Enter") this.add(this.map.getCenter());
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Escape" && this.places.length) this.clear();
    else return;
    event.preventDefault();
  }

  add(latlng) {
    const {lat, lng} = latlng.wrap();
    if (this.done || this.kind === "point") this.places = [];
    const last = this.places[this.places.length - 1];
    if (last && this.near(last, {lat, lng})) return this.finish();
    if (this.places.length >= this.most) return;
    this.done = false;
    this.places = [...this.places, {lat, lng}];
    if (this.kind === "point") this.finish();
    else this.changed();
  }

  near(one, other) {
    const [a, b] = [one, other].map((place) => this.map.latLngToContainerPoint(place));
    return a.distanceTo(b) < SAME_PX;
  }

  undo() {
    this.done = false;
    this.places = this.places.slice(0, -1);
    this.changed();
  }

  clear() {
    this.done = false;
    this.places = [];
    this.changed();
  }

  finish() {
    if (!this.complete) return;
    this.done = true;
    this.changed();
    this.onDone(this.places);
  }

  // Show a figure that was not drawn here.
  put(places) {
    this.places = places;
    this.finish();
  }

  changed() {
    this.draw();
    this.onChange(this.places);
  }

  draw() {
    this.marks.clearLayers();
    const {places, renderer} = this;
    const style = {...STYLE, renderer};
    const under = {...style, color: "#10202c", weight: 5, opacity: 0.7}; // seen on bright ground, too
    for (const look of [under, style]) {
      if (this.kind === "polygon" && places.length > 2) {
        L.polygon(places, {...look, fill: look === style, fillOpacity: 0.08}).addTo(this.marks);
      } else if (places.length > 1) L.polyline(places, look).addTo(this.marks);
    }
    const few = places.length <= 60;
    for (const place of few ? places : []) {
      L.circleMarker(place, {...style, color: "#10202c", weight: 1.5, radius: this.kind === "point" ? 6 : 4,
                             fillColor: "#00dcff", fillOpacity: 1}).addTo(this.marks);
    }
    this.spot?.addTo(this.marks);
  }

  // Mark a place on a figure, such as the one under the pointer in a chart; null for none.
  point(place) {
    this.spot?.remove();
    this.spot = place && L.circleMarker(place, {...STYLE, renderer: this.renderer, color: "#10202c",
                                                radius: 6, weight: 2, fillColor: "#ffb000", fillOpacity: 1});
    this.spot?.addTo(this.marks);
  }
}
