"""A person looks at bands that no eye sees: presets of the 20 m bands against the cube's values."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import ViewportSize, expect
from pyproj import Transformer

from datacube import Catalog, Cube, Window, open_storage
from datacube.ingest.carry_out import Target, carry_out, plan_ingest
from datacube.scene import reflectance_from_dn
from datacube.settings import Settings
from datacube.simulation import simulate_season
from datacube.sources.plan import Given
from server.render import GAMMA
from tests.browser import Visitor, chromium, colourfulness
from tests.conftest import serving
from tests.rasters import grid, write_tif
from webapp.catalog import PRESETS

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
PART = slice(190, 420), slice(370, 620)  # of the screen: left of the handle, nothing over it
SHAPE = (180, 220)
BANDS = ("B02", "B03", "B04", "B08", "B8A", "B11", "B12")


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated summer as files of seven bands, taken in as anybody's files are."""
    folder, root = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("catalog")
    (shot,) = simulate_season(3, shape=SHAPE, bands=BANDS, dates=1, truth_dates=0)
    write_tif(folder / "summer_20250621T103000.tif", shot.dn, grid(SHAPE), BANDS)
    catalog = Catalog(open_storage(root))
    said = Given(bands=BANDS, scale=1e-4, offset=-0.1)
    summary = carry_out(plan_ingest(catalog, [folder], Target("seven"), said), catalog)
    assert len(summary.taken) == 1
    return root


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(root: Path) -> Iterator[Visitor]:
    with serving(Settings(data=str(root), port=0, limit_blocks=16)) as url, chromium() as browser:
        one = Visitor(browser.new_context(viewport=SCREEN).new_page(), url)
        one.follow(f"{url}/explorer")
        yield one
        assert one.complaints == []


@pytest.mark.parametrize(
    ("title", "key"),
    [("Short-wave infrared", "preset_swir"), ("Agriculture", "preset_agriculture")],
)
def test_a_preset_shows_its_bands_with_the_values_of_the_cube(
    visitor: Visitor, root: Path, title: str, key: str
) -> None:
    visitor.choose("Bands", title)
    visitor.settle()
    preset = next(one for one in PRESETS if one.key == key)
    cube: Cube = Catalog(open_storage(root)).open("seven")
    dn = cube.window_dn(0, preset.bands, Window(0, 0, *SHAPE))
    level = (reflectance_from_dn(dn) - preset.low) / (preset.high - preset.low)
    drawn = np.moveaxis(np.rint(np.clip(level, 0, 1) ** GAMMA * 255), 0, -1)

    lons, lats = visitor.degrees(visitor.place(), PART)
    to_ground = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    rows, cols = cube.grid.pixel_coordinates(
        **dict(zip(("x", "y"), to_ground.transform(lons, lats), strict=True))
    )
    inside = (np.abs(rows % 1 - 0.5) < 0.25) & (np.abs(cols % 1 - 0.5) < 0.25)
    assert inside.sum() > 1000
    expected = drawn[rows[inside].astype(int), cols[inside].astype(int)]
    seen = visitor.screen()[PART][inside]
    apart = np.abs(seen - expected).mean(axis=1)
    assert np.median(apart) < 6  # WebP keeps colour at half the resolution
    for channel in range(3):
        assert np.corrcoef(seen[:, channel], expected[:, channel])[0, 1] > 0.9
    # The models make 10 m bands finer: their side says what it lacks, and shows no error.
    coarse = ", ".join(band for band in preset.bands if band not in {"B02", "B03", "B04", "B08"})
    expect(visitor.caption("right")).to_contain_text(f"The model makes no {coarse}. Grey: measured")
    assert colourfulness(visitor.strips()[1]) < 3
    # Of other bands the picture is another one.
    assert np.abs(expected[:, 0] - expected[:, 2]).mean() > 10
