// The explorer's map: reads what to show from Panel's parameters, tells back what the server
// and the person did. Tiles and jobs go straight to the server, so a drag never waits for Python.
import * as L from "./leaflet/leaflet.js";
import {Address} from "./address.js";
import {Api} from "./api.js";
import {boundsOf} from "./box.js";
import {Compare} from "./compare.js";
import {Connection} from "./connection.js";
import {evenRange, lackingBands, operandQuery, operandsOf} from "./difference.js";
import {Dock} from "./dock.js";
import {Busy, debounced, fill} from "./dom.js";
import {addFurniture} from "./furniture.js";
import {firstVisit} from "./help.js";
import {inOwnWords} from "./layer_words.js";
import {embedded, readLink} from "./link.js";
import {openingOf} from "./opening.js";
import {Side} from "./side.js";
import {Why} from "./why.js";
import {Work} from "./work.js";

const MAX_ZOOM = 20;
const FIRST_ZOOM = [16, 17]; // a 10 m pixel is 6 to 13 screen pixels at 48 degrees north
const SIDES = ["left", "right"];
const NARROW = "(max-width: 600px)"; // where the sidebar becomes a drawer over the map

export class Explorer {
  // `tools` make the tools of the dock, in the order of their buttons.
  constructor(model, {root, frame, tools}) {
    Object.assign(this, {model, root, collection: null, collections: new Map()});
    this.strings = model.strings;
    this.busy = new Busy(root);
    this.api = new Api(model.api_url, this.strings);
    this.connection = new Connection(this.api, root, this.strings, {
      onBack: () => this.recover(), free: () => this.dock.open === null});
    this.map = L.map(frame, {zoomControl: false, attributionControl: false, maxZoom: MAX_ZOOM,
                             center: [0, 0], zoom: 2, fadeAnimation: !calm(), zoomAnimation: !calm()});
    this.furniture = addFurniture(this.map, this.strings, {
      onHome: () => this.home(), onCancel: () => this.work.cancel()});
    const side = (name) => new Side(this.map, {name, api: this.api, strings: this.strings,
                                               onWaiting: (waiting) => this.busy.set(name, waiting),
                                               onProblem: (problem) => this.complainOfTile(problem)});
    this.sides = {left: side("left"), right: side("right")};
    const soon = (action, waitMs) => debounced(action, waitMs, this.busy);
    this.dragSoon = soon(() => this.work.resolve({visible: true, quiet: true}), 400);
    this.linkSoon = soon(() => this.address.write(), 200);
    this.compare = new Compare(this.map, {
      sides: this.sides, strings: this.strings, foot: this.furniture.foot, calm: calm(),
      onMove: () => { this.dragSoon(); this.linkSoon(); }, onRest: () => this.compared()});
    this.work = new Work(this);
    this.address = new Address(this);
    this.why = new Why(this.map, this.api, this.strings, {
      target: (point) => this.work.explicable(point),
      onBusy: (busy) => this.busy.set("why", busy),
      onProblem: (problem) => this.complain(problem),
    });
    this.planSoon = soon(() => this.work.plan(), 250);
    this.followSoon = soon(() => this.work.resolve({visible: false, quiet: true}), 700);
    this.showSoon = soon(() => this.show(), 0);
    this.dock = new Dock(root, this.map, this.strings);
    for (const make of tools) this.dock.add(make(this));
    this.listen();
  }

  listen() {
    const {model, map} = this;
    model.on(["shown", "models"], () => this.showSoon());
    model.on("alert", () => {
      if (model.narrow || embedded()) this.furniture.tell({alert: model.alert.text});
    });
    model.on("dark", () => this.root.classList.toggle("dark", model.dark));
    model.on("follow", () => { if (model.follow) this.followSoon(); });
    model.on("products", () => {
      this.planSoon();
      if (model.follow) this.followSoon();
    });
    model.on("msg:custom", ({command}) => this.obey(command));
    map.on("moveend", () => {
      if (!this.collection) return;
      model.view = this.place();
      this.planSoon();
      this.linkSoon();
      if (model.follow) this.followSoon();
      this.dock.tell(this.seen());
    });
    this.root.classList.toggle("dark", model.dark);
    // Panel lays the page out after render; the map must learn of every later change, too.
    this.watcher = new ResizeObserver(() => map.invalidateSize({pan: false}));
    this.watcher.observe(map.getContainer());
  }

