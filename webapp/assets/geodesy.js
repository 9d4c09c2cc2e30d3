// Lengths and areas on the WGS 84 ellipsoid, in metres and square metres, of places {lat, lng}.

const A = 6378137;
const F = 1 / 298.257223563;
const B = A * (1 - F);
const E2 = F * (2 - F);
const E = Math.sqrt(E2);
const ROUNDS = 100;
const PARTS = 16; // of each side of an area
const MEAN_RADIUS = 6371008.8; // IUGG, for the few places where Vincenty's formula does not settle

// Length of the shortest path: T. Vincenty, Survey Review 23 (1975), inverse formula, right to a
// millimetre; on the sphere between places nearly opposite each other, where it does not settle.
export function distance(from, to) {
  const [phi1, phi2, lambda] = [from.lat, to.lat, to.lng - from.lng].map(radians);
  const u1 = Math.atan((1 - F) * Math.tan(phi1));
  const u2 = Math.atan((1 - F) * Math.tan(phi2));
  const [s1, c1, s2, c2] = [Math.sin(u1), Math.cos(u1), Math.sin(u2), Math.cos(u2)];
  let l = lambda;
  for (let round = 0; round < ROUNDS; round += 1) {
    const sinSigma = Math.hypot(c2 * Math.sin(l), c1 * s2 - s1 * c2 * Math.cos(l));
    if (sinSigma === 0) return 0;
    const cosSigma = s1 * s2 + c1 * c2 * Math.cos(l);
    const sigma = Math.atan2(sinSigma, cosSigma);
    const sinAlpha = (c1 * c2 * Math.sin(l)) / sinSigma;
    const cos2 = 1 - sinAlpha ** 2;
    const mid = cos2 === 0 ? 0 : cosSigma - (2 * s1 * s2) / cos2; // 0 along the equator
    const c = (F / 16) * cos2 * (4 + F * (4 - 3 * cos2));
    const next = lambda + (1 - c) * F * sinAlpha
      * (sigma + c * sinSigma * (mid + c * cosSigma * (2 * mid ** 2 - 1)));
    if (Math.abs(next - l) < 1e-12) return metres(cos2, sigma, sinSigma, cosSigma, mid);
    l = next;
  }
  return haversine(phi1, phi2, lambda);
}

function metres(cos2, sigma, sinSigma, cosSigma, mid) {
  const k = (cos2 * (A ** 2 - B ** 2)) / B ** 2;
  const a = 1 + (k / 16384) * (4096 + k * (-768 + k * (320 - 175 * k)));
  const b = (k / 1024) * (256 + k * (-128 + k * (74 - 47 * k)));
  const inner = cosSigma * (2 * mid ** 2 - 1)
    - (b / 6) * mid * (4 * sinSigma ** 2 - 3) * (4 * mid ** 2 - 3);
  return B * a * (sigma - b * sinSigma * (mid + (b / 4) * inner));
}

function haversine(phi1, phi2, lambda) {
  const h = Math.sin((phi2 - phi1) / 2) ** 2
    + Math.cos(phi1) * Math.cos(phi2) * Math.sin(lambda / 2) ** 2;
  return 2 * MEAN_RADIUS * Math.asin(Math.sqrt(h));
}

export function pathLength(places) {
  return places.slice(1).reduce((sum, place, index) => sum + distance(places[index], place), 0);
}

// Area of a ring in the ellipsoid's equal-area cylindrical projection: J. P. Snyder, Map
// Projections - A Working Manual (USGS PP 1395, 1987), equations 3-12 and 10-15. A side would be
// straight in that projection, which is wrong by 5e-4 of a field of 5 km; so it is divided along
// its great circle first, which leaves 3e-6.
export function ringArea(places) {
  const fine = places.flatMap((place, index) => divided(place, places[(index + 1) % places.length]));
  const twice = fine.reduce((sum, place, index) => {
    const next = fine[(index + 1) % fine.length];
    return sum + radians(next.lng - place.lng) * (authalic(place.lat) + authalic(next.lat));
  }, 0);
  return Math.abs(twice) * (A ** 2 / 4);
}

// The first place, and others on the way to the next.
function divided(from, to) {
  const [start, end] = [upright(from), upright(to)];
  return Array.from({length: PARTS}, (_, part) => {
    if (part === 0) return from;
    const [x, y, z] = start.map((value, axis) => value + ((end[axis] - value) * part) / PARTS);
    return {lat: degrees(Math.atan2(z, Math.hypot(x, y))), lng: from.lng + turned(degrees(Math.atan2(y, x)) - from.lng)};
  });
}

function upright({lat, lng}) {
  const [phi, lambda] = [radians(lat), radians(lng)];
  return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
}

function turned(difference) {
  return difference - 360 * Math.round(difference / 360);
}

function authalic(lat) {
  const s = Math.sin(radians(lat));
  return (1 - E2) * (s / (1 - E2 * s ** 2) - Math.log((1 - E * s) / (1 + E * s)) / (2 * E));
}

function radians(angle) {
  return (angle * Math.PI) / 180;
}

function degrees(angle) {
  return (angle * 180) / Math.PI;
}

// "12.3 m", "4.56 km"; the language is that of the page.
export function lengthText(metresLong, language) {
  const far = metresLong >= 1000;
  return `${number(far ? metresLong / 1000 : metresLong, far ? 3 : 1, language)} ${far ? "km" : "m"}`;
}

export function areaText(squareMetres, language) {
  const [value, digits, unit] = squareMetres >= 1e6 ? [squareMetres / 1e6, 3, "km²"]
    : squareMetres >= 1e4 ? [squareMetres / 1e4, 3, "ha"] : [squareMetres, 0, "m²"];
  return `${number(value, digits, language)} ${unit}`;
}

function number(value, digits, language) {
  return value.toLocaleString(language, {minimumFractionDigits: digits, maximumFractionDigits: digits});
}
