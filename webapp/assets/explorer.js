// The explorer's map: reads what to show from Panel's parameters, tells back what the server
// and the person did. Tiles and jobs go straight to the server, so a drag never waits for Python.
import * as L from "./leaflet/leaflet.js";
import {Api} from "./api.js";
import {Dock} from "./dock.js";
import {Busy, element, debounced, fill} from "./dom.js";
import {exportTool} from "./export.js";
import {addFurniture} from "./furniture.js";
import {helpTool} from "./help.js";
import {SuperResolver} from "./jobs.js";
import {Side} from "./side.js";
import {Swipe} from "./swipe.js";
import {trustTool} from "./trust.js";
import {Why} from "./why.js";

const MAX_ZOOM = 20;
const FIRST_ZOOM = [16, 17]; // a 10 m pixel is 6 to 13 screen pixels at 48 degrees north
const NARROW = "(max-width: 600px)"; // where the sidebar becomes a drawer over the map
// Each makes one tool of the dock, given the explorer; in the order of their buttons.
const TOOLS = [
  helpTool,
  trustTool,
  exportTool,
];
const SHEETS = [
  "leaflet/leaflet.css",
  "explorer.css",
  "help.css",
  "trust.css",
  "export.css",
];
const SHOWN = ["collection", "date", "left", "right", "bands", "rescale", "smooth", "models"];

export async function mount({model, el, assets}) {
  document.documentElement.lang = model.strings.language;
  const root = element("div", {className: "srcube"});
  const frame = element("div", {className: "map"});
  el.style.cssText = "width: 100%; height: 100%;";
  await styles(el, assets);
  root.append(frame);
  el.append(root);
  const explorer = new Explorer(model, root, frame);
  model.on("remove", () => explorer.close());
  await explorer.open();
}

// The map lives in a shadow root, which a style sheet of the document does not reach.
function styles(el, assets) {
  const sheets = SHEETS.map((name) =>
    element("link", {rel: "stylesheet", href: new URL(name, assets).href}));
  const loaded = sheets.map((link) => new Promise((resolve) => {
    link.onload = link.onerror = resolve;
  }));
  el.append(...sheets);
  return Promise.all(loaded);
}

class Explorer {
  constructor(model, root, frame) {
    Object.assign(this, {model, root, collection: null, collections: new Map()});
    this.strings = model.strings;
    this.busy = new Busy(root);
    this.api = new Api(model.api_url, this.strings);
    this.map = L.map(frame, {zoomControl: false, attributionControl: false, maxZoom: MAX_ZOOM,
                             center: [0, 0], zoom: 2, fadeAnimation: !calm(), zoomAnimation: !calm()});
    this.furniture = addFurniture(this.map, this.strings, {
      onHome: () => this.home(), onCancel: () => this.resolver.cancel()});
    const side = (name) => new Side(this.map, {name, api: this.api, strings: this.strings,
                                               onWaiting: (waiting) => this.busy.set(name, waiting),
                                               onProblem: (problem) => this.complain(problem)});
    this.sides = {left: side("left"), right: side("right")};
    this.swipe = new Swipe(this.map, this.swipeOptions());
    this.resolver = new SuperResolver(this.api, {
      onPlan: (plan) => this.planned(plan),
      onJob: (job) => this.tellJob(job),
      onBlock: (bbox) => this.blockArrived(bbox),
      onProblem: (problem) => this.complain(problem),
    });
    this.why = new Why(this.map, this.api, this.strings, {
      target: (point) => this.explicable(point),
      onBusy: (busy) => this.busy.set("why", busy),
      onProblem: (problem) => this.complain(problem),
    });
    const soon = (action, waitMs) => debounced(action, waitMs, this.busy);
    this.planSoon = soon(() => this.plan(), 250);
    this.dragSoon = soon(() => this.resolve({visible: true, quiet: true}), 400);
    this.followSoon = soon(() => this.resolve({visible: false, quiet: true}), 700);
    this.showSoon = soon(() => this.show(), 0);
    this.dock = new Dock(root, this.map, this.strings);
    for (const make of TOOLS) this.dock.add(make(this));
    this.listen();
  }

