// All that is seen, as the fragment of the address: what is shown on each side, how the two are
// compared, what is laid over them, and where. A fragment never reaches the server; two visitors
// share nothing by it.
import {FIRST, LIMITS, MODES} from "./compare.js";
import {PLACES} from "./overlays.js";

const SIDES = ["left", "right"];
const SIDE_KEYS = ["layer", "model", "date", "minuend", "subtrahend", "subtrahend_model", "subtrahend_date",
                   "bands", "index", "colormap", "rescale"];
const PLACE = {lat: [-90, 90], lon: [-540, 540], zoom: [0, 24]};
const LONGEST = 4000;
const MOST_OVERLAYS = 20;

// shown: the parameter of that name; compare: Compare's state; place: {lat, lon, zoom} or null;
// overlays: [{id, place, opacity}], the lowest first
export function writeLink({shown, compare, place, overlays = []}) {
  const words = new URLSearchParams({collection: shown.collection});
  for (const [key, value] of Object.entries(place ?? {})) {
    words.set(key, String(+value.toFixed(key === "zoom" ? 2 : 7)));
  }
  for (const [key, value] of Object.entries(compare)) {
    if (value !== FIRST[key]) words.set(key, typeof value === "number" ? String(+value.toFixed(4)) : value);
  }
  for (const side of SIDES) {
    for (const key of SIDE_KEYS) {
      if (shown[side][key]) words.set(`${side}.${key}`, shown[side][key]);
    }
  }
  if (overlays.length) {
    words.set("overlays", overlays.map(({id, place: where, opacity}) =>
      `${id}:${where}:${Math.round(100 * opacity)}`).join(","));
  }
  words.set("lock", shown.lock.join(","));
  if (shown.smooth) words.set("smooth", "1");
  // Commas, colons and slashes may stand in a fragment as they are, and read better so.
  return words.toString().replace(/%2C/g, ",").replace(/%3A/g, ":");
}

// {wanted, compare, place, overlays} of a fragment, or null where it says nothing of ours. `wanted` goes to
// Python, which knows what exists; its `unread` names what is no number or no mode.
export function readLink(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, "").slice(0, LONGEST));
  if (!words.has("collection")) return null;
  const unread = [];
  const compare = {...FIRST, ...numbers(words, LIMITS, unread)};
  const mode = words.get("mode") ?? FIRST.mode;
  if (MODES.includes(mode)) compare.mode = mode;
  else unread.push("mode");
  const place = numbers(words, PLACE, unread);
  const wanted = {collection: words.get("collection"), smooth: words.get("smooth") === "1", unread,
                  lock: (words.get("lock") ?? "").split(",")};
  for (const side of SIDES) {
    wanted[side] = Object.fromEntries(
      SIDE_KEYS.map((key) => [key, words.get(`${side}.${key}`) ?? ""]));
  }
  const overlays = overlaysOf(words.get("overlays") ?? "", unread);
  return {wanted, compare, place: Object.keys(place).length === 3 ? place : null, overlays};
}

// "ortho:left:70,..." as [{id, place, opacity}]; what cannot be read goes to `unread`.
function overlaysOf(text, unread) {
  const found = [];
  for (const word of text.split(",").filter(Boolean).slice(0, MOST_OVERLAYS)) {
    const [id, place, percent] = word.split(":");
    const opacity = /^\d{1,3}$/.test(percent) ? Number(percent) / 100 : NaN;
    if (Object.hasOwn(PLACES, place) && opacity <= 1) found.push({id, place, opacity});
    else unread.push(word.slice(0, 40));
  }
  return found;
}

function numbers(words, limits, unread) {
  const found = {};
  for (const [key, [least, most]] of Object.entries(limits)) {
    if (!words.has(key)) continue;
    const value = Number(words.get(key) || "none");
    if (value >= least && value <= most) found[key] = value;
    else unread.push(key);
  }
  return found;
}

// Whether the page is shown in a frame of another site, without sidebar and header.
export function embedded() {
  return new URLSearchParams(location.search).get("embed") === "1";
}
