// Search and ingest: draw a box, choose dates and cloud, see the scenes found, take them into a
// cube with progress. Shown only where the operator allows it to whoever looks.
import * as L from "./leaflet/leaflet.js";
import {BoxDrawing, areaKm2} from "./box.js";
import {element, fill} from "./dom.js";

const ENDED = ["successful", "failed", "dismissed"];
const DAY_MS = 86_400_000;
const FIRST_DAYS = 30;
const EDGES = ["west", "south", "east", "north"];
const CUBE_ID = "[a-z0-9][a-z0-9_\\-]{0,63}";

export function ingestTool(explorer) {
  const form = new IngestForm(explorer);
  // The button comes when the server says that this visitor may.
  queueMicrotask(() => { button().hidden = true; });
  const button = () => explorer.dock.tools.get("ingest").button;
  explorer.api.json(["ingest"]).then((options) => {
    if (!options.allowed) return;
    form.offer(options);
    button().hidden = false;
  }).catch(() => {}); // then it stays hidden; the connection's own banner tells of a lost server
  return {id: "ingest", icon: "⇩", title: explorer.strings.ingest_title, body: form.body,
          onOpen: () => form.open(), onClose: () => form.close()};
}

class IngestForm {
  constructor(explorer) {
    Object.assign(this, {explorer, strings: explorer.strings, api: explorer.api, map: explorer.map, job: null});
    this.body = element("div", {className: "ingest"});
    this.drawing = new BoxDrawing(this.map, (box) => this.take(box));
    this.note = element("p", {className: "refused", role: "alert"});
    this.found = element("div", {"aria-live": "polite"});
    this.running = element("div", {role: "status"});
    this.note.hidden = true;
  }

  offer(options) {
    const {strings} = this;
    this.options = options;
    this.catalog = element("select", {id: "ingest-catalog"});
    for (const {name, title} of options.catalogs) this.catalog.append(element("option", {value: name}, title));
    this.area = element("p", {className: "small", role: "status"});
    const today = Date.now();
    this.from = dateField("ingest-from", today - FIRST_DAYS * DAY_MS);
    this.to = dateField("ingest-to", today);
    this.cloud = element("input", {id: "ingest-cloud", type: "number", min: "0", max: "100", step: "5", value: "30"});
    const search = this.button(strings.ingest_search, () => this.search(), "main");
    this.body.append(
      labelled(strings.ingest_catalog, this.catalog), element("h3", {}, strings.ingest_where), this.boxFields(),
      this.button(strings.ingest_draw, () => this.drawing.start()),
      this.button(strings.ingest_view, () => this.take(this.viewBox())), this.area,
      element("h3", {}, strings.ingest_when), pair(labelled(strings.ingest_from, this.from), labelled(strings.ingest_to, this.to)),
      labelled(strings.ingest_cloud, this.cloud), search, this.note, this.found, this.running);
  }

  // The edges as numbers, for who cannot draw and for places beyond the map.
  boxFields() {
    const row = element("div", {className: "ingest-box"});
    this.edges = EDGES.map((name) => {
      const most = name === "west" || name === "east" ? 180 : 90;
      const field = element("input", {id: `ingest-${name}`, type: "number", step: "any", min: String(-most), max: String(most)});
      field.addEventListener("change", () => this.take(this.box(), {typed: true}));
      row.append(labelled(this.strings[`ingest_${name}`], field));
      return field;
    });
    return row;
  }

  button(text, action, kind = "") {
    const made = element("button", {type: "button", className: `action ${kind}`}, text);
    made.addEventListener("click", action);
    return made;
  }

  // While the tool is open the map may be moved anywhere: scenes are sought where no cube is yet.
  open() {
    const {map} = this;
    this.kept = {bounds: map.options.maxBounds, zoom: map.getMinZoom()};
    map.setMaxBounds(null);
    map.setMinZoom(1);
    this.outline?.addTo(map);
  }

  close() {
    const {map, kept} = this;
    this.drawing.stop();
    this.outline?.remove();
    map.setMinZoom(kept.zoom);
    map.setMaxBounds(kept.bounds);
  }

  viewBox() {
    const seen = this.map.getBounds();
    return [seen.getWest(), seen.getSouth(), seen.getEast(), seen.getNorth()];
  }

  box() {
    return this.edges.map(({value}) => (value === "" ? NaN : Number(value)));
  }

  take(box, {typed = false} = {}) {
    if (!typed) this.edges.forEach((field, index) => { field.value = box[index].toFixed(5); });
    const [west, south, east, north] = box;
    this.outline?.remove();
    this.outline = null;
    if (box.some(Number.isNaN)) return;
    this.outline = L.rectangle([[south, west], [north, east]], {
      color: "#ffb000", weight: 2, fill: false, interactive: false}).addTo(this.map);
    const {limit_km2: most} = this.options;
    const area = areaKm2(box);
    const key = area > most ? "ingest_area_large" : "ingest_area";
    this.area.textContent = fill(this.strings[key], {area: area.toFixed(area < 10 ? 1 : 0), most});
  }

