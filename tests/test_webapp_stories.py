"""A person is brought to a use case, and to its figures."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, ViewportSize, expect
from scipy import ndimage

from datacube import Catalog, Scene, open_storage
from datacube.cube import CommittedScene
from datacube.demo import SEED, DemoSize, build_simulated
from datacube.settings import Settings
from datacube.simulation import build_landscape, fell, storm_window
from datacube.simulation.canvas import FINE_M
from datacube.simulation.storm import TREES
from server.stories import STORIES, nearest_date
from sr_engine.usecases import change, fields, settlements, shoreline
from sr_engine.usecases.figures_page import figures
from tests.browser import Pixels, Visitor, chromium, difference
from tests.conftest import serving
from tests.test_webapp_registration import BOTTOM, LEFT, RIGHT, TOP, ground_px
from webapp.words.english import ENGLISH

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1200, height=800)
SEASON = DemoSize(shape=(240, 300), dates=12, truth_dates=0)  # with July and August
INSIDE_M = 15.0  # from the edge of a felled patch, where the sensor's blur mixes both


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def visitor(browser: Browser, live_server: str) -> Iterator[Visitor]:
    one = Visitor(browser.new_context(viewport=SCREEN).new_page(), live_server)
    one.open()
    yield one
    assert one.complaints == []


def test_a_use_case_moves_the_map_and_sets_both_sides(visitor: Visitor) -> None:
    page, base = visitor.page, visitor.base_url
    told = httpx.get(f"{base}/collections/simulated/stories").json()["stories"]
    assert [one["id"] for one in told] == [one.id for one in STORIES]
    page.get_by_role("button", name="Use cases", exact=True).click()
    dock = page.locator(".srcube .dock")
    expect(dock.get_by_role("article")).to_have_count(len(STORIES))
    dock.get_by_role("button", name="Show Shoreline and water").click()
    visitor.settle()
    story = told[1]
    expect(dock.locator("article[aria-current]")).to_contain_text("The lake needs no")
    expect(visitor.caption("left")).to_contain_text("Water")
    expect(visitor.caption("right")).to_contain_text("Water")
    address = page.evaluate("new URLSearchParams(location.hash.slice(1))")
    assert address is not None
    asked = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
    assert float(asked["lat"]) == pytest.approx(story["place"]["lat"], abs=1e-3)
    assert float(asked["lon"]) == pytest.approx(story["place"]["lon"], abs=1e-3)
    assert (asked["left.layer"], asked["right.layer"]) == ("lr", "sr")
    assert asked["right.index"] == "NDWI"
    # The same again, from elsewhere on the map, brings one back.
    page.get_by_role("button", name="Zoom in").click()
    visitor.settle()
    dock.get_by_role("button", name="Show Shoreline and water").click()
    visitor.settle()
    zoom = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('zoom')")
    assert float(zoom) == story["place"]["zoom"]


def test_two_dates_are_compared_and_the_figures_are_one_click_away(visitor: Visitor) -> None:
    page = visitor.page
    dock = page.locator(".srcube .dock")
    dock.get_by_role("button", name="Show Change after a storm").click()
    visitor.settle()
    asked = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
    assert asked["left.date"] != asked["right.date"]
    with page.context.expect_page() as opened:
        dock.get_by_role("link", name="Figures of Change").click()
    shown = opened.value
    expect(shown.locator("#change h2")).to_be_in_viewport()
    expect(shown.locator("#change")).to_contain_text("Felled woods: agreement, by size")
    expect(shown.locator("#change")).to_contain_text("bicubic-x4")
    expect(shown.locator("table").first).to_have_css("border-collapse", "collapse")
    shown.close()


@pytest.fixture(scope="module")
def stormy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a small demo whose season has all its dates."""
    root = tmp_path_factory.mktemp("stormy")
    build_simulated(Catalog(open_storage(root)), "simulated", size=SEASON)
    with serving(Settings(data=str(root), port=0, limit_blocks=16)) as url:
        yield url


