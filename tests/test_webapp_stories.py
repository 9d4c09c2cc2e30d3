"""A person is brought to a use case, and to its figures."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import ViewportSize, expect

from datacube import Catalog, Scene, open_storage
from datacube.cube import CommittedScene
from server.stories import STORIES, nearest_date
from sr_engine.usecases import change, fields, settlements, shoreline
from sr_engine.usecases.figures_page import figures
from tests.browser import Visitor, chromium
from webapp.words.english import ENGLISH

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1200, height=800)


@pytest.fixture(scope="module")
def visitor(live_server: str) -> Iterator[Visitor]:
    with chromium() as browser:
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
    dock.get_by_role("button", name="Show Change between two dates").click()
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
