// Coordinates as people write them: decimal degrees, degrees with minutes and seconds, with the
// points of the compass before or behind; UTM, and squares of MGRS.
import {readMgrs, readUtm} from "./utm.js";

const MARKS = /[\s°º˚'’′"”″,;:]/g;
const DECIMAL_COMMAS = /^[-+]?\d+,\d+\s*[,;\s]\s*[-+]?\d+,\d+$/; // 46,49 11,35
const LONGEST = 60;

// {lat, lon} in degrees, or null where the text is no place. Without letters the latitude comes
// first, unless only the other way round makes a place. `east` has the letters that mean east.
export function readCoordinates(text, east = "E") {
  const line = text.trim().slice(0, LONGEST + 1).replace(/[−–]/g, "-").toUpperCase();
  if (!line || line.length > LONGEST) return null;
  const place = readPlain(line) ?? readLettered(line, east) ?? readUtm(line) ?? readMgrs(line);
  return place && Math.abs(place.lat) <= 90 && Math.abs(place.lon) <= 180 ? place : null;
}

function readPlain(line) {
  const text = DECIMAL_COMMAS.test(line) ? line.replace(/(\d),(\d)/g, "$1.$2") : line;
  const parts = text.split(/[\s,;]+/).filter(Boolean);
  if (parts.length !== 2 || !parts.every((part) => /^[-+]?\d{1,3}(\.\d+)?°?$/.test(part))) return null;
  const [first, second] = parts.map(parseFloat);
  return Math.abs(first) > 90 ? {lat: second, lon: first} : {lat: first, lon: second};
}

function readLettered(line, east) {
  const word = new RegExp(`[NSW${east}]|\\d+(?:\\.\\d+)?`, "g");
  const text = line.replace(/(\d),(\d)/g, "$1.$2");
  const words = text.match(word) ?? [];
  if (text.replace(word, "").replace(MARKS, "")) return null;
  const letters = words.filter((one) => !/\d/.test(one));
  if (letters.length !== 2 || /\d/.test(words[0]) === /\d/.test(words.at(-1))) return null;
  // Every point of the compass before its numbers, or every one behind.
  const cut = /\d/.test(words[0]) ? words.indexOf(letters[0]) + 1 : words.lastIndexOf(letters[1]);
  const angles = [words.slice(0, cut), words.slice(cut)].map((part) => readAngle(part, east));
  const lat = angles.find((angle) => angle?.upright), lon = angles.find((angle) => angle && !angle.upright);
  return lat && lon ? {lat: lat.degrees, lon: lon.degrees} : null;
}

// One letter, and degrees, minutes and seconds, of which the last may be broken.
function readAngle(words, east) {
  const numbers = words.filter((one) => /\d/.test(one));
  const letters = words.filter((one) => !/\d/.test(one));
  const whole = numbers.slice(0, -1).every((one) => !one.includes("."));
  const [degrees, minutes = 0, seconds = 0] = numbers.map(Number);
  if (letters.length !== 1 || numbers.length < 1 || numbers.length > 3 || !whole) return null;
  if (minutes >= 60 || seconds >= 60) return null;
  const [letter] = letters;
  const forward = letter === "N" || east.includes(letter);
  return {upright: letter === "N" || letter === "S",
          degrees: (forward ? 1 : -1) * (degrees + minutes / 60 + seconds / 3600)};
}
