// Charts as SVG: lines, points with error bars, bands and steps over numbers or dates. Each comes
// with its title, legend and units, with all its values as a table, and as CSV.
import {element, fill} from "./dom.js";

const [WIDTH, HEIGHT] = [340, 210];
const PAD = {left: 46, right: 10, top: 8, bottom: 34};
const [PLOT_W, PLOT_H] = [WIDTH - PAD.left - PAD.right, HEIGHT - PAD.top - PAD.bottom];
const MOST_ROWS = 400; // of the table; the file has all
const NS = "http://www.w3.org/2000/svg";

// spec: {title, note, x: {label, dates, names}, y: {label}, series, now, file,
//        onPick(x), onHover(x or null)}
// series: [{name, colour, dash, shape: "line" | "dots" | "steps", points: [{x, y, half}]}], where y
// is null for no data, and `half` half of an interval or missing. `steps` have their x where a bin
// begins, and end at `until`. With `names` (a Map) an x is told by its name. `now` is marked.
export function chart(spec, strings) {
  const figure = element("figure", {className: "chart"});
  figure.append(element("figcaption", {}, spec.title));
  const there = spec.series.filter(({points}) => points.some(({y}) => y !== null));
  if (!there.length) {
    figure.append(element("p", {className: "small"}, spec.nothing ?? strings.chart_nothing));
    return figure;
  }
  const scales = scalesOf(spec, there);
  const readout = element("p", {className: "readout small"}, strings.chart_hover);
  figure.append(drawing(spec, there, scales, readout, strings), legend(there, strings), readout);
  if (spec.note) figure.append(element("p", {className: "small"}, spec.note));
  figure.append(values(spec, strings));
  return figure;
}

function scalesOf({series, x}, there) {
  const xs = series.flatMap(({points, until}) => [...points.map((one) => one.x), ...(until === undefined ? [] : [until])]);
  const ys = there.flatMap(({points, shape}) => points.filter(({y}) => y !== null).flatMap(({y, half}) =>
    shape === "steps" ? [0, y] : [y - (half ?? 0), y + (half ?? 0)]));
  const steps = there.every(({shape}) => shape === "steps");
  return {x: scale(padded(xs, steps || there.some(({shape}) => shape === "line") && !x.dates ? 0 : 0.06), PAD.left, PLOT_W),
          y: scale(steps ? [0, padded(ys, 0.06)[1]] : padded(ys, 0.06), PAD.top + PLOT_H, -PLOT_H)};
}

function padded(numbers, share) {
  const low = numbers.reduce((a, b) => Math.min(a, b));
  const high = numbers.reduce((a, b) => Math.max(a, b));
  const rim = high > low ? (high - low) * share : Math.abs(high) * 0.1 || 1;
  return [low - rim, high + rim];
}

function scale([low, high], start, length) {
  const place = (value) => start + ((value - low) / (high - low)) * length;
  return Object.assign(place, {low, high, back: (at) => low + ((at - start) / length) * (high - low)});
}

