"""Small worlds for tests of the store: cubes of few chunks, sources of pixels, what a reader sees.

Everything here is at module level and picklable: other processes run it.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datacube import (
    Catalog,
    Cube,
    CubeSpec,
    Product,
    ProductSpec,
    ScenePixels,
    Window,
    find_bands,
    open_storage,
)
from datacube.store.layout import BLOCK_PX
from tests.scenes import small_grid

SHAPE = (257, 41)  # just above 256: two levels, and three blocks
BANDS = ("B04", "B08")
PRODUCT = ProductSpec("sr/tiny-0", 2, ("B08",), {"inferred": True})
SERIES = "sr/series-0"  # of a product that depends on all dates, before its generation
CUBE_ID = "tiny"

Seen = dict[str, str]


@dataclass(frozen=True, eq=False)
class Windows:
    """A source that hands out windows of an array."""

    pixels: ScenePixels

    def read(self, window: Window) -> ScenePixels:
        """The pixels of a window, as copies."""
        part = self.pixels.read(window)
        return ScenePixels(part.dn.copy(), None if part.scl is None else part.scl.copy())


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder where making bytes durable costs nothing: a kill spares what was written anyway."""
    memory = Path("/dev/shm")  # noqa: S108 (only what tests make)
    if not os.access(memory, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def tiny_cube(address: Path | str, *, shape: tuple[int, int] = SHAPE, chunk_px: int = 512) -> Cube:
    """An empty cube with two bands and a classification."""
    spec = CubeSpec("Tiny", small_grid(shape), find_bands(BANDS), chunk_px=chunk_px)
    return Catalog(open_storage(address)).create(CUBE_ID, spec)


def open_tiny(address: Path | str) -> Cube:
    """The newest version of the cube, without a cache."""
    return Catalog(open_storage(address)).open(CUBE_ID)


def tiny_pixels(seed: int, shape: tuple[int, int] = SHAPE) -> ScenePixels:
    """Random numbers, with a gap, and random classes."""
    random = np.random.default_rng(seed)
    dn = random.integers(1, 9000, (len(BANDS), *shape), dtype=np.uint16)
    dn[:, 10:31, 3:8] = 0  # no data
    return ScenePixels(dn, random.integers(0, 12, shape, dtype=np.uint8))


def series_spec(cube: Cube) -> ProductSpec:
    """A product of all dates that the cube has now."""
    attributes = {"inferred": True, "generation": cube.generation}
    return ProductSpec(f"{SERIES}-g{cube.generation}", 2, ("B08",), attributes)


def tiny_block(product: Product, block: tuple[int, int], seed: int) -> np.ndarray:
    """Random numbers for one block."""
    window = product.block_window(block).scaled(product.factor)
    shape = (len(product.bands), window.height, window.width)
    return np.random.default_rng(seed).integers(1, 9000, shape, dtype=np.uint16)


def seen(cube: Cube) -> Seen:
    """All that a reader can get from one version of a cube: a digest for each thing."""
    found: Seen = {"generation": str(cube.generation)}
    for one in cube.scenes:
        digest = hashlib.sha256(one.scene.stamp.encode())
        for level, grid in enumerate(cube.levels):
            window = Window(0, 0, *grid.shape)
            digest.update(cube.window_dn(one.slot, BANDS, window, level=level).tobytes())
            digest.update(cube.window_scl(one.slot, window, level=level).tobytes())
        found[one.scene.scene_id] = digest.hexdigest()
    for path in cube.root.commit.products:
        product = Product.open(cube, path)
        found[path] = "declared"
        for one in cube.scenes:
            for block in Window(0, 0, *cube.grid.shape).cells(BLOCK_PX):
                for level in range(len(product.levels)):
                    values = product.read_block(one.slot, block, level=level)
                    if values is not None:
                        name = f"{path} {one.scene.scene_id} {block} {level}"
                        found[name] = hashlib.sha256(values.tobytes()).hexdigest()
    return found
