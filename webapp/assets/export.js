// "Share and export": a link, a picture, films, GeoTIFFs of both sides on one grid, and what other
// programs need to find what is seen. All is made from what the page shows; nothing leaves the host.
import {element, fill} from "./dom.js";
import {MOST_DATES, datesFilm, encoded, swipeFilm} from "./film.js";
import {picture} from "./picture.js";
import {filePath, fileQuery, pythonOf, wmtsOf, xyzOf} from "./snippet.js";
import {canRecord} from "./video.js";

const SIDES = ["left", "right"];

export function exportTool(explorer) {
  const tool = new ExportTool(explorer);
  return {id: "export", icon: "⤓", title: explorer.strings.export_title, body: tool.body,
          onOpen: () => tool.show(explorer.seen()), onView: (view) => tool.view(view)};
}

class ExportTool {
  constructor(explorer) {
    Object.assign(this, {explorer, strings: explorer.strings, seen: null, making: false});
    this.body = element("div", {className: "export"});
    this.status = element("p", {className: "status small", role: "status"});
    this.actions = [];
    this.fields = {};
    this.build();
  }

  get open() {
    return this.explorer.dock.open === "export";
  }

  view(view) {
    this.seen = view;
    if (this.open) this.show(view);
  }

  build() {
    const {strings} = this;
    this.section("export_link", this.field("link", strings.export_link, 1));
    this.section("export_picture", this.note("export_picture_text"),
      this.action("export_png", () => this.savePicture(), true));
    this.section("export_films", this.note("export_films_text", {most: MOST_DATES}),
      this.formats(), this.action("export_film_swipe", () => this.saveSwipe()),
      ...SIDES.map((side) => this.action(`export_film_${side}`, () => this.saveDates(side))));
    this.section("export_files", this.note("export_files_text"),
      this.action("export_tif_both", () => this.saveFiles(SIDES)),
      ...SIDES.map((side) => this.action(`export_tif_${side}`, () => this.saveFiles([side]))));
    this.section("export_qgis", this.note("export_qgis_text"),
      this.field("xyz_left", strings.export_xyz_left, 1), this.field("xyz_right", strings.export_xyz_right, 1),
      this.field("wmts", strings.export_wmts, 1));
    this.section("export_python", this.note("export_python_text"), this.field("python", strings.export_python, 9));
    this.body.prepend(this.status);
  }

  section(title, ...parts) {
    this.body.append(element("h3", {}, this.strings[title]), ...parts);
  }

  note(key, values = {}) {
    return element("p", {className: "small"}, fill(this.strings[key], values));
  }

  action(key, run, main = false) {
    const button = element("button", {type: "button", className: main ? "action main" : "action"},
                           this.strings[key]);
    button.addEventListener("click", () => this.make(run));
    this.actions.push(button);
    return button;
  }

  formats() {
    const box = element("label", {className: "format"}, `${this.strings.export_format} `);
    this.format = element("select");
    this.format.append(element("option", {value: "gif"}, "GIF"));
    if (canRecord()) this.format.append(element("option", {value: "mp4"}, "MP4"));
    box.append(this.format);
    return box;
  }

  // A text to be copied, and the button that copies it.
  field(name, label, rows) {
    const box = element("div", {className: rows > 1 ? "field long" : "field"});
    const text = rows > 1 ? element("textarea", {readonly: "", rows, spellcheck: "false", wrap: "off"})
      : element("input", {type: "text", readonly: "", spellcheck: "false"});
    text.setAttribute("aria-label", label);
    text.addEventListener("focus", () => text.select());
    const copy = element("button", {type: "button", className: "action",
                                    "aria-label": fill(this.strings.export_copy_what, {what: label})},
                         this.strings.export_copy);
    copy.addEventListener("click", () => this.copy(text, label));
    if (name.startsWith("xyz") || name === "wmts") box.append(element("span", {className: "small"}, label));
    box.append(text, copy);
    this.fields[name] = text;
    return box;
  }