  where() {
    return {catalog: this.catalog.value, bbox: this.box(), datetime: `${this.from.value}/${this.to.value}`,
            max_cloud: this.cloud.value === "" ? null : Number(this.cloud.value)};
  }

  async ask(process, inputs) {
    this.note.hidden = true;
    this.explorer.busy.set("ingest", true);
    try {
      return await this.api.json(["processes", process, "execution"], {body: {inputs}});
    } catch (error) {
      this.complain(error);
      return null;
    } finally {
      this.explorer.busy.set("ingest", false);
    }
  }

  complain({message}) {
    this.note.textContent = message;
    this.note.hidden = false;
  }

  async search() {
    if (this.box().some(Number.isNaN)) return this.complain({message: this.strings.ingest_no_box});
    this.found.replaceChildren(element("p", {className: "small"}, this.strings.ingest_searching));
    const wish = this.where();
    const answer = await this.ask("search", wish);
    this.found.replaceChildren(...(answer ? this.results(answer, wish) : []));
  }

  results({scenes, matched}, wish) {
    const {strings} = this;
    const count = element("p", {}, fill(strings.ingest_found, {count: matched}));
    if (!scenes.length) return [count];
    const list = element("ul", {className: "ingest-scenes"});
    const choices = scenes.map((scene) => {
      const choice = element("input", {type: "checkbox", value: scene.id});
      choice.checked = scenes.length <= this.options.limit_scenes;
      const label = element("label");
      const cloud = typeof scene.cloud_cover === "number" ? `${scene.cloud_cover.toFixed(1)} %` : "";
      label.append(choice, element("strong", {}, scene.datetime.slice(0, 10)), element("span", {}, cloud),
                   element("span", {className: "small"}, scene.id));
      const row = element("li");
      row.append(label);
      list.append(row);
      return choice;
    });
    const cube = element("input", {id: "ingest-cube", type: "text", required: "", pattern: CUBE_ID, maxlength: "64",
                                   autocomplete: "off", spellcheck: "false"});
    const go = this.button(strings.ingest_go, () => {
      const chosen = choices.filter(({checked}) => checked).map(({value}) => value);
      if (!cube.checkValidity() || !cube.value) return this.complain({message: strings.ingest_bad_cube});
      if (!chosen.length) return this.complain({message: strings.ingest_no_scene});
      return this.ingest({...wish, scenes: chosen, cube: cube.value});
    }, "main");
    return [count, list, labelled(strings.ingest_cube, cube), go];
  }

  async ingest(wish) {
    if (this.job) return;
    const job = await this.ask("ingest", wish);
    if (!job) return;
    this.job = job.jobID;
    this.bar = element("progress", {max: "100", value: "0", "aria-label": this.strings.ingest_progress});
    this.told = element("p", {className: "small"});
    const cancel = this.button(this.strings.ingest_cancel, () => this.cancel());
    this.running.replaceChildren(this.bar, this.told, cancel);
    this.follow(job, wish.cube);
  }

  // Events carry the whole status; where the stream breaks off the browser asks again by itself.
  follow(job, cube) {
    const events = new EventSource(this.api.url(["jobs", job.jobID, "events"]));
    const tell = ({data}) => {
      const status = JSON.parse(data);
      this.bar.value = status.progress;
      this.told.textContent = status.message;
      if (!ENDED.includes(status.status)) return;
      events.close();
      this.end(status, cube);
    };
    events.addEventListener("progress", tell);
    events.addEventListener("status", tell);
  }

  async end({status, message, jobID}, cube) {
    const {strings} = this;
    this.job = null;
    if (status !== "successful") {
      this.running.replaceChildren();
      return this.complain({message: status === "dismissed" ? strings.ingest_cancelled : message});
    }
    const {taken, already_there: there, refused} = await this.api.json(["jobs", jobID, "results"]);
    const counts = {taken: taken.length, there: there.length, refused: refused.length, cube};
    const show = this.button(strings.ingest_show, () => {
      location.hash = new URLSearchParams({collection: cube}).toString();
      location.reload();
    }, "main");
    this.running.replaceChildren(element("p", {}, fill(strings.ingest_done, counts)), show);
  }

  async cancel() {
    try {
      await this.api.fetch(this.api.url(["jobs", this.job]), {method: "DELETE"});
    } catch (error) {
      this.complain(error);
    }
  }
}

function dateField(id, moment) {
  return element("input", {id, type: "date", value: new Date(moment).toISOString().slice(0, 10)});
}

function labelled(text, field) {
  const label = element("label", {className: "field"});
  label.append(element("span", {}, text), field);
  return label;
}

function pair(...fields) {
  const row = element("div", {className: "ingest-pair"});
  row.append(...fields);
  return row;
}
