// At most 256 colours for some pictures, by median cut (Heckbert 1982), and each pixel's among them.

const COLOURS = 256;

// 32768 cells of colour (five bits a channel), halved until there are as many as may be.
export function paletteOf(images) {
  const counts = new Uint32Array(1 << 15);
  for (const data of images) {
    for (let at = 0; at < data.length; at += 4) counts[cell(data, at)] += 1;
  }
  const used = [];
  counts.forEach((count, key) => { if (count) used.push(key); });
  const boxes = [boxOf(used, counts)];
  while (boxes.length < COLOURS) {
    boxes.sort((one, other) => one.weight - other.weight);
    const largest = boxes.pop();
    if (!largest || largest.weight === 0) {
      if (largest) boxes.push(largest);
      break;
    }
    boxes.push(...halves(largest, counts));
  }
  const colours = Array.from({length: COLOURS}, () => [0, 0, 0]);
  const places = new Uint8Array(1 << 15);
  boxes.forEach(({keys}, index) => {
    colours[index] = meanOf(keys, counts);
    for (const key of keys) places[key] = index;
  });
  return {colours, places};
}

function cell(data, at) {
  return ((data[at] >> 3) << 10) | ((data[at + 1] >> 3) << 5) | (data[at + 2] >> 3);
}

const channel = (key, axis) => (key >> (10 - 5 * axis)) & 31;

// Weight: how much there is to gain by halving it, none where all is one cell.
function boxOf(keys, counts) {
  let [axis, spread] = [0, 0];
  for (const each of [0, 1, 2]) {
    let [low, high] = [31, 0];
    for (const key of keys) {
      low = Math.min(low, channel(key, each));
      high = Math.max(high, channel(key, each));
    }
    if (high - low > spread) [axis, spread] = [each, high - low];
  }
  const pixels = keys.reduce((sum, key) => sum + counts[key], 0);
  return {keys, axis, pixels, weight: spread * Math.sqrt(pixels)};
}

function halves({keys, axis, pixels}, counts) {
  keys.sort((one, other) => channel(one, axis) - channel(other, axis));
  let [seen, at] = [0, 0];
  while (at < keys.length - 1 && seen + counts[keys[at]] <= pixels / 2) seen += counts[keys[at++]];
  at = Math.min(Math.max(at, 1), keys.length - 1);
  return [boxOf(keys.slice(0, at), counts), boxOf(keys.slice(at), counts)];
}

function meanOf(keys, counts) {
  const sums = [0, 0, 0, 0];
  for (const key of keys) {
    for (const axis of [0, 1, 2]) sums[axis] += counts[key] * ((channel(key, axis) * 255) / 31);
    sums[3] += counts[key];
  }
  return sums.slice(0, 3).map((sum) => Math.round(sum / Math.max(sums[3], 1)));
}

export function indicesOf(data, {places}) {
  const indices = new Uint8Array(data.length / 4);
  for (let index = 0; index < indices.length; index += 1) indices[index] = places[cell(data, 4 * index)];
  return indices;
}