function drawing(spec, there, scales, readout, strings) {
  const svg = draw("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "plot"});
  svg.setAttribute("aria-label", fill(strings.chart_label, {
    title: spec.title, x: spec.x.label, y: spec.y.label, names: there.map(({name}) => name).join(", ")}));
  svg.append(...axes(spec, scales));
  if (spec.now !== undefined && spec.now !== null) svg.append(upright(scales.x(spec.now), "now"));
  const guide = upright(0, "guide");
  guide.style.display = "none";
  svg.append(guide, ...there.map((one, index) => shape(one, scales, index - (there.length - 1) / 2)));
  svg.append(...there.map((one, index) => dots(one, scales, index - (there.length - 1) / 2)));
  follow(svg, guide, readout, {spec, there, scales, strings});
  return svg;
}

function axes(spec, scales) {
  const group = [];
  const [across, up] = [ticks(scales.x.low, scales.x.high, 6), ticks(scales.y.low, scales.y.high, 5)];
  for (const tick of up) {
    group.push(draw("line", {class: "grid", x1: PAD.left, x2: WIDTH - PAD.right, y1: scales.y(tick), y2: scales.y(tick)}),
               text(even(tick, up), PAD.left - 5, scales.y(tick) + 3.5, "end"));
  }
  const marks = spec.x.dates ? dateTicks(spec.series, scales.x) : across.map((at) => [at, even(at, across)]);
  for (const [at, label] of marks) {
    group.push(draw("line", {class: "tick", x1: scales.x(at), x2: scales.x(at), y1: PAD.top + PLOT_H, y2: PAD.top + PLOT_H + 4}),
               text(label, scales.x(at), PAD.top + PLOT_H + 15, "middle"));
  }
  group.push(draw("path", {class: "axis", d: `M${PAD.left} ${PAD.top}V${PAD.top + PLOT_H}H${WIDTH - PAD.right}`}));
  group.push(text(spec.x.label, PAD.left + PLOT_W / 2, HEIGHT - 4, "middle", "axis-label"));
  const side = text(spec.y.label, 0, 0, "middle", "axis-label");
  side.setAttribute("transform", `translate(11 ${PAD.top + PLOT_H / 2}) rotate(-90)`);
  return [...group, side];
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((by) => by * power).find((each) => each >= rough);
  const first = Math.ceil(low / step);
  return Array.from({length: Math.floor(high / step + 1e-9) - first + 1}, (_, index) => (first + index) * step);
}

// Days on which there is a scene, as many as have room, with the year where it is more than one.
function dateTicks(series, place) {
  const days = [...new Set(series.flatMap(({points}) => points.map(({x}) => x)))].sort((a, b) => a - b);
  const years = new Date(days[0]).getUTCFullYear() !== new Date(days[days.length - 1]).getUTCFullYear();
  const room = years ? 66 : 44;
  const kept = days.filter((day, index) => index === 0);
  for (const day of days) if (place(day) - place(kept[kept.length - 1]) >= room) kept.push(day);
  const form = new Intl.DateTimeFormat(document.documentElement.lang || "en", {
    day: "numeric", month: "short", timeZone: "UTC", ...(years ? {year: "2-digit"} : {})});
  return kept.map((day) => [day, form.format(day)]);
}

// The line with its band of the interval; dots have error bars instead.
function shape({points, colour, dash, shape: kind, until}, {x, y}, offset) {
  const group = draw("g", {style: `--series: ${colour}`});
  if (kind === "dots") return group;
  if (kind === "steps") {
    const d = points.map((one, index) => `${index ? "L" : "M"}${x(one.x)} ${y(one.y)}H${x(points[index + 1]?.x ?? until)}`);
    group.append(draw("path", {class: "line", d: d.join("") || "M0 0", "stroke-dasharray": dash ?? ""}));
    return group;
  }
  for (const run of runs(points, ({y: value, half}) => value !== null && half !== undefined && half !== null)) {
    const top = run.map((one) => `${x(one.x)} ${y(one.y + one.half)}`);
    const foot = run.map((one) => `${x(one.x)} ${y(one.y - one.half)}`).reverse();
    group.append(draw("path", {class: "band", d: `M${[...top, ...foot].join("L")}Z`}));
  }
  for (const run of runs(points, ({y: value}) => value !== null)) {
    group.append(draw("path", {class: "line", "stroke-dasharray": dash ?? "",
                               d: `M${run.map((one) => `${x(one.x)} ${y(one.y)}`).join("L")}`}));
  }
  return group;
}

// Dots lie a little beside each other, so that error bars of one x can be told apart.
function dots({points, colour, shape: kind, linked, dash}, {x, y}, offset) {
  const group = draw("g", {style: `--series: ${colour}`});
  if (kind !== "dots") return group;
  const at = (one) => x(one.x) + offset * 3;
  for (const run of linked ? runs(points, ({y: value}) => value !== null) : []) {
    group.append(draw("path", {class: "line thin", "stroke-dasharray": dash ?? "",
                               d: `M${run.map((one) => `${at(one)} ${y(one.y)}`).join("L")}`}));
  }
  for (const one of points.filter(({y: value}) => value !== null)) {
    if (one.half) group.append(draw("path", {class: "bar", d: `M${at(one)} ${y(one.y - one.half)}V${y(one.y + one.half)}`}));
    group.append(draw("circle", {class: "dot", cx: at(one), cy: y(one.y), r: 2.6}));
  }
  return group;
}

// Parts of a series without a gap.
function runs(points, there) {
  const found = [[]];
  for (const one of points) {
    if (there(one)) found[found.length - 1].push(one);
    else if (found[found.length - 1].length) found.push([]);
  }
  return found.filter((run) => run.length);
}

// What lies under the pointer, in words and on the map; a click picks it.
function follow(svg, guide, readout, {spec, there, scales, strings}) {
  const xs = [...new Set(there.flatMap(({points}) => points.map(({x}) => x)))].sort((a, b) => a - b);
  const steps = there.every((one) => one.shape === "steps");
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const at = scales.x.back(((event.clientX - box.left) / box.width) * WIDTH);
    if (steps) return xs.reduce((best, x) => (x <= at ? x : best), xs[0]);
    return xs.reduce((best, x) => (Math.abs(x - at) < Math.abs(best - at) ? x : best));
  };
  svg.addEventListener("pointermove", (event) => {
    const x = nearest(event);
    guide.style.display = "";
    guide.setAttribute("transform", `translate(${scales.x(x)} 0)`);
    const told = there.map(({name, points}) => {
      const one = points.find((each) => each.x === x);
      return one && one.y !== null ? `${name} ${short(one.y)}${one.half ? ` ± ${short(one.half)}` : ""}` : null;
    });
    readout.textContent = `${xText(spec, x)}: ${told.filter(Boolean).join("; ")}`;
    spec.onHover?.(x);
  });
  svg.addEventListener("pointerleave", () => {
    guide.style.display = "none";
    readout.textContent = strings.chart_hover;
    spec.onHover?.(null);
  });
  if (!spec.onPick) return;
  svg.classList.add("pickable");
  svg.addEventListener("click", (event) => spec.onPick(nearest(event)));
}

