"""Figures of map tiles: ours, stock titiler.xarray on the same Zarr, titiler on a COG of it.

Every server runs in a process of its own, on the same pixels and in one run, over HTTP. CPU time
is of the server's process alone. Each answers in its own default format; figures that end in
`_png` are of PNG on all sides, so that the encoders' share can be told apart.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlencode

import cv2
import numpy as np
from morecantile import Tile

from datacube import Catalog, Cube, CubeSpec, Grid, Scene, ScenePixels, find_bands, open_storage
from datacube.benchmark import Figures
from datacube.cog import RasterSpec, write_cog
from datacube.window import Window
from server.ogc.matrix_sets import matrix_set
from server.tiles_peers import COG, KINDS

BANDS = ("B02", "B03", "B04", "B08")
SHOWN = ("B04", "B03", "B02")
SIDE_PX = 4096
CHUNK_PX = 512
EXTENT_PX = 30_000
DATES = 100
START = datetime(2024, 1, 1, 10, 30, tzinfo=UTC)
ZOOM = 14  # at 48 degrees north a map pixel of this level is 6.4 m: the finest level is read
WARM_TILES, ROUNDS = 12, 12
TURNS = 7
CLIENTS, TOGETHER_S = 10, 6.0
LEAST_BYTES = 1_000  # an image of the texture is never smaller
TMS = matrix_set("WebMercatorQuad")


@dataclass(frozen=True)
class Server:
    """A server under test: its process, and how the address of a tile is made."""

    process_id: int
    port: int
    path: Callable[[Tile, str], str]

    def cpu_s(self) -> float:
        """CPU time of the process so far, user and system."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fetch(self, tiles: Sequence[Tile], suffix: str = "") -> None:
        """Fetch tiles over one connection; raises RuntimeError for anything but an image.

        Plain sockets: what a client library costs would be measured with the server otherwise.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for tile in tiles:
                path = self.path(tile, suffix)
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head, body = _received(connection)
                if not head.startswith(b"HTTP/1.1 200") or len(body) < LEAST_BYTES:
                    raise RuntimeError(f"{path}: {head[:40]!r} {body[:300]!r}")


def _received(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 18)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 18)
    return head, body


def tiles_figures(_data: Path | None) -> Figures:
    """All figures; those beside titiler.xarray are left out where it is not installed."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        grid = square_grid(SIDE_PX)
        cube = make_cube(root, "bench", grid, dates=1)
        _write_cog(root, cube)
        tiles = _tiles(grid)
        for kind in KINDS:
            if kind == "xarray" and find_spec("titiler.xarray") is None:
                continue
            figures |= _measured(kind, root, tiles)
        figures |= _ratios(figures)
    figures["tile_cost_growth_dates_100"] = _growth(_cube_of_dates(1), _cube_of_dates(DATES))
    figures["tile_cost_growth_extent_30000"] = _growth(_sparse(SIDE_PX), _sparse(EXTENT_PX))
    return figures


def _ratios(found: dict[str, float]) -> dict[str, float]:
    ratios = {"tile_cpu_ratio_vs_cog": found["tile_cpu_ms"] / found["tile_cpu_ms_cog"],
              "tile_cpu_ratio_vs_cog_png": found["tile_cpu_ms_png"] / found["tile_cpu_ms_png_cog"],
              "cold_ratio_vs_cog": found["tile_cold_ms"] / found["tile_cold_ms_cog"]}  # fmt: skip
    if "tile_cpu_ms_xarray" in found:
        ours, theirs = found["tiles_per_s"], found["tiles_per_s_xarray"]
        png = found["tile_cpu_ms_png"] / found["tile_cpu_ms_png_xarray"]
        ratios |= {
            "tile_cpu_ratio_vs_titiler_xarray": found["tile_cpu_ms"] / found["tile_cpu_ms_xarray"],
            "tile_cpu_ratio_vs_titiler_xarray_png": png,
            "throughput_ratio_vs_titiler_xarray": ours / theirs,
        }
    return ratios