def test_the_storm_stands_between_the_sides_where_it_felled_and_nowhere_else(
    browser: Browser, stormy: str
) -> None:
    visitor = Visitor(browser.new_context(viewport=SCREEN).new_page(), stormy)
    visitor.open()
    page = visitor.page
    page.get_by_role("button", name="Use cases", exact=True).click()
    dock = page.locator(".srcube .dock")
    dock.get_by_role("button", name="Show Change after a storm").click()
    visitor.settle()
    for side, day in (("left", "2025-07-16"), ("right", "2025-08-30")):
        expect(visitor.caption(side)).to_contain_text(day)
        expect(visitor.caption(side)).to_contain_text("Vegetation")
    page.get_by_role("button", name="Use cases", exact=True).click()  # and it makes room
    visitor.settle()
    asked = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
    before, after = (alone(visitor, key) for key in ("End", "Home"))
    felled, standing = felled_and_standing(visitor, float(asked["lat"]), float(asked["lon"]))
    assert felled.sum() > 200
    assert difference(before[felled], after[felled]) > 40
    assert difference(before[standing], after[standing]) < 10
    assert visitor.complaints == []


def alone(visitor: Visitor, key: str) -> Pixels:
    """One side alone, as the handle shows it at an end."""
    visitor.handle.focus()
    visitor.page.keyboard.press(key)
    visitor.settle()
    return visitor.screen()[TOP:BOTTOM, LEFT:RIGHT]


def felled_and_standing(
    visitor: Visitor, lat: float, lon: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels of the screen well inside felled patches, and well inside wood that stands."""
    ground = build_landscape(SEED, SEASON.shape)
    storm = fell(ground, storm_window(SEASON.shape))
    gone = storm.felled[storm.ground.labels]
    wood = np.isin(np.array(ground.parcels.kinds), TREES)[ground.labels] & ~gone
    places = [ground.margin_fine + axis * 2.5 / FINE_M for axis in ground_px(visitor, lat, lon)]
    found = [
        ndimage.map_coordinates(
            ndimage.distance_transform_edt(mask) * FINE_M, places, order=0, mode="constant"
        )
        > INSIDE_M
        for mask in (gone, wood)
    ]
    return found[0], found[1]


def test_a_demo_without_a_storm_has_no_story_of_it(tmp_path: Path) -> None:
    size = DemoSize(shape=(48, 64), dates=2, truth_dates=1)
    build_simulated(Catalog(open_storage(tmp_path)), "simulated", size=size, storm=False)
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        told = httpx.get(f"{url}/collections/simulated/stories").json()["stories"]
    assert [one["id"] for one in told] == ["fields", "shoreline", "settlements"]


def test_every_use_case_has_words_figures_and_a_place_in_its_window() -> None:
    windows = {"fields": fields, "shoreline": shoreline, "settlements": settlements}
    for story in STORIES:
        assert ENGLISH[f"stories_{story.id}_title"]
        assert ENGLISH[f"stories_{story.id}_text"].count(". ") >= 2
        assert figures()[story.id]
        window = windows.get(story.id, change).WINDOW
        row, col = (800 * share for share in story.place)
        assert window.row < row < window.row + window.height
        assert window.col < col < window.col + window.width


def test_a_date_is_the_nearest_that_is_mostly_clear(demo_catalog: Path) -> None:
    committed = Catalog(open_storage(demo_catalog)).open("simulated").scenes[0]

    def scene(month: int, day: int, cloud: float) -> CommittedScene:
        moment = datetime(2025, month, day, 10, tzinfo=UTC)
        seen = Scene(f"S{month}{day}", moment, {"eo:cloud_cover": cloud})
        return CommittedScene(seen, committed.slot)

    scenes = [scene(6, 1, 2.0), scene(6, 20, 88.0), scene(7, 9, 0.0)]
    assert nearest_date(scenes, (6, 21)).startswith("2025-07-09")
    assert nearest_date(scenes, (6, 2)).startswith("2025-06-01")
    assert nearest_date(scenes[1:2], (6, 2)).startswith("2025-06-20")