function legend(series, strings) {
  const list = element("ul", {className: "legend-list", "aria-label": strings.chart_legend});
  for (const {name, colour, dash, points} of series) {
    const row = element("li");
    const swatch = draw("svg", {viewBox: "0 0 22 10", class: "swatch", "aria-hidden": "true", style: `--series: ${colour}`});
    if (points.some(({half}) => half)) swatch.append(draw("rect", {class: "band", x: 0, y: 1, width: 22, height: 8}));
    swatch.append(draw("path", {class: "line", d: "M0 5H22", "stroke-dasharray": dash ?? ""}));
    row.append(swatch, name);
    list.append(row);
  }
  return list;
}

// Every value as a table; a date in it can be picked, which is how the keyboard does it.
function values(spec, strings) {
  const rows = rowsOf(spec);
  const box = element("details", {className: "values"});
  const scroll = element("div", {className: "scroll", tabindex: "0", role: "region", "aria-label": spec.title});
  const table = element("table");
  const head = element("tr");
  head.append(...rows[0].map((name) => element("th", {scope: "col"}, name)));
  const body = element("tbody");
  const xs = abscissae(spec);
  rows.slice(1, MOST_ROWS + 1).forEach((row, index) => {
    const line = element("tr");
    const first = element("th", {scope: "row"});
    if (spec.onPick) first.append(picker(row[0], () => spec.onPick(xs[index])));
    else first.textContent = row[0];
    line.append(first, ...row.slice(1).map((value) => element("td", {}, value)));
    body.append(line);
  });
  const top = element("thead");
  top.append(head);
  table.append(element("caption", {className: "unseen"}, spec.title), top, body);
  scroll.append(table);
  box.append(element("summary", {}, strings.chart_values), scroll);
  const row = element("div", {className: "after"});
  row.append(csvButton(rows, {title: spec.title, file: spec.file}, strings), box);
  return row;
}

// A button that hands over rows of text as a CSV file.
export function csvButton(rows, {title, file}, strings) {
  const save = element("button", {type: "button", className: "action",
                                  "aria-label": fill(strings.chart_csv_of, {title})}, strings.chart_csv);
  save.addEventListener("click", () => download(rows, file));
  return save;
}

function picker(label, action) {
  const button = element("button", {type: "button", className: "pick"}, label);
  button.addEventListener("click", action);
  return button;
}

function abscissae({series}) {
  return [...new Set(series.flatMap(({points}) => points.map(({x}) => x)))].sort((a, b) => a - b);
}

// A head and rows of text: x, then for each series its value and half of its interval, if any.
function rowsOf(spec) {
  const told = spec.series.map((one) => ({...one, at: new Map(one.points.map((point) => [point.x, point])),
                                          wide: one.points.some(({half}) => half !== undefined)}));
  const head = [spec.x.label, ...told.flatMap(({name, wide}) => (wide ? [name, `${name} ± 90 %`] : [name]))];
  const cell = (value) => (value === null || value === undefined ? "" : String(value));
  return [head, ...abscissae(spec).map((x) => [
    xText(spec, x), ...told.flatMap(({at, wide}) => {
      const one = at.get(x);
      return wide ? [cell(one?.y), cell(one?.half)] : [cell(one?.y)];
    })])];
}

function xText({x: {dates, names, digits}}, x) {
  if (names?.has(x)) return names.get(x);
  if (dates) return new Date(x).toISOString();
  return digits === undefined ? String(x) : x.toFixed(digits);
}

// A cell of a table; words that a spreadsheet would take for a formula get an apostrophe before.
function cell(value) {
  const text = String(value);
  const harmless = /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replace(/"/g, '""')}"` : harmless;
}

function download(rows, name) {
  const csv = rows.map((row) => row.map(cell).join(",")).join("\r\n");
  const link = element("a", {download: `${name}.csv`});
  link.href = URL.createObjectURL(new Blob([`${csv}\r\n`], {type: "text/csv"}));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A tick with as many digits as its neighbours.
function even(value, ticksThere) {
  const step = ticksThere.length > 1 ? ticksThere[1] - ticksThere[0] : Math.abs(value) || 1;
  return value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

function short(value) {
  return String(+value.toPrecision(4));
}

function text(words, x, y, anchor, name = "") {
  const made = draw("text", {x, y, "text-anchor": anchor, class: name});
  made.textContent = words;
  return made;
}

function upright(x, name) {
  return draw("line", {class: name, x1: x, x2: x, y1: PAD.top, y2: PAD.top + PLOT_H});
}

function draw(name, attributes) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