def _measured(kind: str, root: Path, tiles: list[Tile]) -> dict[str, float]:
    """CPU time of warm tiles, wall time of cold ones, and tiles per second of ten clients."""
    name = "" if kind == "ours" else f"_{kind}"
    near, far = tiles[:WARM_TILES], tiles[WARM_TILES:]
    with _serving(kind, root) as server:
        server.fetch(near)
        cold = [_seconds(partial(server.fetch, [tile])) for tile in far]
        return {
            f"tile_cold_ms{name}": 1000 * statistics.median(cold),
            f"tile_cpu_ms{name}": _cpu_ms(server, near, ""),
            f"tile_cpu_ms_png{name}": _cpu_ms(server, near, "png"),
            f"tiles_per_s{name}": _together(server, near),
        }


def _cpu_ms(server: Server, tiles: list[Tile], suffix: str) -> float:
    """CPU time of a tile whose pixels were read before; the clock ticks every 10 ms."""
    server.fetch(tiles, suffix)
    started = server.cpu_s()
    for _ in range(ROUNDS):
        server.fetch(tiles, suffix)
    return 1000 * (server.cpu_s() - started) / len(tiles) / ROUNDS


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _together(server: Server, tiles: list[Tile]) -> float:
    """Tiles per second of ten clients, each with a connection of its own.

    Each begins at another tile: who asks for the same at the same moment would share a drawing.
    """
    counts = [0] * CLIENTS
    deadline = time.monotonic() + TOGETHER_S

    def client(number: int) -> None:
        own = [*tiles[number:], *tiles[:number]]
        while time.monotonic() < deadline:
            server.fetch(own)
            counts[number] += len(tiles)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started)


@contextmanager
def _serving(kind: str, root: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "server.tiles_peers", kind, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            port = int(process.stdout.readline()) if process.stdout else 0
            yield Server(process.pid, port, _path(kind, root))
        finally:
            process.terminate()


def _path(kind: str, root: Path) -> Callable[[Tile, str], str]:
    """How each server wants to be asked for the same three bands in the same stretch."""

    def ours(tile: Tile, suffix: str) -> str:
        base = f"/collections/bench/layers/lr/tiles/{TMS.id}/{tile.z}/{tile.x}/{tile.y}"
        return base + (f"?format={suffix}" if suffix else "")

    def xarray(tile: Tile, suffix: str) -> str:
        group = root / "bench.zarr/measurement/r10m"
        stamp = START.strftime("%Y-%m-%dT%H:%M:%S.000000000")
        asked = [("url", str(group)), ("variable", "reflectance"), ("sel", f"time={stamp}"),
                 *(("bidx", str(BANDS.index(band) + 1)) for band in SHOWN),
                 ("rescale", "0,0.3"), ("resampling", "bilinear")]  # fmt: skip
        return _stock(tile, suffix, asked)

    def cog(tile: Tile, suffix: str) -> str:
        asked = [("url", str(root / COG)), ("unscale", "true"),
                 *(("bidx", str(BANDS.index(band) + 1)) for band in SHOWN),
                 ("rescale", "0,0.3"), ("resampling", "bilinear")]  # fmt: skip
        return _stock(tile, suffix, asked)

    return {"ours": ours, "xarray": xarray, "cog": cog}[kind]


def _stock(tile: Tile, suffix: str, asked: list[tuple[str, str]]) -> str:
    ending = f".{suffix}" if suffix else ""
    return f"/tiles/{TMS.id}/{tile.z}/{tile.x}/{tile.y}{ending}?{urlencode(asked, quote_via=quote)}"


def _growth(small: Callable[[Path], Cube], large: Callable[[Path], Cube]) -> float:
    """CPU time of a warm tile of a large cube over that of a small one, asked for in turns.

    In turns, because the machine is not as fast at one minute as at the next.
    """
    with ExitStack() as both:
        asked = []
        for make in (small, large):
            folder = Path(both.enter_context(tempfile.TemporaryDirectory()))
            grid = make(folder).grid
            tiles = _tiles(Grid(grid.crs, grid.transform, (1024, 1024)))[:WARM_TILES]
            asked.append((both.enter_context(_serving("ours", folder)), tiles))
        turns = [[_cpu_ms(server, tiles, "") for server, tiles in asked] for _ in range(TURNS)]
    return statistics.median(theirs / ours for ours, theirs in turns)


def _cube_of_dates(dates: int) -> Callable[[Path], Cube]:
    return lambda root: make_cube(root, "bench", square_grid(1024), dates=dates)


def _sparse(side_px: int) -> Callable[[Path], Cube]:
    """A cube of which only the first 2048 pixels each way hold data."""

    def make(root: Path) -> Cube:
        grid = square_grid(side_px)
        spec = CubeSpec("bench", grid, find_bands(BANDS), with_scl=False)
        cube = Catalog(open_storage(root)).create("bench", spec)
        return cube.append(Scene("S2X_0", START), _Corner(_texture(0, (2048, 2048))))

    return make


@dataclass(frozen=True, eq=False)
class _Corner:
    """Pixels in one corner of a large scene, and no data elsewhere."""

    dn: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]

    def read(self, window: Window) -> ScenePixels:
        """The pixels of a window."""
        out = np.zeros((len(self.dn), window.height, window.width), np.uint16)
        part = self.dn[:, *window.slices]
        out[:, : part.shape[1], : part.shape[2]] = part
        return ScenePixels(out)


