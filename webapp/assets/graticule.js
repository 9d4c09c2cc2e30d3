// Meridians and parallels over the map, at round degrees, labelled at the edge of the view.
import * as L from "./leaflet/leaflet.js";
import {element} from "./dom.js";

const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];
const APART_PX = 150; // at least, from line to line
const LABEL_PX = {left: 6, top: 74, bottom: 122}; // of the edge: above are captions, below the notice and the bars

export class Graticule {
  constructor(map, strings) {
    Object.assign(this, {map, strings, lines: L.layerGroup()});
    this.redraw = () => this.draw();
  }

  show(on) {
    const {map, lines} = this;
    if (on && !map.getPane("graticule")) {
      Object.assign(map.createPane("graticule").style, {zIndex: 630, pointerEvents: "none"});
      this.renderer = L.svg({pane: "graticule", padding: 0.2});
    }
    map[on ? "on" : "off"]("moveend resize", this.redraw);
    if (!on) {
      lines.remove();
      return;
    }
    lines.addTo(map);
    this.draw();
  }

  draw() {
    const {map, lines} = this;
    lines.clearLayers();
    const bounds = map.getBounds();
    const size = map.getSize();
    const step = stepFor((bounds.getEast() - bounds.getWest()) / size.x);
    const digits = Math.max(0, Math.ceil(-Math.log10(step)));
    for (const lng of multiples(bounds.getWest(), bounds.getEast(), step)) {
      this.line([[bounds.getSouth(), lng], [bounds.getNorth(), lng]]);
      const {x} = map.latLngToContainerPoint([bounds.getSouth(), lng]);
      this.label([x, size.y - LABEL_PX.bottom], degrees(lng, digits, "E", "W"), "meridian");
    }
    for (const lat of multiples(bounds.getSouth(), bounds.getNorth(), step)) {
      this.line([[lat, bounds.getWest()], [lat, bounds.getEast()]]);
      const {y} = map.latLngToContainerPoint([lat, bounds.getWest()]);
      if (y < size.y - LABEL_PX.bottom - 12 && y > LABEL_PX.top) this.label([LABEL_PX.left, y], degrees(lat, digits, "N", "S"), "parallel");
    }
  }

  line(places) {
    const {renderer} = this;
    for (const [color, weight] of [["#10202c", 2.5], ["#ffffff", 1]]) {
      L.polyline(places, {pane: "graticule", renderer, interactive: false, color, weight, opacity: 0.55}).addTo(this.lines);
    }
  }

  label(at, text, name) {
    const html = element("span", {}, text);
    const icon = L.divIcon({className: `degrees ${name}`, html, iconSize: [0, 0]});
    L.marker(this.map.containerPointToLatLng(at), {pane: "graticule", icon, zIndexOffset: 10_000, interactive: false, keyboard: false}).addTo(this.lines);
  }
}

function stepFor(degreesPerPixel) {
  const least = APART_PX * degreesPerPixel;
  return [...STEPS].reverse().find((step) => step >= least) ?? STEPS[0];
}

function multiples(low, high, step) {
  const first = Math.ceil(low / step);
  return Array.from({length: Math.max(0, Math.floor(high / step) - first + 1)}, (_, index) => (first + index) * step);
}

function degrees(value, digits, positive, negative) {
  return `${Math.abs(value).toFixed(digits)}° ${value < 0 ? negative : positive}`;
}
