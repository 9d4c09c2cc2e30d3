// "Why?": a click on the map asks the server what made that place, and a card shows the answer:
// the attribution over the input, the diffusion index, and whose part was how large.
import * as L from "./leaflet/leaflet.js";
import {element, fill} from "./dom.js";

const PICTURES = ["input", "sr", "attribution"];
const OUTLINED = ["input", "attribution"]; // show more than the window, which is marked in them

export class Why {
  // hooks: target(point) => {collection, datetime, model} or null; onBusy(busy); onProblem(error)
  constructor(map, api, strings, hooks) {
    Object.assign(this, {map, api, strings, ...hooks, active: false, asked: 0});
    map.createPane("why").classList.add("why-pane");
    this.marks = L.layerGroup().addTo(map);
    this.card = element("section", {className: "why", "aria-label": strings.why_title, tabindex: "-1"});
    this.card.hidden = true;
    L.DomEvent.disableClickPropagation(this.card);
    L.DomEvent.disableScrollPropagation(this.card);
    map.getContainer().append(this.card);
    this.addButton();
    map.on("click", ({latlng, containerPoint}) => { if (this.active) this.ask(latlng, containerPoint); });
    map.getContainer().addEventListener("keydown", (event) => this.key(event));
  }

  addButton() {
    const control = L.control({position: "bottomright"});
    control.onAdd = () => {
      const bar = element("div", {className: "leaflet-bar"});
      this.button = element("a", {className: "why-button", href: "#", role: "button",
                                  title: this.strings.why_hint, "aria-label": this.strings.why_title,
                                  "aria-pressed": "false"}, this.strings.why_short);
      L.DomEvent.disableClickPropagation(bar);
      L.DomEvent.on(this.button, "click", (event) => {
        L.DomEvent.preventDefault(event);
        this.set(!this.active);
      });
      bar.append(this.button);
      return bar;
    };
    control.addTo(this.map);
  }

  set(active) {
    this.active = active;
    this.button.setAttribute("aria-pressed", String(active));
    this.map.getContainer().classList.toggle("asking", active);
    this.close();
    if (active) this.tell(element("p", {}, this.strings.why_hint));
  }

  // Enter explains the middle of the view, Escape ends.
  key(event) {
    if (!this.active) return;
    if (event.key === "Escape") {
      this.set(false);
      this.button.focus();
    } else if (event.key === "Enter" && event.target === this.map.getContainer()) {
      this.ask(this.map.getCenter(), this.map.getSize().divideBy(2));
    }
  }

  async ask(latlng, point) {
    const turn = ++this.asked;
    const target = this.target(point);
    if (!target) return this.tell(element("p", {}, this.strings.why_nothing));
    const {lat, lng} = latlng.wrap();
    this.onBusy(true);
    this.tell(element("p", {}, this.strings.loading));
    try {
      const inputs = {...target, position: [+lng.toFixed(7), +lat.toFixed(7)]};
      const path = ["processes", "explain", "execution"];
      const found = await this.api.json(path, {body: {inputs}});
      if (turn === this.asked && this.active) this.show(found);
    } catch (error) {
      if (turn !== this.asked) return;
      this.tell(element("p", {className: "refused"}, error.message));
      if (error.code === "Network") this.onProblem(error);
    } finally {
      if (turn === this.asked) this.onBusy(false);
    }
  }

  show(found) {
    const {strings} = this;
    this.mark(found);
    const parts = [pictures(found, strings)];
    if (found.diffusion_index !== undefined) {
      const index = found.diffusion_index.toFixed(1);
      parts.push(element("p", {className: "index"}, fill(strings.why_index, {index})),
                 element("p", {className: "small"}, strings.why_index_meaning));
    }
    const labels = {dates: (stamp) => stamp.slice(0, 10),
                    distance_px: (far) => (far === "0" ? strings.why_inside : far)};
    for (const [kind, shares] of Object.entries(found.shares)) {
      parts.push(bars(strings[`why_shares_${kind}`] ?? kind, shares, kind, labels[kind]));
    }
    const error = (100 * found.completeness_error).toFixed(2);
    parts.push(element("p", {className: "small"}, fill(strings.why_complete, {error})));
    const {height, width} = found.window;
    this.tell(element("p", {className: "small"}, fill(strings.why_what, {
      model: found.model, height, width})), ...parts);
  }

  tell(...parts) {
    const close = element("button", {type: "button", className: "close",
                                     "aria-label": this.strings.why_close}, "×");
    close.addEventListener("click", () => {
      this.set(false);
      this.button.focus();
    });
    const body = element("div", {className: "body", role: "status"});
    body.append(...parts);
    this.card.replaceChildren(element("h2", {}, this.strings.why_title), close, body);
    this.card.hidden = false;
  }

  // The window and all that the model saw of it, on the ground.
  mark({window, seen}) {
    this.marks.clearLayers();
    const outline = (place, options) => L.polygon(place.lonlat_ring.map(([x, y]) => [y, x]), {
      pane: "why", interactive: false, fill: false, weight: 2, ...options}).addTo(this.marks);
    if (seen) outline(seen, {color: "#ffffff", dashArray: "4 4", weight: 1.5});
    outline(window, {color: "#00dcff"});
  }

  close() {
    this.asked += 1; // an answer under way is no longer wanted
    this.marks.clearLayers();
    this.card.hidden = true;
    this.onBusy(false);
  }
}

function pictures({pictures: sources, inner, seen, window}, strings) {
  const row = element("div", {className: "pictures"});
  for (const name of PICTURES.filter((each) => sources[each])) {
    const figure = element("figure");
    const frame = element("div", {className: "frame"});
    frame.append(element("img", {src: sources[name], alt: strings[`why_${name}`]}));
    if (seen && OUTLINED.includes(name)) frame.append(outline(inner, seen));
    const caption = name === "input" && !seen ? strings.why_input_date : strings[`why_${name}`];
    figure.append(frame, element("figcaption", {}, caption));
    row.append(figure);
  }
  row.style.setProperty("--ratio", String(window.width / window.height));
  return row;
}

function outline(inner, seen) {
  const box = element("span", {className: "outline"});
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(box.style, {
    left: percent(inner.col, seen.width), top: percent(inner.row, seen.height),
    width: percent(inner.width, seen.width), height: percent(inner.height, seen.height)});
  return box;
}

function bars(title, shares, kind, label = (name) => name) {
  const box = element("dl", {className: `bars ${kind}`});
  box.append(element("dt", {className: "head"}, title));
  for (const [name, part] of Object.entries(shares)) {
    const bar = element("span", {className: "bar"});
    const filled = element("span");
    filled.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
    bar.append(filled);
    const value = element("dd");
    value.append(bar, `${Math.round(100 * part)} %`);
    box.append(element("dt", {}, label(name)), value);
  }
  return box;
}