def make_cube(root: Path, cube_id: str, grid: Grid, *, dates: int) -> Cube:
    """A cube with a texture of its own on each date, in a catalog at `root`."""
    spec = CubeSpec(cube_id, grid, find_bands(BANDS), with_scl=False)
    cube = Catalog(open_storage(root)).create(cube_id, spec)
    for day in range(dates):
        dn = _texture(day, grid.shape)
        cube = cube.append(Scene(f"S2X_{day}", START + timedelta(days=day)), ScenePixels(dn))
    return cube


def _texture(seed: int, shape: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Fields and edges with a little noise, which compress about as well as a real scene."""
    random = np.random.default_rng(seed)
    coarse = random.random((len(BANDS), shape[0] // 16, shape[1] // 16)).astype(np.float32)
    fields = [cv2.resize(one, shape[::-1], interpolation=cv2.INTER_CUBIC) for one in coarse]
    noise = random.integers(0, 30, shape)
    dn = np.stack([1100 + 1500 * np.clip(one, 0, 1) + noise for one in fields])
    return np.asarray(dn, np.uint16)


def _write_cog(root: Path, cube: Cube) -> None:
    def read(window: Window) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
        return cube.window_dn(0, BANDS, window)

    write_cog(root / COG, RasterSpec(cube.grid, BANDS), read)


def square_grid(side_px: int) -> Grid:
    """So many pixels of 10 m a side, at 48 degrees north."""
    return Grid.from_origin(
        "EPSG:32632", left=600_000, top=5_300_040, gsd_m=10, shape=(side_px, side_px)
    )


def _tiles(grid: Grid) -> list[Tile]:
    """Tiles inside a grid; from the thirteenth on, each in chunks that no earlier one touches."""
    west, south, east, north = grid.lonlat_bounds()
    corner, last = TMS.tile(west, north, ZOOM), TMS.tile(east, south, ZOOM)
    inner = [
        Tile(x, y, ZOOM)
        for y in range(corner.y + 2, last.y - 1)
        for x in range(corner.x + 2, last.x - 1)
    ]
    near = [one for one in inner if one.x < corner.x + 6][:WARM_TILES]
    apart = [
        one
        for one in inner
        if (one.x - corner.x) % 7 == 1 and one.x > corner.x + 7 and (one.y - corner.y) % 7 == 3
    ]
    return [*near, *apart]
