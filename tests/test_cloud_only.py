"""A date that is nothing but cloud: what is computed of it says so at every pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from datacube import ScenePixels, Window
from datacube.settings import Settings
from sr_engine.blocks import compute_window
from sr_engine.planes import Quality
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.scenes import new_cube, scene

SHAPE = (120, 150)
MODEL = "default-x2"
CLEAR, CLOUDY = "2024-01-03T10:30:00Z", "2024-01-06T10:30:00Z"
VEGETATION, HIGH_CLOUD = 4, 9


@dataclass(frozen=True)
class Sky:
    """A cube of a clear and an overcast date, both super-resolved, on a server."""

    url: str
    place: str
    box: str

    def at(self, moment: str, parameter: str) -> float | None:
        """A parameter's value in the middle."""
        asked = {"coords": self.place, "datetime": moment, "parameter-name": parameter}
        found = httpx.get(f"{self.url}/collections/field/position", params=asked, timeout=60).json()
        value: float | None = found["ranges"][parameter]["values"][0]
        return value

    def trust(self, moment: str) -> dict[str, Any]:
        """What is told of a date."""
        asked = {"datetime": moment, "model": MODEL, "bbox": self.box}
        address = f"{self.url}/collections/field/layers/sr/trust"
        found: dict[str, Any] = httpx.get(address, params=asked, timeout=60).json()
        return found


@pytest.fixture(name="sky", scope="module")
def fixture_sky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    root = tmp_path_factory.mktemp("sky")
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ground = 1900 + 150 * np.sin(rows / 5) * np.cos(cols / 7) + 40 * (cols > 70)
    dn = np.stack([ground + 120 * band for band in range(4)]).astype(np.uint16)
    cube = new_cube(root, SHAPE)
    for day, classes, lift in ((3, VEGETATION, 0), (6, HIGH_CLOUD, 5000)):
        pixels = ScenePixels(dn + np.uint16(lift), np.full(SHAPE, classes, np.uint8))
        cube = cube.append(scene(day), pixels)
        compute_window(cube, find_model(MODEL), len(cube.scenes) - 1, Window(0, 0, *SHAPE))
    west, south, east, north = cube.grid.lonlat_bounds()
    inset = (east - west) / 50
    box = (west + inset, south + inset, east - inset, north - inset)
    with serving(Settings(data=str(root), port=0)) as url:
        yield Sky(url, f"POINT({(west + east) / 2} {(south + north) / 2})", ",".join(map(str, box)))


def test_every_pixel_is_flagged_as_made_of_cloud(sky: Sky) -> None:
    name = f"quality.{MODEL}"
    clear, cloudy = (int(sky.at(moment, name) or 0) for moment in (CLEAR, CLOUDY))
    assert clear & Quality.COMPUTED
    assert not clear & Quality.INPUT_CLOUDY
    assert cloudy & Quality.COMPUTED
    assert cloudy & Quality.INPUT_CLOUDY


def test_no_interval_is_told_where_there_is_cloud(sky: Sky) -> None:
    """None at all, which claims less than any number: the largest would be read as a bound."""
    name = f"interval.{MODEL}"
    width = sky.at(CLEAR, name)
    assert width is not None
    assert 0 < width < 0.1
    assert sky.at(CLOUDY, name) is None


def test_the_figures_of_a_view_say_that_all_of_it_is_cloud(sky: Sky) -> None:
    clear, cloudy = sky.trust(CLEAR), sky.trust(CLOUDY)
    assert clear["pixels"] == cloudy["pixels"] > 0
    assert (clear["flags"]["input_cloudy"], cloudy["flags"]["input_cloudy"]) == (0, 1)
    assert (clear["interval"]["told"], cloudy["interval"]) == (1, None)
    assert cloudy["flags"]["clean"] == 0
