"""What a map tile costs, counted: chunks decoded, documents read, places computed; never timed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datacube import Catalog, Cube, CubeSpec, ScenePixels, find_bands, open_storage
from datacube.store.reading import ChunkCache
from datacube.window import Window
from server.layers import LAYERS, View
from server.reader import Frame, _look
from server.tiles import TileQuery, draw
from tests.scenes import BANDS, new_cube, pixels, scene, small_grid
from tests.test_tiles import MERCATOR, frame_around

SHAPE = (700, 600)


def reopened(root: Path) -> Cube:
    """The cube with an empty cache that counts."""
    return Catalog(open_storage(root), ChunkCache(64_000_000)).open("field")


def cache_of(cube: Cube) -> ChunkCache:
    assert cube.chunks.cache is not None
    return cube.chunks.cache


def shown(cube: Cube, frame: Frame, slot: int = 0, query: TileQuery | None = None) -> bytes | None:
    drawn = draw(View(cube, LAYERS["lr"], slot), query or TileQuery(), frame)
    return drawn[0] if drawn else None


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cost")
    new_cube(root, SHAPE).append(scene(1), pixels(1, SHAPE))
    return root


def test_a_tile_decodes_the_chunks_it_touches_and_no_others(root: Path) -> None:
    cube = reopened(root)
    frame = frame_around(cube.grid, 16)  # within one chunk of 512 pixels
    assert shown(cube, frame)
    assert cache_of(cube).misses == 3  # one for each band shown
    assert shown(cube, frame, query=TileQuery(bands="B08"))
    assert cache_of(cube).misses == 4


def test_a_warm_tile_decodes_nothing(root: Path) -> None:
    cube = reopened(root)
    frame = frame_around(cube.grid, 15)
    first = shown(cube, frame)
    decoded = cache_of(cube).misses
    assert shown(cube, frame) == first
    assert shown(cube, frame, query=TileQuery(rescale="0,0.5")) != first
    assert cache_of(cube).misses == decoded


def test_far_out_no_more_pixels_are_read_than_near(root: Path) -> None:
    """At any zoom a tile reads at most twice its own pixels each way, from the level it needs."""
    for zoom in range(8, 19):
        cube = reopened(root)
        look = _look(frame_around(cube.grid, zoom), cube.levels)
        assert look is not None
        assert max(look.window.height, look.window.width) <= 2 * 256 + 2 * 3


def test_an_empty_tile_reads_nothing(root: Path) -> None:
    cube = reopened(root)
    assert shown(cube, Frame(MERCATOR, (0, 0, 1000, 1000), 256)) is None
    assert (cache_of(cube).hits, cache_of(cube).misses) == (0, 0)


def test_the_cost_does_not_depend_on_how_many_dates_there_are(tmp_path: Path) -> None:
    shape = (60, 70)
    cube, counts = new_cube(tmp_path, shape), []
    for day in range(1, 31):
        cube = cube.append(scene(day), pixels(day, shape))
        if day in {1, 30}:
            fresh = reopened(tmp_path)
            assert shown(fresh, frame_around(fresh.grid, 17), slot=day - 1)
            counts.append(cache_of(fresh).misses)
    assert counts == [3, 3]


class Corner:
    """A large scene of which the first chunk alone holds data."""

    def read(self, window: Window) -> ScenePixels:
        dn: NDArray[np.uint16] = np.zeros((1, window.height, window.width), np.uint16)
        dn[:, : max(0, 512 - window.row), : max(0, 512 - window.col)] = 2500
        return ScenePixels(dn)


@pytest.mark.parametrize("side_px", [600, 6000])
def test_the_cost_does_not_depend_on_the_extent(tmp_path: Path, side_px: int) -> None:
    spec = CubeSpec("A field", small_grid((side_px, side_px)), find_bands(["B08"]), with_scl=False)
    Catalog(open_storage(tmp_path)).create("field", spec).append(scene(1), Corner())
    cube = reopened(tmp_path)
    assert shown(cube, frame_around(small_grid((400, 400)), 16), query=TileQuery(bands="B08"))
    assert cache_of(cube).misses == 1


def test_a_place_is_computed_once_for_all_dates_layers_and_styles(root: Path) -> None:
    _look.cache_clear()
    cube = reopened(root)
    frame = frame_around(cube.grid, 16)
    styles: list[Callable[[], object]] = [
        lambda: shown(cube, frame),
        lambda: shown(cube, frame, query=TileQuery(bands=BANDS[3])),
        lambda: shown(cube, frame, query=TileQuery(index="NDVI")),
        lambda: shown(cube, frame, query=TileQuery(format="png", resampling="nearest")),
    ]
    for style in styles:
        assert style()
    assert _look.cache_info().misses == 1
    assert _look.cache_info().hits == len(styles) - 1
