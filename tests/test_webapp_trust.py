"""How far the view can be trusted is one click away, in figures that the product holds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, ViewportSize, expect

from datacube import Catalog, Product, Window, open_storage
from datacube.layer import product_window
from sr_engine.planes import Quality
from sr_engine.registry import find_model
from sr_engine.trust.calibration import calibration_of
from tests.browser import Visitor, chromium

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=600)
MODEL = "default-x4"


@pytest.fixture(scope="module")
def visitor(live_server: str) -> Iterator[Visitor]:
    with chromium() as browser:
        arrived = Visitor(browser.new_context(viewport=SCREEN).new_page(), live_server)
        arrived.open()
        with arrived.page.expect_response("**/trust?**"):
            arrived.page.get_by_role("button", name="Trust", exact=True).click()
        arrived.settle()
        yield arrived
        assert arrived.complaints == []


def dock(visitor: Visitor) -> Locator:
    return visitor.page.locator(".srcube .dock")


def test_shares_of_flags_are_those_of_the_pixels_in_view(
    visitor: Visitor, demo_catalog: Path
) -> None:
    with visitor.page.expect_response("**/trust?**") as answer:
        visitor.page.get_by_role("button", name="Zoom in").click()
    visitor.settle()
    told = answer.value.json()
    cube = Catalog(open_storage(demo_catalog)).open("simulated")
    product = Product.open(cube, f"sr/{find_model(MODEL).card.key}")
    slot = next(one.slot for one in cube.scenes if one.scene.stamp == told["datetime"])
    window = Window(*told["window"]).scaled(4)
    masks = product_window(product, slot, window, variable="quality")
    wide = (masks & int(Quality.INTERVAL_WIDER_THAN_GAIN) > 0).sum() / (masks > 0).sum()
    shown = dock(visitor).locator("dl.shares dd").last.inner_text()
    assert float(shown.strip(" %<>")) == pytest.approx(100 * wide, abs=0.11)
    assert 0 < np.mean(masks > 0) <= 1
    total = told["blocks"]["total"]
    expect(dock(visitor).locator(".computed")).to_contain_text(f"{total} blocks in view")


def test_the_interval_comes_with_what_it_held_elsewhere(visitor: Visitor) -> None:
    figures = calibration_of(find_model(MODEL).card).figures or {}
    table = dock(visitor).locator("table.coverage")
    expect(table).to_contain_text(f"{100 * figures['coverage_90']:.1f} %")
    expect(table).to_contain_text(f"{100 * figures['coverage_90_worst_stratum']:.1f} %")
    expect(table).to_contain_text(f"{100 * figures['coverage_90_in_domain']:.1f} %")
    for band in ("B02", "B08"):
        expect(dock(visitor).locator("table.widths")).to_contain_text(band)


def test_card_and_provenance_name_the_model_its_weights_and_its_limits(visitor: Visitor) -> None:
    card = find_model(MODEL).card
    expect(dock(visitor).locator("dl.facts")).to_contain_text(card.weights_sha256)
    expect(dock(visitor).locator("table.metrics tr")).to_have_count(len(card.metrics) + 1)
    expect(dock(visitor).locator("table.metrics")).to_contain_text("Bicubic")
    expect(dock(visitor).locator(".limits")).to_contain_text(card.limits)


def test_the_guidelines_are_a_page_beside(visitor: Visitor) -> None:
    link = dock(visitor).get_by_role("link", name="Guidelines")
    with visitor.page.context.expect_page() as opened:
        link.click()
    expect(opened.value.locator("h1")).to_be_visible()
    opened.value.close()


def test_another_model_has_other_figures_and_none_is_said_to_be_none(visitor: Visitor) -> None:
    with visitor.page.expect_response("**/trust?**"):
        visitor.choose("Model", "Bicubic x4")
    visitor.settle()
    expect(dock(visitor).locator(".what")).to_contain_text("Bicubic x4")
    expect(dock(visitor)).to_contain_text("no calibrated interval")
    expect(dock(visitor)).to_contain_text("No figures were measured")
    visitor.choose("Right of the handle", "Scene classification")
    expect(dock(visitor)).to_contain_text("Nothing here comes from a model")
    visitor.settle()