  swipeOptions() {
    return {
      left: this.sides.left.pane,
      right: this.sides.right.pane,
      label: this.strings.swipe_label,
      describe: (position) => fill(this.strings.swipe_value, {
        percent: Math.round(position * 100), left: this.sides.left.title, right: this.sides.right.title}),
      onMove: () => this.dragSoon(),
      onRest: (position) => { this.model.position = position; },
    };
  }

  listen() {
    const {model, map} = this;
    model.on(SHOWN, () => this.showSoon());
    model.on("dark", () => this.root.classList.toggle("dark", model.dark));
    model.on("position", () => {
      if (model.position !== this.swipe.position) this.swipe.set(model.position);
    });
    model.on("follow", () => { if (model.follow) this.followSoon(); });
    model.on("msg:custom", ({command}) => this.obey(command));
    map.on("moveend", () => {
      const {lat, lng} = map.getCenter();
      if (!this.collection) return;
      model.view = {lat, lon: lng, zoom: map.getZoom()};
      this.planSoon();
      if (model.follow) this.followSoon();
      this.dock.tell(this.seen());
    });
    this.root.classList.toggle("dark", model.dark);
    // Panel lays the page out after render; the map must learn of every later change, too.
    this.watcher = new ResizeObserver(() => map.invalidateSize({pan: false}));
    this.watcher.observe(map.getContainer());
  }

  async open() {
    this.model.narrow = matchMedia(NARROW).matches;
    try {
      const [{collections, default: opening}, {models}] = await Promise.all([
        this.api.json(["collections"]), this.api.json(["models"])]);
      for (const collection of collections) {
        collection.bbox = collection.extent.spatial.bbox[0];
        this.collections.set(collection.id, collection);
      }
      this.model.models = models;
      this.model.opening = opening ?? "";
      this.model.collections = collections;
      if (!collections.length) this.complain({message: this.strings.no_collections});
    } catch (error) {
      this.complain(error);
    }
  }

  close() {
    this.watcher.disconnect();
    this.map.remove();
  }

  obey(command) {
    if (command === "run") this.resolve({visible: false, quiet: false});
    if (command === "cancel") this.resolver.cancel();
    if (command === "home") this.home();
  }

  // Bring the map in line with the parameters.
  show() {
    const {model} = this;
    const collection = this.collections.get(model.collection);
    const scene = collection?.scenes.find(({datetime}) => datetime === model.date);
    if (!scene) return; // the parameters of a change arrive one by one; the last one completes them
    const moved = collection !== this.collection;
    const key = JSON.stringify([model.collection, model.date, this.targets(collection)]);
    const asked = key !== this.asked;
    if (asked && this.asked) this.resolver.cancel(); // what runs is for something no longer shown
    if (asked && this.why.active) this.why.set(true); // the answer was for something else
    Object.assign(this, {collection, asked: key});
    if (moved) this.arrive(collection);
    for (const [name, side] of Object.entries(this.sides)) {
      const {layer, model: modelId} = model[name];
      side.show({
        collection: {...collection, bounds: boundsOf(collection)}, scene, smooth: model.smooth,
        layer: collection.layers.find(({id}) => id === layer), model: modelId,
        modelTitle: model.models.find(({id}) => id === modelId)?.title ?? modelId,
        bands: model.bands, rescale: model.rescale});
    }
    this.swipe.draw();
    this.dock.tell(this.seen());
    if (moved) this.resolve({visible: false, quiet: true, shrink: true});
    if (asked) {
      this.planSoon();
      if (!moved) this.followSoon();
    }
  }

  // What is seen now, for the tools; null before there is a collection. `left` and `right` are
  // {layer: document, model, modelTitle, datetime, bands, rescale, smooth, title, template}, where
  // `template` is the address of its tiles with {z}, {x} and {y}.
  seen() {
    const {collection, map, sides, swipe} = this;
    if (!collection || !sides.left.what) return null;
    const {lat, lng} = map.getCenter();
    return {collection, bbox: this.viewBox(false), lat, lon: lng, zoom: map.getZoom(),
            position: swipe.position, left: sides.left.seen(), right: sides.right.seen()};
  }

  arrive(collection) {
    this.furniture.tell({notice: collection.notice, attribution: collection.attribution});
    this.home();
  }

