"""Pixels must land where the ground is, whichever grid they came on."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from datacube import Grid, Window
from datacube.errors import InvalidInput
from datacube.ingest.placing import place_cube, touches, utm_crs_of
from datacube.sources.refusals import CrsMismatch
from datacube.sources.warping import alignment, bounds_in, choose_method, same_crs, warped
from tests.rasters import grid, moved
from tests.spots import SIGMA_M, blob, centre_px, lonlat_of


def covering(at: Grid, crs: str, step: float) -> Grid:
    """A grid of another CRS that covers one, not aligned to it."""
    left, bottom, right, top = bounds_in(at, crs)
    shape = (int((top - bottom) / step) + 40, int((right - left) / step) + 30)
    return Grid(crs, Affine(step, 0, left - 13.3 * step, 0, -step, top + 17.1 * step), shape)


@given(
    row=st.integers(-30, 30), col=st.integers(-30, 30), height=st.integers(1, 40),
    width=st.integers(1, 40),
)  # fmt: skip
def test_matching_grids_are_copied_and_never_resampled(
    row: int, col: int, height: int, width: int
) -> None:
    source = grid((23, 31))
    values = np.random.default_rng(1).integers(1, 65_535, source.shape, dtype=np.uint16)
    target = source.cropped(Window(row, col, height, width))
    assert choose_method(source, target) == "none"
    found = warped(lambda window: values[window.slices], source, target, "none")
    padded = np.pad(values, 80)
    shown = Window(row + 80, col + 80, height, width)
    np.testing.assert_array_equal(found, padded[shown.slices])


@pytest.mark.parametrize("off", [(0.0, 5.0), (2.0, 0.0), (0.02, 0.0)])
def test_a_grid_that_is_off_by_part_of_a_pixel_is_resampled(off: tuple[float, float]) -> None:
    assert alignment(moved(grid(), x=off[0], y=off[1]), grid()) is None
    assert choose_method(moved(grid(), x=off[0], y=off[1]), grid()) == "cubic"
    assert choose_method(moved(grid(), x=off[0], y=off[1]), grid(), classes=True) == "nearest"
    assert choose_method(grid(gsd_m=5), grid()) == "average"
    assert choose_method(grid(gsd_m=20), grid()) == "cubic"


@pytest.mark.parametrize(
    "source",
    [
        moved(grid((180, 170)), x=-303.7, y=404.1),
        grid((90, 70), gsd_m=20),
        moved(grid((40, 30), gsd_m=60), x=-120, y=180),
        grid((360, 280), gsd_m=5),
        Grid("EPSG:32632", Affine(9.985, 0, 599_600.3, 0, -9.9935, 5_000_500.9), (190, 170)),
        covering(grid((130, 120)), "EPSG:3035", 10),
        covering(grid((130, 120)), "EPSG:4326", 1e-4),
    ],
    ids=["between pixels", "20 m", "60 m", "5 m", "not square", "LAEA", "degrees"],
)
def test_a_spot_lands_where_it_is_on_the_ground(source: Grid) -> None:
    target = grid((100, 90))
    lon, lat = lonlat_of(target, 44.3, 38.7)
    values = blob(source, lon, lat)
    method = choose_method(source, target)
    found = warped(lambda window: values[window.slices], source, target, method)
    row, col = centre_px(blob(target, lon, lat), target, lon, lat)
    found_row, found_col = centre_px(found, target, lon, lat)
    assert (found > 0).all()
    assert abs(found_row - row) < 0.05
    assert abs(found_col - col) < 0.05


def test_a_neighbouring_zone_is_brought_over_without_a_shift() -> None:
    target = Grid.from_origin("EPSG:32633", left=265_000, top=5_400_000, gsd_m=10, shape=(120, 110))
    lon, lat = lonlat_of(target, 61.2, 47.9)
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(lon, lat)
    left, top = round(x, -1) - 900, round(y, -1) + 950
    source = Grid.from_origin("EPSG:32632", left=left, top=top, gsd_m=10, shape=(200, 190))
    values = blob(source, lon, lat, crs="EPSG:32633")
    assert choose_method(source, target) == "cubic"
    found = warped(lambda window: values[window.slices], source, target, "cubic")
    row, col = centre_px(blob(target, lon, lat, crs="EPSG:32633"), target, lon, lat)
    found_row, found_col = centre_px(found, target, lon, lat)
    assert (found > 0).all()
    assert max(abs(found_row - row), abs(found_col - col)) < 0.05


@settings(max_examples=20)
@given(st.integers(0, 70), st.integers(0, 60), st.integers(5, 40), st.integers(5, 40))
def test_windows_read_one_by_one_are_the_whole(row: int, col: int, height: int, width: int) -> None:
    source, target = moved(grid((120, 110)), x=-153.2, y=121.7), grid((90, 80))
    values = blob(source, *lonlat_of(target, 40, 30))
    window = Window(row, col, height, width).within(target.shape)
    whole = warped(lambda part: values[part.slices], source, target, "cubic")
    part = warped(lambda part: values[part.slices], source, target.cropped(window), "cubic")
    # The transformation is approximated to a hundredth of a pixel, differently in each window.
    apart = np.abs(part.astype(int) - whole[window.slices].astype(int))
    assert apart.max() <= 0.02 * 20_000 / (SIGMA_M / 10)


def test_no_data_does_not_spread_into_what_was_seen() -> None:
    source, target = grid((40, 30), gsd_m=20), grid((80, 60))
    values = np.full(source.shape, 3000, np.uint16)
    values[:, 20:] = 0
    found = warped(lambda window: values[window.slices], source, target, "cubic")
    assert set(np.unique(found[:, :40])) == {3000}
    assert not found[:, 42:].any()


def test_a_new_cube_lies_on_the_products_own_pixels() -> None:
    off = moved(grid(), x=3.0, y=4.0)
    assert place_cube(off, [off], gsd_m=None, bbox=None) == off
    assert place_cube(grid(), [grid()], gsd_m=20, bbox=None).gsd_m == 20
    british = Grid("EPSG:27700", Affine(19.99, 0, 289_813, 0, -19.99, 95_714), (342, 361))
    placed = place_cube(british, [british], gsd_m=None, bbox=None)
    assert (placed.crs, placed.gsd_m, placed.is_snapped()) == ("EPSG:32630", 20, True)
    with pytest.raises(InvalidInput, match="--resolution"):
        place_cube(british.refined(3), [british], gsd_m=None, bbox=None)


def test_a_cube_that_would_be_absurdly_large_is_refused() -> None:
    far = moved(grid(), x=2_000_000)
    with pytest.raises(InvalidInput, match="--bbox"):
        place_cube(grid(), [grid(), far], gsd_m=None, bbox=None)


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [(10.3, 45.1, "EPSG:32632"), (179.99, -17.0, "EPSG:32760"), (-179.99, -17.0, "EPSG:32701"),
     (0.0, 0.0, "EPSG:32631"), (25.0, 83.9, "EPSG:32635")],
)  # fmt: skip
def test_the_zone_is_that_of_the_middle(lon: float, lat: float, crs: str) -> None:
    at = Grid("EPSG:4326", Affine(1e-4, 0, lon - 5e-4, 0, -1e-4, lat + 5e-4), (10, 10))
    assert utm_crs_of(at) == crs


@pytest.mark.parametrize("lat", [84.5, -81.0])
def test_beyond_the_latitudes_of_utm_a_cube_is_refused(lat: float) -> None:
    at = Grid("EPSG:4326", Affine(1e-4, 0, 25.0, 0, -1e-4, lat), (10, 10))
    with pytest.raises(CrsMismatch, match="latitude"):
        place_cube(at, [at], gsd_m=10, bbox=None)


def test_a_cube_at_the_antimeridian_is_cut_by_a_box_on_either_side() -> None:
    whole = Grid.from_origin("EPSG:32760", left=815_000, top=8_100_000, gsd_m=10, shape=(800, 900))
    west, _, east, _ = whole.lonlat_bounds()
    assert west > east  # it really lies across
    left = place_cube(whole, [whole], gsd_m=None, bbox=(179.9, -17.2, 180.0, -17.1))
    right = place_cube(whole, [whole], gsd_m=None, bbox=(-180.0, -17.2, -179.9, -17.1))
    edge = lonlat_of(left, left.shape[0] / 2, left.shape[1])[0] % 360
    assert edge == pytest.approx(180, abs=3e-3)
    assert lonlat_of(right, right.shape[0] / 2, 0)[0] % 360 == pytest.approx(180, abs=3e-3)


def test_the_same_crs_is_known_by_any_of_its_names() -> None:
    assert same_crs("EPSG:32632", CRS(32632).to_wkt())
    assert not same_crs("EPSG:32632", "EPSG:32633")
    assert touches(grid(), moved(grid(), x=100))
    assert not touches(grid(), moved(grid(), x=700))