  // Python is told nothing before its document is `idle`.
  async open(idle) {
    const newcomer = firstVisit();
    this.busy.set("opening", true); // until Python has said what is shown
    try {
      const [{collections, unavailable, default: opening}, {models}] = await Promise.all([
        this.api.json(["collections"]), this.api.json(["models"])]);
      for (const collection of collections) {
        collection.bbox = collection.extent.spatial.bbox[0];
        inOwnWords(collection, this.strings, this.model.demo);
        this.collections.set(collection.id, collection);
      }
      if (!readLink(location.hash)) this.preview(collections, models, {preferred: opening, newcomer});
      await idle;
      Object.assign(this.model, {narrow: matchMedia(NARROW).matches, newcomer});
      const listed = this.listIndices(); // not waited for, unless the address names one
      if (/\.index=/.test(location.hash)) await listed;
      const link = await this.address.asked();
      // Told at one go: the answer to a part could cross the rest on its way.
      Object.assign(this.model, {models, opening: opening ?? ""});
      this.address.take(link);
      this.model.collections = collections;
      if (!openingOf(collections, {looks: []})) this.busy.set("opening", false);
      if (unavailable.length) this.complain({message: this.inDamage(unavailable)});
      else if (!collections.length) this.complain({message: this.strings.no_collections});
    } catch (error) {
      await idle;
      this.busy.set("opening", false);
      this.complain(error);
    }
  }

  // Which collections cannot be read, and why: what the server says of each, once.
  inDamage(unavailable) {
    return fill(this.strings.unavailable, {
      names: unavailable.map(({id}) => id).join(", "),
      reasons: [...new Set(unavailable.map(({reason}) => reason))].join("; ")});
  }

  // Have the first tiles fetched while the controls are still being drawn.
  preview(collections, models, wishes) {
    const shown = openingOf(collections, {...wishes, looks: this.model.looks});
    if (!shown) return;
    const collection = this.collections.get(shown.collection);
    this.previewed = collection;
    this.arrive(collection);
    const scene = collection.scenes.find(({datetime}) => datetime === shown.left.date);
    for (const name of SIDES) this.sides[name].show(this.what(collection, scene, shown[name], models));
    this.compare.draw();
  }

  async listIndices() {
    try {
      this.model.indices = (await this.api.json(["indices"])).indices;
    } catch (error) {
      this.complain(error);
    }
  }

  close() {
    this.address.close();
    this.watcher.disconnect();
    this.connection.close();
    this.compare.close();
    this.map.remove();
  }

  obey(command) {
    if (command === "run") this.work.resolve({visible: false, quiet: false});
    if (command === "cancel") this.work.cancel();
    if (command === "home") this.home();
    if (command.startsWith("stretch:")) this.stretch(command.slice("stretch:".length));
  }

  place() {
    const {lat, lng} = this.map.getCenter();
    return {lat, lon: lng, zoom: this.map.getZoom()};
  }

  // The way or the place of comparing has come to rest.
  compared() {
    this.linkSoon();
    this.dock.tell(this.seen());
  }

  // The server answers again: fetch what was missed.
  recover() {
    if (!this.collections.size) return this.open();
    for (const side of Object.values(this.sides)) side.retry();
    this.planSoon();
  }

  // Bring the map in line with the parameters.
  show() {
    const {model: {shown}} = this;
    const collection = this.collections.get(shown.collection);
    const scenes = Object.fromEntries(SIDES.map((name) => [
      name, collection?.scenes.find(({datetime}) => datetime === shown[name].date)]));
    if (!scenes.left || !scenes.right) return; // before there is a catalog
    const moved = collection !== this.collection;
    const key = JSON.stringify([shown.collection, this.work.targets(collection)]);
    const asked = key !== this.target;
    if (asked && this.target) this.work.cancel(); // what runs is for something no longer shown
    if (asked && this.why.active) this.why.set(true); // the answer was for something else
    Object.assign(this, {collection, target: key});
    this.busy.set("opening", false);
    if (moved && collection !== this.previewed) this.arrive(collection);
    this.previewed = null;
    for (const name of SIDES) this.sides[name].show(this.what(collection, scenes[name], shown[name]));
    this.compare.draw();
    this.dock.tell(this.seen());
    this.linkSoon();
    if (moved) this.work.resolve({visible: false, quiet: true, shrink: true});
    if (asked) {
      this.planSoon();
      if (!moved) this.followSoon();
    }
  }

