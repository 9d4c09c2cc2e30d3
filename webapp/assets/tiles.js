// Map tiles of one layer. Unlike Leaflet's own image layer this one fetches, because three things
// must be told apart that an <img> reports alike: nothing there (204), refused, and unreachable;
// and it reloads single tiles in place when the blocks beneath them have been computed.
import * as L from "./leaflet/leaflet.js";

const PIXEL_RATIO_FOR_512 = 1.5;
const SLOW_MS = 400; // a tile that takes longer is drawn as a skeleton until it comes
// An <img> that has a size and no source is drawn as a box with a border.
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

export class CubeTiles extends L.GridLayer {
  // source: {url: (coords, suffix) => string, api, onProblem}
  constructor(source, options) {
    super({updateWhenZooming: false, keepBuffer: 2, ...options});
    this.source = source;
    this.requests = new WeakMap();
    this.lost = new WeakSet();
    this.waiting = 0;
    this.on("tileunload", ({tile}) => this.requests.get(tile)?.abort());
  }

  createTile(coords, done) {
    const tile = document.createElement("img");
    tile.alt = "";
    tile.src = NOTHING;
    tile.setAttribute("role", "presentation");
    this.load(tile, coords).then(
      () => done(null, tile),
      (error) => done(error, tile),
    );
    return tile;
  }

  async load(tile, coords, fresh = false) {
    this.requests.get(tile)?.abort();
    const request = new AbortController();
    this.requests.set(tile, request);
    const url = this.source.url(coords, devicePixelRatio >= PIXEL_RATIO_FOR_512 ? "@2x" : "");
    const options = {signal: request.signal, cache: fresh ? "no-cache" : "default"};
    this.count(1);
    const slow = setTimeout(() => tile.classList.add("slow"), SLOW_MS);
    try {
      const response = await this.source.api.fetch(url, options);
      const image = response.status === 204 ? null : await response.blob();
      if (this.requests.get(tile) === request) await show(tile, image);
      this.lost.delete(tile);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.code === "Network") this.lost.add(tile);
      this.source.onProblem(error);
      throw error;
    } finally {
      clearTimeout(slow);
      if (this.requests.get(tile) === request) tile.classList.remove("slow");
      this.count(-1);
    }
  }

  count(change) {
    this.waiting += change;
    this.fire("waiting", {waiting: this.waiting});
  }

  // Show another source in the same tiles: the old picture stays until the new one has arrived.
  setSource(source) {
    this.source = source;
    this.reloadWhere(() => true, false);
  }

  // Reload the tiles that touch a [west, south, east, north] box.
  refresh([west, south, east, north]) {
    const changed = L.latLngBounds([south, west], [north, east]);
    this.reloadWhere((coords) => this._tileCoordsToBounds(coords).overlaps(changed), true);
  }

  // Fetch what was asked for in vain while the server could not be reached.
  retry() {
    this.reloadWhere((_, tile) => this.lost.has(tile), true);
  }

  reloadWhere(wanted, fresh) {
    for (const {el, coords, current} of Object.values(this._tiles ?? {})) {
      // Tiles of another zoom level are only there until those of this level have come.
      if (current && wanted(coords, el)) this.load(el, coords, fresh).catch(() => {}); // told already
    }
  }
}

async function show(tile, image) {
  if (image === null) {
    tile.src = NOTHING;
    return;
  }
  const address = URL.createObjectURL(image);
  try {
    await new Promise((resolve, reject) => {
      tile.onload = resolve;
      tile.onerror = () => reject(new Error("not an image"));
      tile.src = address;
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}
