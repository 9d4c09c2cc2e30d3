// What a part of the page shows, drawn on a canvas: pictures, vectors, boxes and text where the
// browser has laid them out, with their clips, opacities and blending. So a saved picture is what
// was seen, whatever the comparison's mode.

const BLENDS = {normal: "source-over"}; // the others have the same names in CSS and on a canvas

// A canvas of `width` x `height` CSS pixels, with `scale` of its own for each.
export function blank(width, height, scale = 1) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.scale(scale, scale);
  return {canvas, context, width, height, scale};
}

// Vectors can only be drawn once they are pictures: {element: picture} of all below `root`.
export async function vectorsOf(root) {
  const found = [...root.querySelectorAll("svg")].filter((svg) => svg.getBoundingClientRect().width);
  return new Map(await Promise.all(found.map(async (svg) => {
    const copy = svg.cloneNode(true);
    const {width, height} = svg.getBoundingClientRect();
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const picture = new Image();
    const text = new XMLSerializer().serializeToString(copy);
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await picture.decode();
    return [svg, picture];
  })));
}

// Draw `node` and all in it. `look`: {origin: {x, y} of the sheet on the screen, vectors,
// clips: Map of element => the rectangle to which it is cut, and nothing else of its own look,
// texts: Map of element => text}.
export function paint(sheet, node, look) {
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden") return;
  if (style.opacity === "0" && !look.clips?.has(node)) return;
  if (!isGroup(style, node, look)) return draw(sheet, node, style, look);
  const group = blank(sheet.width, sheet.height, sheet.scale);
  draw(group, node, style, look);
  const {context} = sheet;
  context.save();
  clip(context, node, style, look);
  if (!look.clips?.has(node)) {
    context.globalAlpha = Number(style.opacity);
    context.globalCompositeOperation = BLENDS[style.mixBlendMode] ?? style.mixBlendMode;
    if (style.filter !== "none") context.filter = style.filter;
  }
  context.drawImage(group.canvas, 0, 0, sheet.width, sheet.height);
  context.restore();
}

// What has to be drawn by itself before it comes onto what is beneath it.
function isGroup(style, node, {clips}) {
  return style.opacity !== "1" || style.filter !== "none" || style.mixBlendMode !== "normal" ||
    style.clipPath !== "none" || clips?.has(node);
}

function draw(sheet, node, style, look) {
  const box = node.getBoundingClientRect();
  const place = {x: box.x - look.origin.x, y: box.y - look.origin.y, width: box.width, height: box.height};
  const {context} = sheet;
  const picture = look.vectors?.get(node) ?? (/^(img|canvas)$/i.test(node.tagName) ? node : null);
  if (picture) {
    context.imageSmoothingEnabled = style.imageRendering !== "pixelated";
    if (box.width) context.drawImage(picture, place.x, place.y, place.width, place.height);
    return;
  }
  drawBox(context, place, style);
  const text = look.texts?.get(node);
  if (text !== undefined) return write(context, node.firstChild, style, look, text);
  for (const child of inOrder(node)) {
    if (child.nodeType === Node.TEXT_NODE) write(context, child, style, look);
    else if (child.nodeType === Node.ELEMENT_NODE) paint(sheet, child, look);
  }
}

// Children from the lowest to the highest, in the order of the document among equals.
function inOrder(node) {
  const height = (child) => (child.nodeType === Node.ELEMENT_NODE
    ? Number.parseInt(getComputedStyle(child).zIndex, 10) || 0 : 0);
  return [...node.childNodes].map((child) => [height(child), child])
    .sort(([one], [other]) => one - other).map(([, child]) => child);
}

function drawBox(context, {x, y, width, height}, style) {
  if (!width || !height) return;
  const round = Number.parseFloat(style.borderTopLeftRadius) || 0;
  const asked = style.borderTopLeftRadius.includes("%") ? (round * width) / 100 : round;
  const radius = Math.min(asked, width / 2, height / 2);
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
  context.fillStyle = style.backgroundColor;
  context.fill();
  const colours = style.backgroundImage.match(/rgba?\([^)]*\)/g);
  if (colours?.length > 1) {
    const ramp = context.createLinearGradient(x, y, x + width, y);
    colours.forEach((colour, index) => ramp.addColorStop(index / (colours.length - 1), colour));
    context.fillStyle = ramp;
    context.fill();
  }
  const edges = [["Top", x, y, width, 0], ["Bottom", x, y + height, width, -1],
                 ["Left", x, y, 0, height], ["Right", x + width, y, -1, height]];
  for (const [name, left, top, across, down] of edges) {
    const wide = Number.parseFloat(style[`border${name}Width`]);
    if (!wide || style[`border${name}Style`] === "none") continue;
    if (radius > 2) return outline(context, [x, y, width, height, radius], wide, style);
    context.fillStyle = style[`border${name}Color`];
    const upright = name === "Left" || name === "Right";
    context.fillRect(left + (across < 0 ? -wide : 0), top + (down < 0 ? -wide : 0),
                     upright ? wide : width, upright ? height : wide);
  }
}

// A border around corners that are round, the same on every side.
function outline(context, [x, y, width, height, radius], wide, style) {
  context.beginPath();
  context.roundRect(x + wide / 2, y + wide / 2, width - wide, height - wide, radius - wide / 2);
  context.lineWidth = wide;
  context.strokeStyle = style.borderTopColor;
  context.stroke();
}

// Text where the browser has it, word by word, because a line may have been broken anywhere.
function write(context, node, style, {origin}, instead) {
  if (!node || node.nodeType !== Node.TEXT_NODE) return;
  context.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  context.fillStyle = style.color;
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  const words = instead === undefined ? [...node.data.matchAll(/\S+/g)] : [/\S+/.exec(node.data)];
  for (const word of words) {
    if (!word) continue;
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    const box = range.getClientRects()[0];
    if (!box) continue;
    const {fontBoundingBoxAscent: up, fontBoundingBoxDescent: down} = context.measureText(word[0]);
    const baseline = box.y - origin.y + (box.height - up - down) / 2 + up;
    context.fillText(instead ?? word[0], box.x - origin.x, baseline);
  }
}

// A clip is in the coordinates of its element; the shapes here are those that the page uses.
function clip(context, node, style, {origin, clips}) {
  const given = clips?.get(node);
  context.beginPath();
  if (given) {
    context.rect(given.x, given.y, given.width, given.height);
    return context.clip();
  }
  const [, shape, inside] = /^(\w+)\((.*)\)$/.exec(style.clipPath) ?? [];
  const box = node.getBoundingClientRect();
  const [left, top] = [box.x - origin.x, box.y - origin.y];
  const numbers = (inside ?? "").match(/-?[\d.]+/g)?.map(Number) ?? [];
  if (shape === "polygon") {
    for (let index = 0; index + 1 < numbers.length; index += 2) {
      context.lineTo(left + numbers[index], top + numbers[index + 1]);
    }
  } else if (shape === "circle") {
    const [radius, x, y] = numbers;
    context.arc(left + x, top + y, radius, 0, 2 * Math.PI);
  } else {
    return undefined;
  }
  return context.clip();
}
