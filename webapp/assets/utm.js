// From UTM, and from the squares of MGRS by which Sentinel-2's granules are named, to degrees on
// WGS 84: Krüger's series to the fourth order, exact to a millimetre within a zone.

const RADIUS = 6378137, FLATTENING = 1 / 298.257223563, SCALE = 0.9996;
const EAST_0 = 500_000, SOUTH_0 = 10_000_000, SQUARE = 100_000;
const N = FLATTENING / (2 - FLATTENING);
const RECTIFYING = (RADIUS / (1 + N)) * (1 + N ** 2 / 4 + N ** 4 / 64);
const BETA = [N / 2 - (2 / 3) * N ** 2 + (37 / 96) * N ** 3 - N ** 4 / 360,
              N ** 2 / 48 + N ** 3 / 15 - (437 / 1440) * N ** 4,
              (17 / 480) * N ** 3 - (37 / 840) * N ** 4, (4397 / 161280) * N ** 4];
const DELTA = [2 * N - (2 / 3) * N ** 2 - 2 * N ** 3 + (116 / 45) * N ** 4,
               (7 / 3) * N ** 2 - (8 / 5) * N ** 3 - (227 / 45) * N ** 4,
               (56 / 15) * N ** 3 - (136 / 35) * N ** 4, (4279 / 630) * N ** 4];
const BANDS = "CDEFGHJKLMNPQRSTUVWX"; // of latitude, 8 degrees each from 80 south, the last one 12
const ROWS = "ABCDEFGHJKLMNPQRSTUV", COLUMNS = ["STUVWXYZ", "ABCDEFGH", "JKLMNPQR"];
const UTM = /^(\d{1,2})\s*([C-HJ-NP-X])\s+(\d{6}(?:\.\d+)?)\s*(?:M?E)?[,;\s]\s*(\d{1,8}(?:\.\d+)?)\s*(?:M?N)?$/i;
const MGRS = /^T?(\d{1,2})\s*([C-HJ-NP-X])\s*([A-HJ-NP-Z])([A-HJ-NP-V])\s*((?:\d\s*){0,10})$/i;

// {lat, lon} of "32T 680000 5150000", or null; the letter is the band of latitude.
export function readUtm(text) {
  const [, zone, band, easting, northing] = UTM.exec(text.trim()) ?? [];
  if (!zone || !isZone(zone)) return null;
  return toDegrees(Number(zone), Number(easting), Number(northing), isSouth(band));
}

// {lat, lon} of the middle of a square, "32TPS" or "T32TPS", or of a place in it, "32T PS 1234 5678".
export function readMgrs(text) {
  const [, zone, band, column, row, digits = ""] = MGRS.exec(text.trim()) ?? [];
  const numbers = digits.replace(/\s/g, "");
  if (!zone || !isZone(zone) || numbers.length % 2) return null;
  const letters = COLUMNS[zone % 3].indexOf(column.toUpperCase());
  if (letters < 0) return null;
  const half = numbers.length / 2, size = SQUARE / 10 ** half;
  const [x, y] = half ? [numbers.slice(0, half), numbers.slice(half)].map((part) => (Number(part) + 0.5) * size)
    : [SQUARE / 2, SQUARE / 2];
  const shift = zone % 2 ? 0 : 5;
  const first = ((ROWS.indexOf(row.toUpperCase()) + ROWS.length - shift) % ROWS.length) * SQUARE + y;
  return inBand(Number(zone), band, (letters + 1) * SQUARE + x, first);
}

// Rows repeat every 2000 km: the one that lies in the band, or reaches over its edge.
function inBand(zone, band, easting, first) {
  const lowest = -80 + 8 * BANDS.indexOf(band.toUpperCase());
  const highest = lowest + (band.toUpperCase() === "X" ? 12 : 8);
  for (let northing = first; northing < SOUTH_0; northing += ROWS.length * SQUARE) {
    const place = toDegrees(zone, easting, northing, isSouth(band));
    if (place.lat > lowest - 0.5 && place.lat < highest + 0.5) return place;
  }
  return null;
}

function toDegrees(zone, easting, northing, south) {
  const xi = (northing - (south ? SOUTH_0 : 0)) / (SCALE * RECTIFYING);
  const eta = (easting - EAST_0) / (SCALE * RECTIFYING);
  let [up, across] = [xi, eta];
  BETA.forEach((beta, index) => {
    const times = 2 * (index + 1);
    up -= beta * Math.sin(times * xi) * Math.cosh(times * eta);
    across -= beta * Math.cos(times * xi) * Math.sinh(times * eta);
  });
  const conformal = Math.asin(Math.sin(up) / Math.cosh(across));
  const lat = DELTA.reduce((sum, delta, index) => sum + delta * Math.sin(2 * (index + 1) * conformal), conformal);
  const lon = Math.atan2(Math.sinh(across), Math.cos(up));
  return {lat: (lat * 180) / Math.PI, lon: (lon * 180) / Math.PI + 6 * zone - 183};
}

function isZone(zone) {
  return zone >= 1 && zone <= 60;
}

function isSouth(band) {
  return band.toUpperCase() < "N";
}
