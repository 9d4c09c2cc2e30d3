"""Grids must say exactly where a pixel lies, whatever is done to them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.transform import rowcol, xy

from datacube import SENTINEL2, Grid, Window
from datacube.errors import InvalidInput
from tests.scenes import small_grid

sizes = st.integers(1, 70)


@given(height=sizes, width=sizes, factor=st.sampled_from([2, 4, 8]))
def test_refining_keeps_the_ground_and_coarsening_undoes_it(
    height: int, width: int, factor: int
) -> None:
    grid = small_grid((height, width))
    assert grid.refined(factor).bounds == pytest.approx(grid.bounds)
    assert grid.refined(factor).coarsened(factor).shape == grid.shape


@given(row=st.integers(0, 299), col=st.integers(0, 200))
def test_centres_and_pixel_coordinates_agree_with_rasterio(row: int, col: int) -> None:
    grid = small_grid()
    y, x = grid.centres()
    assert (x[col], y[row]) == pytest.approx(xy(grid.transform, row, col))
    rows, cols = grid.pixel_coordinates(x=x[col : col + 1], y=y[row : row + 1])
    assert (rows[0], cols[0]) == pytest.approx((row + 0.5, col + 0.5))
    assert rowcol(grid.transform, x[col], y[row]) == (row, col)


@given(left=st.floats(-5e5, 9e5), top=st.floats(1e5, 9e6), height=sizes, width=sizes)
def test_a_snapped_grid_covers_the_original_by_less_than_a_pixel_more(
    left: float, top: float, height: int, width: int
) -> None:
    grid = Grid.from_origin("EPSG:32632", left=left, top=top, gsd_m=10, shape=(height, width))
    snapped = grid.snapped()
    assert snapped.is_snapped()
    inner, outer = grid.bounds, snapped.bounds
    slack = 1e-6
    assert outer[0] <= inner[0] + slack <= outer[0] + 10 + 2 * slack
    assert outer[3] >= inner[3] - slack >= outer[3] - 10 - 2 * slack
    assert outer[1] <= inner[1] + slack
    assert outer[2] >= inner[2] - slack


def test_a_window_is_found_by_its_own_corners_in_degrees() -> None:
    grid = small_grid()
    window = Window(40, 30, 50, 60)
    box = grid.cropped(window).lonlat_bounds()
    found = grid.window_of(lonlat_bbox=box)
    assert found.row <= window.row
    assert found.col <= window.col
    assert found.row + found.height >= window.row + window.height
    # A UTM square is no square in degrees: a pixel or two more is all that may be added.
    assert found.height <= window.height + 4
    assert found.width <= window.width + 4


@pytest.mark.parametrize(
    "bbox",
    [
        (math.nan, 45.0, 10.0, 46.0),
        (-math.inf, 45.0, 10.0, 46.0),
        (11.0, 45.0, 10.0, 46.0),
        (10.0, 46.0, 11.0, 45.0),
        (10.0, 45.0, 10.0, 46.0),
        (50.0, 10.0, 51.0, 11.0),
    ],
)
def test_a_box_that_is_none_is_refused(bbox: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidInput):
        small_grid().window_of(lonlat_bbox=bbox)


def test_a_rotated_grid_is_refused() -> None:
    turned = small_grid().transform @ small_grid().transform.rotation(3)
    with pytest.raises(InvalidInput, match="north-up"):
        Grid("EPSG:32632", turned, (4, 5))


def test_lonlat_bounds_hold_every_corner() -> None:
    grid = small_grid()
    west, south, east, north = grid.lonlat_bounds()
    left, bottom, right, top = grid.bounds
    transformer = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    lon, lat = transformer.transform([left, left, right, right], [bottom, top, bottom, top])
    assert west <= min(lon) <= max(lon) <= east
    assert south <= min(lat) <= max(lat) <= north


@given(
    row=st.integers(-20, 60), col=st.integers(-20, 60), height=st.integers(0, 40),
    width=st.integers(0, 40), size=st.integers(1, 17),
)  # fmt: skip
def test_cells_of_a_window_cover_it(row: int, col: int, height: int, width: int, size: int) -> None:
    inside = Window(row, col, height, width).within((37, 53))
    hits = np.zeros((37, 53), dtype=int)
    for cell_row, cell_col in inside.cells(size):
        hits[Window(cell_row * size, cell_col * size, size, size).within((37, 53)).slices] += 1
    assert hits.max(initial=0) <= 1
    assert (hits[inside.slices] == 1).all()


windows = st.builds(Window, *[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2)


@given(windows, windows)
def test_what_windows_share_is_the_same_pixels_in_both(one: Window, other: Window) -> None:
    numbers = np.arange(40 * 40).reshape(40, 40)
    mask = np.zeros((2, 40, 40), dtype=bool)
    mask[0, *one.slices] = mask[1, *other.slices] = True
    common = np.flatnonzero(mask.all(axis=0))
    ours, theirs = one.shared(other)
    if len(common):
        for window, part in ((one, ours), (other, theirs)):
            assert numbers[window.slices][part.slices].ravel().tolist() == common.tolist()
    else:
        assert not theirs.height or not theirs.width


def test_the_psf_of_each_band_gives_its_mtf_at_nyquist() -> None:
    for band in SENTINEL2.values():
        gaussian = math.exp(-2 * (math.pi * band.psf_sigma_px * 0.5) ** 2)
        assert gaussian * 2 / math.pi == pytest.approx(band.mtf_at_nyquist)
