// The tool that measures: the length of a line, the area of a polygon, and a grid of degrees.
import {element, fill} from "./dom.js";
import {Sketch} from "./draw.js";
import {areaText, lengthText, pathLength, ringArea} from "./geodesy.js";
import {Graticule} from "./graticule.js";

const KINDS = {line: "measure_distance", polygon: "measure_area"};

export function measureTool(explorer) {
  const {map, strings} = explorer;
  const body = element("div", {className: "measure"});
  const result = element("p", {className: "result", role: "status"});
  const hint = element("p", {className: "small"});
  const graticule = new Graticule(map, strings);
  let kind = "line";
  const tell = (places) => {
    hint.textContent = strings[`analyse_hint_${kind}`];
    result.textContent = words(kind, places, strings);
    back.disabled = away.disabled = !places.length;
  };
  const sketch = new Sketch(map, {free: () => !explorer.why.active, onChange: tell, onDone: tell});
  const button = (text, action) => {
    const made = element("button", {type: "button", className: "action"}, text);
    made.addEventListener("click", action);
    return made;
  };
  const start = (name) => {
    kind = name;
    for (const each of kinds) each.setAttribute("aria-pressed", String(each.dataset.kind === name));
    sketch.start(name);
    tell([]);
  };
  const kinds = Object.entries(KINDS).map(([name, key]) => {
    const made = button(strings[key], () => start(name));
    made.dataset.kind = name;
    return made;
  });
  const back = button(strings.analyse_undo, () => sketch.undo());
  const away = button(strings.analyse_clear, () => sketch.clear());
  const row = element("div", {className: "kinds", role: "group", "aria-label": strings.measure_what});
  row.append(...kinds);
  body.append(row, hint, result, back, away, element("p", {className: "small"}, strings.measure_source),
              toggle(strings.measure_graticule, (on) => graticule.show(on)));
  return {
    id: "measure", icon: "⟷", title: strings.measure_title, body,
    onOpen: () => {
      explorer.why.set(false);
      start(kind);
    },
    onClose: () => sketch.stop(),
  };
}

function words(kind, places, strings) {
  const {language} = strings;
  if (places.length < 2) return "";
  if (kind === "line") return fill(strings.measure_length, {length: lengthText(pathLength(places), language)});
  if (places.length < 3) return "";
  const length = lengthText(pathLength([...places, places[0]]), language);
  return fill(strings.measure_surface, {area: areaText(ringArea(places), language), length});
}

function toggle(text, action) {
  const label = element("label", {className: "toggle"});
  const input = element("input", {type: "checkbox"});
  input.addEventListener("change", () => action(input.checked));
  label.append(input, ` ${text}`);
  return label;
}
