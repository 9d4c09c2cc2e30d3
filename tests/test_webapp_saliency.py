"""Saliency on the page: computed where it is ticked or shown, told beforehand, and only once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser import Visitor, chromium, colourfulness

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")


@pytest.fixture(scope="module")
def visitor(live_server: str) -> Iterator[Visitor]:
    """One person for all tests; nothing may have gone wrong in the browser."""
    with chromium() as browser:
        screen = ViewportSize(width=1100, height=760)
        one = Visitor(browser.new_context(viewport=screen).new_page(), live_server)
        one.open()
        yield one
        assert one.complaints == []


def computed(root: Path, model: str) -> int:
    """How many blocks of a model's saliency were computed."""
    with closing(sqlite3.connect(root / ".srcube/jobs.sqlite3")) as database:
        rows = database.execute(
            "SELECT count(*) FROM blocks WHERE model LIKE ? AND seconds IS NOT NULL",
            (f"{model}-%+saliency",),
        )
        return int(rows.fetchone()[0])


def test_a_ticked_box_is_told_what_it_costs_and_then_computed(
    visitor: Visitor, demo_catalog: Path
) -> None:
    page = visitor.page
    expect(page.get_by_text("Products to compute along")).to_be_visible()
    assert computed(demo_catalog, "default-x4") == 0
    page.get_by_label("Saliency (about five times the time)").check()
    expect(page.get_by_text("Saliency is missing in")).to_be_visible()
    visitor.settle()
    assert computed(demo_catalog, "default-x4") == 0  # ticking alone computes nothing
    expect(visitor.caption("right").get_by_text("Grey")).to_be_hidden()  # the image is there
    page.get_by_role("button", name="Super-resolve this view").click()
    visitor.settle()
    expect(page.get_by_text("blocks in view are ready")).to_be_visible()
    count = computed(demo_catalog, "default-x4")
    assert count > 0
    visitor.choose("Right of the handle", "Saliency")
    visitor.settle()
    expect(visitor.caption("right")).to_contain_text("diffusion index")
    assert colourfulness(visitor.strips()[1]) > 40  # viridis, and not the grey of what is missing
    assert computed(demo_catalog, "default-x4") == count  # found, not computed again


def test_a_layer_that_is_shown_is_computed_without_the_box(
    visitor: Visitor, demo_catalog: Path
) -> None:
    page = visitor.page
    page.get_by_label("Saliency (about five times the time)").uncheck()
    visitor.choose("Right of the handle", "Super-resolved")
    visitor.choose("Model", "Default x2")
    visitor.settle()
    expect(page.get_by_text("blocks in view are ready")).to_be_visible()
    assert computed(demo_catalog, "default-x2") == 0
    visitor.choose("Right of the handle", "Saliency")
    visitor.settle()
    assert computed(demo_catalog, "default-x2") > 0
    assert colourfulness(visitor.strips()[1]) > 40
