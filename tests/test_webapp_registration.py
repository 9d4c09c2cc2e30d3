"""Half a pixel is the most repeated mistake of this field: from the ground to a person's screen.

The simulated landscape is known. What each pixel of the screen ought to show is computed from its
truth with pyproj and Web Mercator's formula alone, and the screenshot is compared with that.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import ViewportSize
from pyproj import Transformer
from scipy import linalg, ndimage

from datacube import Catalog, Product, Window, open_storage
from datacube.demo import SEED
from datacube.layer import product_window
from datacube.scene import reflectance_from_dn
from datacube.simulation import plan_season
from server.render import GAMMA
from tests.browser import Visitor, chromium
from tests.conftest import SIZE

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
TOP, BOTTOM, LEFT, RIGHT = 150, 480, 345, 930  # of the screen: where nothing lies over the map
ZOOM, HIGH = 16, 0.6  # 1.6 m a screen pixel; reflectance drawn brightest, which few roofs reach
GREEN = 1  # of B02, B03, B04, B08, and of red, green, blue
ALIKE_PX = (
    8.0  # a blur over which truth, SR and LR hold the same detail, so that only place differs
)
TOLERANCE_PX = 0.1  # of the screen
Float = NDArray[np.float64]


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(live_server: str) -> Iterator[Visitor]:
    with chromium() as browser:
        visitor = Visitor(browser.new_context(viewport=SCREEN).new_page(), live_server)
        visitor.open()
        yield visitor
        assert visitor.complaints == []


@pytest.fixture(name="truth", scope="module")
def fixture_truth(demo_catalog: Path) -> Float:
    """The landscape's green at 2.5 m in high summer, 0 where a place is outside."""
    cube = Catalog(open_storage(demo_catalog)).open("simulated")
    product = Product.open(cube, "truth")
    stamp = cube.attributes["default_datetime"]
    (slot,) = [one.slot for one in cube.scenes if one.scene.stamp == stamp]
    height, width = cube.grid.shape
    dn = product_window(product, slot, Window(0, 0, 4 * height, 4 * width))[GREEN]
    return np.nan_to_num(reflectance_from_dn(dn)).astype(np.float64)


def ground_px(visitor: Visitor, lat: float, lon: float) -> tuple[Float, Float]:
    """Row and column on the grid of the truth for each pixel of the screen's part."""
    part = slice(TOP, BOTTOM), slice(LEFT, RIGHT)
    lons, lats = visitor.degrees((lat, lon, ZOOM), part)
    to_ground = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True)
    east, north = to_ground.transform(lons, lats)
    return (5_400_000 - north) / 2.5, (east - 680_000) / 2.5


def misplaced_px(seen: Float, truth: Float, places: tuple[Float, Float]) -> Float:
    """How far (down, right) in screen pixels `seen` lies off the truth, by least squares."""
    shift, seen = np.zeros(2), alike(seen)
    for _ in range(6):
        rows, cols = places
        drawn = ndimage.map_coordinates(truth, [rows - 0.5, cols - 0.5], order=1)
        ideal = alike(ndimage.shift(drawn, shift, order=3, mode="nearest"))
        slopes = np.asarray(np.gradient(ideal))
        inner = np.zeros(ideal.shape, bool)
        inner[30:-30, 30:-30] = True
        columns = [*-slopes[:, inner], ideal[inner], np.ones(inner.sum())]
        y, x, gain, _ = linalg.lstsq(np.stack(columns, axis=1), seen[inner])[0]
        shift += np.array([y, x]) / gain
    return shift


def alike(image: Float) -> Float:
    """Without the detail that only some layers have; what is brighter than white is white."""
    return np.asarray(ndimage.gaussian_filter(np.minimum(image, HIGH), ALIKE_PX), np.float64)


def shown(visitor: Visitor, layer: str) -> Float:
    """The green of a layer as it stands on the screen, as reflectance."""
    model = "wiener-x4" if layer == "sr" else ""
    state = f"collection=simulated&lat=48.7161&lon=11.4663&zoom={ZOOM}&position=1&smooth=1"
    state += f"&left.layer={layer}&left.model={model}&right.layer=lr&lock=date,look"
    state += f"&left.bands=B04,B03,B02&left.rescale=0,{HIGH}"
    visitor.page.evaluate("state => location.assign(`#${state}`)", state)
    visitor.settle()
    visitor.settle()
    grey = visitor.screen()[TOP:BOTTOM, LEFT:RIGHT, GREEN]
    return np.asarray((grey / 255) ** (1 / GAMMA) * HIGH, np.float64)


@pytest.mark.parametrize("layer", ["truth", "lr", "sr"])
def test_the_landscape_stands_on_the_screen_where_it_lies(
    visitor: Visitor, truth: Float, layer: str
) -> None:
    places = ground_px(visitor, 48.7161, 11.4663)
    seen = shown(visitor, layer)
    metres = 2 * np.pi * 6_378_137 * np.cos(np.radians(48.7161)) / (256 * 2**ZOOM)
    expected = np.zeros(2)
    if layer != "truth":  # the simulated satellite was off by this much, and nobody told the cube
        (one,) = [one for one in plan_season(SEED, dates=SIZE.dates, truth_dates=1) if one.truth]
        expected = -np.array(one.shift_px) * 10 / metres
    found = misplaced_px(seen, truth, places)
    assert found == pytest.approx(expected, abs=TOLERANCE_PX)
