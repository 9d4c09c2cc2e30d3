"""A person searches a catalog from the page and takes scenes into a cube; others see no button."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from datacube import Catalog, open_storage
from datacube.settings import Settings
from tests.browser import PATIENCE_MS, Visitor, chromium
from tests.conftest import serving
from tests.stac_server import StacServer, served
from tests.test_task_jobs import INNER, registry_of

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1200, height=900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def visitor(
    browser: Browser, demo_catalog: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visitor]:
    folder = tmp_path_factory.mktemp("stac")
    built = StacServer(folder)
    built.build()
    with served(built) as stac:
        settings = Settings(
            data=str(demo_catalog), port=0, allow_ingest=True, registry=registry_of(folder, stac)
        )
        with serving(settings) as url:
            one = Visitor(browser.new_context(viewport=SCREEN).new_page(), url)
            one.open()
            yield one
            assert one.complaints == []
            one.page.context.close()


def test_the_tool_is_hidden_where_the_operator_does_not_allow_it(
    browser: Browser, live_server: str
) -> None:
    visitor = Visitor(browser.new_context(viewport=SCREEN).new_page(), live_server)
    visitor.open()
    expect(visitor.page.get_by_role("button", name="Overlays", exact=True)).to_be_visible()
    expect(visitor.page.get_by_role("button", name="Search and ingest")).to_be_hidden()
    assert visitor.complaints == []
    visitor.page.context.close()


def test_scenes_are_found_chosen_and_ingested_with_progress(
    visitor: Visitor, demo_catalog: Path
) -> None:
    page = visitor.page
    page.get_by_role("button", name="Search and ingest").click()
    tool = page.locator(".srcube .dock")
    visitor.settle()
    tool.get_by_role("button", name="Find scenes").click()
    expect(tool.get_by_role("alert")).to_contain_text("Say where first")

    # drawn with the mouse: the numbers follow
    tool.get_by_role("button", name="Draw a box").click()
    page.mouse.move(420, 300)
    page.mouse.down()
    page.mouse.move(500, 380, steps=3)
    page.mouse.move(560, 420)
    page.mouse.up()
    expect(tool.get_by_text(re.compile(r"About [0-9.]+ km², at most 500"))).to_be_visible()
    drawn = [float(tool.get_by_label(edge).input_value()) for edge in ("West", "East")]
    assert drawn[0] < drawn[1]

    for edge, value in zip(("West", "South", "East", "North"), INNER, strict=True):
        tool.get_by_label(edge).fill(f"{value:.6f}")
        tool.get_by_label(edge).press("Tab")
    tool.get_by_label("From").fill("2024-06-01")
    tool.get_by_label("To", exact=True).fill("2024-06-30")
    tool.get_by_role("button", name="Find scenes").click()
    expect(tool.get_by_text("3 scenes found")).to_be_visible(timeout=PATIENCE_MS)
    tool.get_by_role("checkbox", name=re.compile("2024-06-11")).uncheck()
    tool.get_by_role("button", name="Ingest", exact=True).click()
    expect(tool.get_by_role("alert")).to_contain_text("Give the cube a name")
    tool.get_by_label("Into the cube").fill("meadow")
    tool.get_by_role("button", name="Ingest", exact=True).click()
    done = tool.get_by_text("meadow: 2 scenes taken in, 0 there already, 0 refused")
    expect(done).to_be_visible(timeout=PATIENCE_MS)
    cube = Catalog(open_storage(demo_catalog)).open("meadow")
    assert [one.scene.datetime.day for one in cube.scenes] == [1, 21]

    tool.get_by_role("button", name="Show the cube").click()
    expect(page.get_by_role("combobox", name="Collection")).to_contain_text(
        "meadow", timeout=PATIENCE_MS
    )
    visitor.settle()
    assert (
        abs(float(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('lon')")) - 16.4)
        < 1
    )


def test_too_large_a_box_is_said_before_anything_is_asked(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("button", name="Search and ingest").click()
    tool = page.locator(".srcube .dock")
    for edge, value in zip(("West", "South", "East", "North"), (10, 45, 14, 48), strict=True):
        tool.get_by_label(edge).fill(str(value))
        tool.get_by_label(edge).press("Tab")
    expect(tool.get_by_text("is too much: at most 500")).to_be_visible()
