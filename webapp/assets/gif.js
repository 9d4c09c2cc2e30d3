// An animated GIF (GIF89a) of frames of one size: one palette for all, pixels by LZW, and of each
// frame only the part that is not as in the one before it.
import {indicesOf, paletteOf} from "./palette.js";

const MOST_CODES = 4096; // of twelve bits, the longest that GIF knows

// frames: [{data: RGBA bytes, delay: hundredths of a second}]; returns the bytes of the file.
export function encodeGif(frames, width, height) {
  const palette = paletteOf(frames.map(({data}) => data));
  const out = new Bytes();
  out.text("GIF89a");
  out.short(width);
  out.short(height);
  out.bytes([0xf7, 0, 0]); // a palette of 256 colours for all frames
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
