// The polygon of a GeoJSON file of the visitor's own, read in the browser. Its size is bounded
// before it is read, its vertices before it is sent anywhere.

const MOST_BYTES = 1_000_000;
export const MOST_VERTICES = 300; // that fit into one request

export class Unfit extends Error {}

// The outer ring [{lat, lng}] of the first polygon; throws Unfit, whose message is a key of the
// words and whose `values` fill it. A hole or a second part is not left out: it is refused.
export async function polygonOf(file) {
  if (file.size > MOST_BYTES) throw unfit("analyse_file_large", {most: MOST_BYTES / 1_000_000});
  let document;
  try {
    document = JSON.parse(await file.text());
  } catch {
    throw unfit("analyse_file_unread");
  }
  const geometry = polygonIn(document);
  if (!geometry) throw unfit("analyse_file_none");
  const rings = geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates?.flat(1);
  if (!Array.isArray(rings) || rings.length !== 1 || !Array.isArray(rings[0])) throw unfit("analyse_file_parts");
  const ring = rings[0].slice(0, -1); // the last position repeats the first
  if (ring.length > MOST_VERTICES) {
    throw unfit("analyse_file_many", {got: ring.length, most: MOST_VERTICES});
  }
  if (ring.length < 3 || !ring.every(degrees)) throw unfit("analyse_file_degrees");
  return ring.map(([lng, lat]) => ({lat, lng}));
}

function polygonIn(document) {
  const features = document?.type === "FeatureCollection" && Array.isArray(document.features)
    ? document.features : [document];
  const found = features.map((one) => (one?.type === "Feature" ? one.geometry : one));
  return found.find((one) => one?.type === "Polygon" || one?.type === "MultiPolygon");
}

function degrees(position) {
  return Array.isArray(position) && Math.abs(position[0]) <= 180 && Math.abs(position[1]) <= 90;
}

function unfit(key, values = {}) {
  return Object.assign(new Unfit(key), {values});
}