  async copy(text, label) {
    if (text === this.fields.link) text.value = this.link(); // the handle may have moved since
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
    } catch {
      document.execCommand("copy"); // where the page did not come by https
    }
    this.tell(fill(this.strings.export_copied, {what: label}));
  }

  // Fill in what holds for a view.
  show(view) {
    this.seen = view;
    const ready = Boolean(view?.bbox && SIDES.every((side) => view[side].layer));
    for (const button of this.actions) button.disabled = !ready || this.making;
    const {fields, explorer} = this;
    fields.link.value = this.link();
    if (!ready) return;
    for (const side of SIDES) fields[`xyz_${side}`].value = xyzOf(view[side]);
    fields.wmts.value = wmtsOf(explorer.api, view);
    fields.python.value = pythonOf(explorer.api, view, explorer.model.models);
  }

  link() {
    return this.explorer.address.link();
  }

  tell(text, refused = false) {
    this.status.textContent = text;
    this.status.classList.toggle("refused", refused);
  }

  // Run one export; others wait, and what goes wrong is said here.
  async make(run) {
    if (this.making || !this.seen?.bbox) return;
    this.making = true;
    this.explorer.busy.set("export", true);
    this.show(this.seen);
    this.tell(this.strings.export_making);
    try {
      this.tell(await run());
    } catch (error) {
      this.tell(error.message, true);
    } finally {
      this.making = false;
      this.explorer.busy.set("export", false);
      this.show(this.explorer.seen());
    }
  }

  async savePicture() {
    const canvas = await picture(this.explorer, this.seen, {scale: devicePixelRatio});
    const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
    return this.save(blob, `${this.name(...SIDES)}.png`);
  }

  async saveSwipe() {
    const frames = await swipeFilm(this.explorer, this.seen, {onStep: this.step()});
    return this.saveFilm(frames, `${this.name(...SIDES)}-swipe`);
  }

  async saveDates(side) {
    const {frames, missing} = await datesFilm(this.explorer, this.seen, side, {onStep: this.step()});
    if (frames.length < 2) throw new Error(this.strings.export_one_date);
    const saved = await this.saveFilm(frames, `${this.name(side)}-dates`);
    const left = missing ? fill(this.strings.export_dates_missing, {missing}) : "";
    return `${saved} ${fill(this.strings.export_dates, {dates: frames.length})} ${left}`.trim();
  }

  async saveFilm(frames, name) {
    const format = this.format.value;
    return this.save(await encoded(frames, format), `${name}.${format}`);
  }

  async saveFiles(sides) {
    const {api, model} = this.explorer;
    const view = this.seen;
    const files = await Promise.all(sides.map(async (side) => {
      const query = fileQuery(view, side, model.models);
      const answer = await api.fetch(api.url(filePath(view, side), query));
      return {side, grid: query.grid, blob: await answer.blob()};
    }));
    for (const {side, blob} of files) this.save(blob, `${this.name(side)}-${side}.tif`);
    const size = +(view.collection.gsd_m / files[0].grid).toFixed(3);
    return fill(this.strings.export_saved_files, {count: files.length, size});
  }

  // Say how far it is, and let the page draw before it goes on.
  step() {
    return (done, total) => {
      this.tell(fill(this.strings.export_step, {done, total}));
      return new Promise((resolve) => { setTimeout(resolve, 0); });
    };
  }

  name(...sides) {
    const {collection} = this.seen;
    const parts = sides.map((side) => {
      const {layer, model, datetime} = this.seen[side];
      return [layer.id, layer.models.length ? model : null, datetime.slice(0, 10)].filter(Boolean).join("-");
    });
    return [collection.id, ...parts].join("_");
  }

  save(blob, name) {
    const link = element("a", {href: URL.createObjectURL(blob), download: name});
    this.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the browser reads it after the click
    return fill(this.strings.export_saved, {name, kilobytes: Math.ceil(blob.size / 1000)});
  }
}
