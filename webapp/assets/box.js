// Boxes on the map: drawing one with mouse, pen or finger, and [west, south, east, north] as bounds.
import * as L from "./leaflet/leaflet.js";

const KM_PER_DEGREE = 111.32;

export class BoxDrawing {
  // onBox([west, south, east, north]) when the person lets go
  constructor(map, onBox) {
    Object.assign(this, {map, onBox, active: false, first: null});
    this.shape = L.rectangle([[0, 0], [0, 0]], {color: "#ffb000", weight: 2, dashArray: "4", interactive: false});
    const frame = map.getContainer();
    frame.addEventListener("pointerdown", (event) => this.begin(event));
    frame.addEventListener("pointermove", (event) => this.move(event));
    frame.addEventListener("pointerup", (event) => this.finish(event));
  }

  start() {
    this.active = true;
    this.map.dragging.disable();
    this.map.getContainer().classList.add("asking", "drawing");
  }

  stop() {
    this.active = false;
    this.first = null;
    this.shape.remove();
    this.map.dragging.enable();
    this.map.getContainer().classList.remove("asking", "drawing");
  }

  begin(event) {
    if (!this.active || !event.isPrimary) return;
    this.first = this.map.mouseEventToLatLng(event);
    this.shape.setBounds([this.first, this.first]).addTo(this.map);
  }

  move(event) {
    if (this.first) this.shape.setBounds(L.latLngBounds(this.first, this.map.mouseEventToLatLng(event)));
  }

  finish(event) {
    if (!this.first) return;
    const box = L.latLngBounds(this.first, this.map.mouseEventToLatLng(event));
    this.stop();
    this.onBox([box.getWest(), box.getSouth(), box.getEast(), box.getNorth()]);
  }
}

// Roughly, as on a sphere; the server judges by the same.
export function areaKm2([west, south, east, north]) {
  const shrink = Math.cos(((south + north) / 2) * (Math.PI / 180));
  return Math.abs((east - west) * (north - south)) * KM_PER_DEGREE ** 2 * shrink;
}

export function boundsOf([west, south, east, north]) {
  return L.latLngBounds([south, west], [north, east]);
}