  // The middle of the collection, near enough that single 10 m pixels can be seen.
  home() {
    if (!this.collection) return;
    const bounds = boundsOf(this.collection);
    this.map.invalidateSize({pan: false});
    this.map.setMaxBounds(null);
    const whole = this.map.getBoundsZoom(bounds, false);
    this.map.setMinZoom(Math.max(0, Math.min(whole - 1, FIRST_ZOOM[0])));
    const filling = this.map.getBoundsZoom(bounds, true);
    const zoom = Math.min(Math.max(filling, FIRST_ZOOM[0]), FIRST_ZOOM[1]);
    this.map.setView(bounds.getCenter(), zoom, {animate: false});
    this.map.setMaxBounds(bounds.pad(1));
  }

  // What would have to be computed for the two sides: one entry per model in use.
  targets(collection = this.collection) {
    const {model} = this;
    const wanted = new Map();
    for (const {layer, model: id} of [model.right, model.left]) {
      const known = collection?.layers.find((each) => each.id === layer);
      if (known?.models.length) wanted.set(id, {collection: collection.id, datetime: model.date, model: id});
    }
    return [...wanted.values()];
  }

  // What made the picture at a point of the screen: the model of its side, else of the other one.
  explicable({x}) {
    if (!this.collection) return null;
    const {model, swipe, map} = this;
    const left = x < map.getSize().x * swipe.position;
    const order = left ? [model.left, model.right] : [model.right, model.left];
    const made = order.find(({layer}) =>
      this.collection.layers.find(({id}) => id === layer)?.models.length);
    return made ? {collection: this.collection.id, datetime: model.date, model: made.model} : null;
  }

  // [west, south, east, north] of the view inside the collection, or null; `visible` keeps only
  // the part in which a computed layer can be seen beside the handle.
  viewBox(visible) {
    const {map, swipe, sides} = this;
    const size = map.getSize();
    const cut = size.x * swipe.position;
    const from = visible && !sides.left.computed ? cut : 0;
    const to = visible && !sides.right.computed ? cut : size.x;
    if (to - from < 1) return null;
    const seen = L.latLngBounds(map.containerPointToLatLng([from, 0]),
                                map.containerPointToLatLng([to, size.y]));
    const [west, south, east, north] = this.collection.bbox;
    const box = [Math.max(seen.getWest(), west), Math.max(seen.getSouth(), south),
                 Math.min(seen.getEast(), east), Math.min(seen.getNorth(), north)];
    return box[0] < box[2] && box[1] < box[3] ? box.map((degrees) => +degrees.toFixed(7)) : null;
  }

  async plan() {
    if (this.collection) await this.resolver.plan(this.targets(), this.viewBox(false));
  }

  // `quiet`: nobody pressed a button, so say nothing where nothing can be done; `shrink`: rather
  // compute the middle of the view than nothing where all of it is over the limit.
  async resolve({visible, quiet, shrink = false}) {
    if (!this.collection) return;
    const [targets, bbox] = [this.targets(), this.viewBox(visible)];
    if (bbox && targets.length) {
      this.busy.set("job", true);
      await this.resolver.start({targets, bbox, quiet, shrink});
      this.busy.set("job", this.resolver.running !== null);
    } else if (!quiet) {
      this.complain({message: targets.length ? this.strings.outside : this.strings.nothing_to_resolve});
    }
  }

  planned(plan) {
    const pending = plan && !(plan.total > 0 && plan.cached >= plan.total);
    for (const side of Object.values(this.sides)) side.setPending(pending);
    this.model.plan = plan ?? {};
  }

  blockArrived(bbox) {
    for (const side of Object.values(this.sides)) side.refresh(bbox);
  }

  tellJob(job) {
    const {done = 0, total = 0} = job.blocks ?? {};
    const {status, progress = 0, message = ""} = job;
    const active = status === "accepted" || status === "running";
    this.furniture.tell({job: active ? fill(this.strings.job_running, {done, total}) : null, progress});
    this.model.job = {status, progress: Math.round(progress), message, done, total};
    if (!active) this.planSoon();
  }

  complain(problem) {
    this.model.problem = {text: problem.message, at: Date.now()};
  }
}

function boundsOf({bbox: [west, south, east, north]}) {
  return L.latLngBounds([south, west], [north, east]);
}

function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