  // What a side is to show, see Side.show().
  what(collection, scene, side, models = this.model.models) {
    const {layer, model: modelId, bands, index, colormap, rescale} = side;
    const {indices, shown: {smooth = false}} = this.model;
    const asked = index ? indices.find(({name}) => name === index)?.bands ?? [] : bands.split(",");
    const operands = operandsOf(collection, side);
    const titleOf = (wanted) => models.find(({id}) => id === wanted)?.title ?? wanted;
    return {
      collection: {...collection, bounds: boundsOf(collection.bbox)}, scene, smooth, model: modelId,
      layer: collection.layers.find(({id}) => id === layer), modelTitle: titleOf(modelId),
      operands: operands.map((one) => ({...one, title: titleOf(one.model)})),
      lacking: lackingBands(operands, asked),
      indexTitle: indices.find(({name}) => name === index)?.title, bands, index, colormap, rescale};
  }

  // Have a side drawn from the 2nd to the 98th percentile of what it shows in the view.
  async stretch(name) {
    const side = this.sides[name];
    const bbox = this.collection && (side.banded || side.differs) ? this.viewBox(false) : null;
    if (!bbox) return this.complain({message: this.strings.stretch_nothing});
    const {layer, model, operands, datetime, bands, index} = side.seen();
    const path = ["collections", this.collection.id, "layers", layer.id, "statistics"];
    const made = side.differs ? operandQuery(operands) : {model: layer.models.length ? model : ""};
    const query = {datetime, ...made, index, bands: index ? "" : bands, bbox: bbox.join(",")};
    this.busy.set("stretch", true);
    try {
      const {count, percentile_2: low, percentile_98: high} = await this.api.json(path, {query});
      const rescale = side.differs ? evenRange(low, high) : low < high && `${low},${high}`;
      if (count && rescale) this.model.stretched = {side: name, rescale, at: Date.now()};
      else this.complain({message: this.strings.stretch_nothing});
    } catch (error) {
      this.complain(error);
    } finally {
      this.busy.set("stretch", false);
    }
  }

  // What is seen now, for the tools; null before there is a collection. `mode` is one of MODES of
  // compare.js; `position` is the handle's, from the left edge. `left` and `right` are {layer:
  // document, model, modelTitle, operands, datetime, bands, index, colormap, rescale, smooth, title,
  // template}: where `index` is not empty it is drawn instead of the bands, by `colormap` (empty: the
  // server's choice); `rescale` is "low,high" or empty for the layer's own range; `template` is
  // the address of its tiles with {z}, {x} and {y}.
  seen() {
    const {collection, map, sides, compare} = this;
    if (!collection || !sides.left.what) return null;
    const {lat, lng} = map.getCenter();
    return {collection, bbox: this.viewBox(false), lat, lon: lng, zoom: map.getZoom(),
            mode: compare.mode, position: compare.position, left: sides.left.seen(), right: sides.right.seen()};
  }

  arrive(collection) {
    this.furniture.tell({notice: collection.notice, attribution: collection.attribution});
    this.home(collection);
    this.address.arrive();
    this.overlays.arrive();
  }

  // The middle of the collection, near enough that single 10 m pixels can be seen.
  home(collection = this.collection) {
    if (!collection) return;
    const bounds = boundsOf(collection.bbox);
    this.map.invalidateSize({pan: false});
    this.map.setMaxBounds(null);
    const whole = this.map.getBoundsZoom(bounds, false);
    this.map.setMinZoom(Math.max(0, Math.min(whole - 1, FIRST_ZOOM[0])));
    const filling = this.map.getBoundsZoom(bounds, true);
    const zoom = Math.min(Math.max(filling, FIRST_ZOOM[0]), FIRST_ZOOM[1]);
    this.map.setView(bounds.getCenter(), zoom, {animate: false});
    this.map.setMaxBounds(bounds.pad(1));
  }

  // [west, south, east, north] of the view inside the collection, or null; `visible` keeps only
  // the part in which a computed layer can be seen.
  viewBox(visible) {
    const {map, compare, sides: {left, right}} = this;
    const size = map.getSize();
    const computed = {left: left.computed, right: right.computed};
    const part = visible ? compare.seen(computed) : [[0, 0], [size.x, size.y]];
    if (!part || part[1][0] - part[0][0] < 1 || part[1][1] - part[0][1] < 1) return null;
    const seen = L.latLngBounds(part.map((corner) => map.containerPointToLatLng(corner)));
    const [west, south, east, north] = this.collection.bbox;
    const box = [Math.max(seen.getWest(), west), Math.max(seen.getSouth(), south),
                 Math.min(seen.getEast(), east), Math.min(seen.getNorth(), north)];
    return box[0] < box[2] && box[1] < box[3] ? box.map((degrees) => +degrees.toFixed(7)) : null;
  }

  // That the server cannot be reached is said by the connection's own banner.
  complainOfTile(problem) {
    if (problem.code !== "Network") this.complain(problem);
  }

  complain(problem) {
    this.model.problem = {text: problem.message, at: Date.now()};
  }
}

function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
