// The comparison as one picture: the map as it is seen, its labels, scale bar and legends, and
// beneath it, in full, place, dates, what stands on either side, the notice and the credit.
import {blank, paint, vectorsOf} from "./paint.js";
import {fill} from "./dom.js";

const LABELS = ".lens, .caption, .leaflet-control-scale, .notice";
const MARGIN = 10, LINE = 17, FONT = "12px Roboto, 'Helvetica Neue', Arial, sans-serif";

// A picture of what is seen. `options`: {scale, position: of the handle instead of its own,
// ground(sheet): draws in place of the map's panes, texts, lines: of the foot}.
export async function picture(explorer, view, options = {}) {
  const frame = explorer.map.getContainer();
  const box = frame.getBoundingClientRect();
  const lines = options.lines ?? footLines(explorer, view);
  const paper = paperOf(explorer.root);
  const [width, limit] = [Math.round(box.width), Math.round(box.width) - 2 * MARGIN];
  const wrapped = lines.flatMap((line) => broken(line, limit));
  const height = Math.round(box.height);
  const sheet = blank(width, height + wrapped.length * LINE + 2 * MARGIN, options.scale ?? 1);
  const look = {origin: {x: box.x, y: box.y}, vectors: await vectorsOf(frame), texts: textsOf(frame, options),
                clips: clipsAt(explorer, options.position, box)};
  sheet.context.save();
  sheet.context.beginPath();
  sheet.context.rect(0, 0, width, height);
  sheet.context.clip();
  sheet.context.fillStyle = getComputedStyle(frame).backgroundColor;
  sheet.context.fillRect(0, 0, width, height);
  if (options.ground) options.ground(sheet);
  else paintPanes(sheet, explorer.map.getPane("mapPane"), look);
  if (!options.ground) paintHandle(sheet, frame, {box, position: options.position, height});
  // What tells of the mode is out of place where a film has its own.
  const another = options.ground || options.position !== undefined;
  const hidden = (label) => options.without?.(label) || (another && label.classList.contains("lens"));
  for (const label of frame.querySelectorAll(LABELS)) if (!hidden(label)) paint(sheet, label, look);
  sheet.context.restore();
  writeFoot(sheet, wrapped, height, paper);
  return sheet.canvas;
}

function textsOf(frame, {texts, ground, position}) {
  if (!ground && position === undefined) return texts;
  return new Map([...[...frame.querySelectorAll(".caption .role")].map((role) => [role, ""]),
                  ...(texts ?? [])]);
}

// By itself first: blending must not see the ground beneath the map.
function paintPanes(sheet, panes, look) {
  const group = blank(sheet.width, sheet.height, sheet.scale);
  paint(group, panes, look);
  sheet.context.drawImage(group.canvas, 0, 0, sheet.width, sheet.height);
}

function clipsAt({sides}, position, {width, height}) {
  if (position === undefined) return undefined;
  const cut = Math.round(width * position);
  const both = sides.left.pane.parentElement;
  return new Map([[both, {x: 0, y: 0, width, height}],
                  [sides.left.pane, {x: 0, y: 0, width: cut, height}],
                  [sides.right.pane, {x: cut, y: 0, width: width - cut, height}]]);
}

// The line and the grip are made of pseudo-elements, which have no place to be read.
function paintHandle({context}, frame, {box, position, height}) {
  const handle = frame.querySelector(".swipe");
  if (position === undefined && getComputedStyle(handle).display === "none") return;
  const own = handle.getBoundingClientRect();
  const x = position === undefined ? own.x + own.width / 2 - box.x : Math.round(box.width * position);
  context.fillStyle = "rgba(0, 0, 0, 0.35)";
  context.fillRect(x - 2, 0, 4, height);
  context.fillStyle = "#fff";
  context.fillRect(x - 1, 0, 2, height);
  context.save();
  context.shadowColor = "rgba(0, 0, 0, 0.5)";
  context.shadowBlur = 5;
  context.beginPath();
  context.arc(x, height / 2, 20, 0, 2 * Math.PI);
  context.fill();
  context.restore();
  context.fillStyle = "#37444d";
  for (const side of [-1, 1]) {
    context.beginPath();
    context.moveTo(x + side * 16, height / 2);
    context.lineTo(x + side * 10, height / 2 - 6);
    context.lineTo(x + side * 10, height / 2 + 6);
    context.fill();
  }
}

// What must stand beside a picture wherever it goes.
export function footLines(explorer, view, sides = ["left", "right"]) {
  const {strings} = explorer;
  const {collection, lat, lon} = view;
  const place = `${Math.abs(lat).toFixed(4)}° ${lat < 0 ? "S" : "N"}, ` +
    `${Math.abs(lon).toFixed(4)}° ${lon < 0 ? "W" : "E"}`;
  const shown = sides.map((side) => fill(strings.export_shown, {
    side: strings[`export_${side}`], title: view[side].title, date: view[side].datetime.slice(0, 10)}));
  return [`${collection.title} · ${place}`, ...shown, collection.notice,
          collection.attribution, strings.title].filter(Boolean);
}

function broken(line, limit) {
  const {context} = blank(1, 1);
  context.font = FONT;
  const lines = [""];
  for (const word of line.split(/\s+/)) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (context.measureText(longer).width <= limit || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function paperOf(root) {
  const style = getComputedStyle(root);
  return {ground: style.getPropertyValue("--ground"), ink: style.getPropertyValue("--ink")};
}

function writeFoot({context, width}, lines, top, {ground, ink}) {
  context.fillStyle = ground;
  context.fillRect(0, top, width, lines.length * LINE + 2 * MARGIN);
  context.fillStyle = ink;
  context.font = FONT;
  context.textAlign = "left";
  context.textBaseline = "middle";
  lines.forEach((line, index) => context.fillText(line, MARGIN, top + MARGIN + (index + 0.5) * LINE));
}
