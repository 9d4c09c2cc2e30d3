// All that is seen, as the fragment of the address: what is shown on each side, how the two are
// compared, and where. A fragment never reaches the server; two visitors share nothing by it.
import {FIRST, LIMITS, MODES} from "./compare.js";

const SIDES = ["left", "right"];
const SIDE_KEYS = ["layer", "model", "date", "bands", "index", "colormap", "rescale"];
const PLACE = {lat: [-90, 90], lon: [-540, 540], zoom: [0, 24]};
const LONGEST = 4000;

// shown: the parameter of that name; compare: Compare's state; place: {lat, lon, zoom} or null
export function writeLink({shown, compare, place}) {
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
  words.set("lock", shown.lock.join(","));
  if (shown.smooth) words.set("smooth", "1");
  // Commas, colons and slashes may stand in a fragment as they are, and read better so.
  return words.toString().replace(/%2C/g, ",").replace(/%3A/g, ":");
}

// {wanted, compare, place} of a fragment, or null where it says nothing of ours. `wanted` goes to
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
  return {wanted, compare, place: Object.keys(place).length === 3 ? place : null};
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
