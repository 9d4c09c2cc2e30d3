// An animated GIF (GIF89a) of frames of one size: colours by median cut, pixels by LZW.

const MOST_CODES = 4096; // of twelve bits, the longest that GIF knows
const COLOURS = 256;

// frames: [{data: RGBA bytes, delay: hundredths of a second}]; returns the bytes of the file.
export function encodeGif(frames, width, height) {
  const palette = paletteOf(frames.map(({data}) => data));
  const out = new Bytes();
  out.text("GIF89a");
  out.short(width);
  out.short(height);
  out.bytes([0xf7, 0, 0]); // a palette of 256 for all frames
  for (const colour of palette.colours) out.bytes(colour);
  out.bytes([0x21, 0xff, 11]);
  out.text("NETSCAPE2.0"); // the extension that says: again and again
  out.bytes([3, 1, 0, 0, 0]);
  let last = null;
  for (const {data, delay} of frames) {
    const indices = indicesOf(data, palette);
    const {left, top, across, down} = changedBox(indices, last, width, height);
    out.bytes([0x21, 0xf9, 4, 4]); // what is there stays, and the frame comes over it
    out.short(delay);
    out.bytes([0, 0, 0x2c]);
    for (const number of [left, top, across, down]) out.short(number);
    out.bytes([0, 8]);
    out.blocks(compressed(cut(indices, width, {left, top, across, down}), 8));
    last = indices;
  }
  out.bytes([0x3b]);
  return out.done();
}

// The part of a frame that is not as in the one before it; a single pixel where all is.
function changedBox(indices, last, width, height) {
  if (!last) return {left: 0, top: 0, across: width, down: height};
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let at = 0; at < indices.length; at += 1) {
    if (indices[at] === last[at]) continue;
    const x = at % width;
    bottom = (at - x) / width;
    top = Math.min(top, bottom);
    left = Math.min(left, x);
    right = Math.max(right, x);
  }
  if (right < 0) return {left: 0, top: 0, across: 1, down: 1};
  return {left, top, across: right - left + 1, down: bottom - top + 1};
}

function cut(indices, width, {left, top, across, down}) {
  const part = new Uint8Array(across * down);
  for (let row = 0; row < down; row += 1) {
    const from = (top + row) * width + left;
    part.set(indices.subarray(from, from + across), row * across);
  }
  return part;
}

class Bytes {
  constructor() {
    this.held = new Uint8Array(1 << 16);
    this.length = 0;
  }

  bytes(values) {
    while (this.length + values.length > this.held.length) {
      const larger = new Uint8Array(2 * this.held.length);
      larger.set(this.held);
      this.held = larger;
    }
    this.held.set(values, this.length);
    this.length += values.length;
  }

  text(letters) {
    this.bytes([...letters].map((letter) => letter.charCodeAt(0)));
  }

  short(number) {
    this.bytes([number & 255, number >> 8]);
  }

  // In pieces of at most 255 bytes, each after its length; an empty one ends them.
  blocks(data) {
    for (let from = 0; from < data.length; from += 255) {
      const piece = data.subarray(from, from + 255);
      this.bytes([piece.length]);
      this.bytes(piece);
    }
    this.bytes([0]);
  }

  done() {
    return this.held.slice(0, this.length);
  }
}

// The table maps (code of what was read so far, next index) to the code of both together.
function compressed(indices, bits) {
  const [clear, end] = [1 << bits, (1 << bits) + 1];
  const table = new Uint16Array(MOST_CODES << bits);
  const out = new Uint8Array(2 * indices.length + 16);
  let [size, free, held, count, at] = [bits + 1, end + 1, 0, 0, 0];
  const emit = (code) => {
    held |= code << count;
    for (count += size; count >= 8; count -= 8) {
      out[at++] = held & 255;
      held >>>= 8;
    }
  };
  emit(clear);
  let current = indices[0];
  for (let index = 1; index < indices.length; index += 1) {
    const slot = (current << bits) | indices[index];
    if (table[slot]) {
      current = table[slot];
      continue;
    }
    emit(current);
    if (free === MOST_CODES) {
      emit(clear);
      table.fill(0);
      [size, free] = [bits + 1, end + 1];
    } else {
      if (free >= 1 << size) size += 1; // the reader learns of a code one step later
      table[slot] = free++;
    }
    current = indices[index];
  }
  emit(current);
  emit(end);
  if (count > 0) out[at++] = held & 255;
  return out.subarray(0, at);
}

// 32768 cells of colour (five bits a channel), halved until there are as many as may be.
function paletteOf(images) {
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

function indicesOf(data, {places}) {
  const indices = new Uint8Array(data.length / 4);
  for (let index = 0; index < indices.length; index += 1) indices[index] = places[cell(data, 4 * index)];
  return indices;
}
