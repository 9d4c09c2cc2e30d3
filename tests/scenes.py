"""Small cubes and scenes for tests: non-square, off-origin, without symmetry."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from datacube import Catalog, Cube, CubeSpec, Grid, Scene, ScenePixels, find_bands, open_storage
from datacube.store.reading import ChunkCache

BANDS = ("B02", "B03", "B04", "B08")
SHAPE = (300, 201)


def small_grid(shape: tuple[int, int] = SHAPE) -> Grid:
    """A UTM grid somewhere off the origin of anything."""
    return Grid.from_origin("EPSG:32632", left=600_010, top=5_000_020, gsd_m=10, shape=shape)


def new_cube(root: Path, shape: tuple[int, int] = SHAPE, cube_id: str = "field") -> Cube:
    """An empty cube in a catalog at `root`."""
    catalog = Catalog(open_storage(root), ChunkCache(64_000_000))
    catalog.create(cube_id, CubeSpec("A field", small_grid(shape), find_bands(BANDS)))
    return catalog.open(cube_id)


def pixels(seed: int, shape: tuple[int, int] = SHAPE) -> ScenePixels:
    """Random numbers with a patch of no data."""
    random = np.random.default_rng(seed)
    dn = random.integers(1, 9000, (len(BANDS), *shape), dtype=np.uint16)
    dn[:, 3:9, 5:17] = 0
    return ScenePixels(dn, random.integers(0, 12, shape, dtype=np.uint8))


def scene(day: int) -> Scene:
    """A scene on a day of January 2024."""
    moment = datetime(2024, 1, day, 10, 30, tzinfo=UTC)
    return Scene(f"S2X_{day:02d}", moment, {"eo:cloud_cover": 1.5 * day})
