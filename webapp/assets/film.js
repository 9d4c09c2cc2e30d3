// Films of the comparison as frames: the handle going over the view and back, and one side through
// the dates of its collection.
import {blank} from "./paint.js";
import {footLines, picture} from "./picture.js";
import {encodeGif} from "./gif.js";
import {recordMp4} from "./video.js";

const SIDE_PX = 256; // of a map tile
const STEPS = 12; // of the handle from one end to the other
const STEP_DELAY = 9, END_DELAY = 70, DATE_DELAY = 110; // hundredths of a second
const WIDEST = 720; // pixels of a film: more would be tens of megabytes
export const MOST_DATES = 24;

// Films are frames: [{data: RGBA bytes, width, height, delay: hundredths of a second}].

// The handle from left to right and back, over what is seen now.
export async function swipeFilm(explorer, view, {onStep}) {
  const there = Array.from({length: STEPS + 1}, (_, step) =>
    0.5 - 0.45 * Math.cos((Math.PI * step) / STEPS));
  const frames = [];
  for (const position of there) {
    const canvas = await picture(explorer, view, {position});
    frames.push({...pixels(canvas), delay: STEP_DELAY});
    await onStep(frames.length, there.length);
  }
  frames[0].delay = frames.at(-1).delay = END_DELAY;
  return [...frames, ...frames.slice(1, -1).reverse()];
}

// One side at every date on which the layer is there; at most 24, those nearest to the one shown.
export async function datesFilm(explorer, view, side, {onStep}) {
  const {collection} = view;
  const what = view[side];
  const nearest = (scene) => Math.abs(Date.parse(scene.datetime) - Date.parse(what.datetime));
  const scenes = collection.scenes.filter(({layers}) => layers.includes(what.layer.id))
    .sort((one, other) => nearest(one) - nearest(other)).slice(0, MOST_DATES)
    .sort((one, other) => Date.parse(one.datetime) - Date.parse(other.datetime));
  const frames = [];
  let missing = 0;
  for (const [index, {datetime}] of scenes.entries()) {
    const tiles = await tilesAt(explorer, withDate(what.template, datetime));
    if (tiles.length) frames.push({...pixels(await atDate(explorer, view, {side, datetime, tiles})),
                                   delay: DATE_DELAY});
    else missing += 1;
    await onStep(index + 1, scenes.length);
  }
  return {frames, missing};
}

async function atDate(explorer, view, {side, datetime, tiles}) {
  const {caption} = explorer.sides[side];
  const shown = {...view, [side]: {...view[side], datetime}};
  return picture(explorer, shown, {
    ground: ({context}) => {
      for (const {image, x, y, size} of tiles) context.drawImage(image, x, y, size, size);
    },
    without: (label) => label.classList.contains("caption") && label !== caption,
    texts: new Map([[caption.querySelector(".date"), datetime.slice(0, 10)]]),
    lines: footLines(explorer, shown, [side]),
  });
}

export function withDate(template, datetime) {
  return template.replace(/([?&]datetime=)[^&]*/, `$1${encodeURIComponent(datetime)}`);
}

// The tiles of a template that the view shows: pictures and where they lie; none is no tile.
async function tilesAt({map, api}, template) {
  const zoom = Math.round(map.getZoom());
  const scale = map.getZoomScale(map.getZoom(), zoom);
  const {min, max} = map.getPixelBounds();
  const [first, last] = [min, max].map((corner) => corner.divideBy(SIDE_PX * scale).floor());
  const wanted = [];
  for (let y = first.y; y <= last.y; y += 1) {
    for (let x = first.x; x <= last.x; x += 1) wanted.push({x, y});
  }
  const found = await Promise.all(wanted.map(async ({x, y}) => {
    const url = template.replace("{z}", zoom).replace("{x}", x).replace("{y}", y);
    const answer = await api.fetch(url);
    if (answer.status === 204) return null;
    const image = await createImageBitmap(await answer.blob());
    const size = SIDE_PX * scale;
    return {image, x: x * size - min.x, y: y * size - min.y, size};
  }));
  return found.filter(Boolean);
}

function pixels(canvas) {
  const times = Math.min(1, WIDEST / canvas.width);
  const small = blank(Math.round(canvas.width * times), Math.round(canvas.height * times));
  small.context.imageSmoothingQuality = "high";
  small.context.drawImage(canvas, 0, 0, small.width, small.height);
  const {data, width, height} = small.context.getImageData(0, 0, small.width, small.height);
  return {data, width, height};
}

// A film as a file: "gif" or "mp4".
export async function encoded(frames, format) {
  if (format === "mp4") return recordMp4(frames);
  const [{width, height}] = frames;
  return new Blob([encodeGif(frames, width, height)], {type: "image/gif"});
}
