"""A person asks why a place looks as it does, with the mouse and with the keyboard."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, ViewportSize, expect

from tests.browser import Visitor, chromium, colourfulness

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1100, height=760)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser, live_server: str) -> Iterator[Callable[[ViewportSize], Visitor]]:
    """Open the explorer; nobody's browser may have complained afterwards."""
    visitors: list[Visitor] = []

    def arrive(screen: ViewportSize) -> Visitor:
        visitor = Visitor(browser.new_context(viewport=screen).new_page(), live_server)
        visitors.append(visitor)
        visitor.open()
        return visitor

    yield arrive
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.page.context.close()
    assert complaints == []


def button(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("button", name="Why does it look like this?")


def card(visitor: Visitor) -> Locator:
    return visitor.page.locator(".srcube section.why")


def test_a_click_tells_where_the_detail_came_from(visit: Callable[[ViewportSize], Visitor]) -> None:
    visitor = visit(SCREEN)
    expect(card(visitor)).to_be_hidden()
    button(visitor).click()
    expect(button(visitor)).to_have_attribute("aria-pressed", "true")
    expect(card(visitor)).to_contain_text("Click a place on the map")
    x, y = visitor.cut
    visitor.page.mouse.click(x + 150, y - 40)
    expect(card(visitor)).to_contain_text("Diffusion index")
    visitor.settle()
    expect(card(visitor).locator("figure img")).to_have_count(3)
    for name in ("B02", "B03", "B04", "B08"):
        expect(card(visitor).locator("dl.bands")).to_contain_text(name)
    shares = card(visitor).locator("dl.bands dd").all_inner_texts()
    assert sum(int(one.strip().removesuffix(" %")) for one in shares) == pytest.approx(100, abs=2)
    box = card(visitor).locator("figure").nth(2).locator("img").bounding_box()
    assert box is not None
    seen = visitor.screen()[
        round(box["y"]) : round(box["y"] + box["height"]),
        round(box["x"]) : round(box["x"] + box["width"]),
    ]
    assert colourfulness(seen) > 5  # heat over a grey input, which alone has 0
    assert seen.std() > 20


def test_the_window_is_outlined_where_the_person_clicked(
    visit: Callable[[ViewportSize], Visitor],
) -> None:
    visitor = visit(SCREEN)
    button(visitor).click()
    x, y = visitor.cut
    place = (x + 120, y - 60)
    visitor.page.mouse.click(*place)
    expect(card(visitor)).to_contain_text("Diffusion index")
    visitor.settle()
    outline = visitor.page.locator('.srcube .why-pane path[stroke="#00dcff"]')
    box = outline.bounding_box()
    assert box is not None
    pixel = box["width"] / 16  # the window is 16 measured pixels wide
    assert box["x"] + box["width"] / 2 == pytest.approx(place[0], abs=pixel)
    assert box["y"] + box["height"] / 2 == pytest.approx(place[1], abs=pixel)
    wide = visitor.page.locator('.srcube .why-pane path[stroke="#ffffff"]').bounding_box()
    assert wide is not None
    assert wide["width"] > box["width"] + 4 * pixel


def test_keyboard_asks_for_the_middle_and_escape_ends_it(
    visit: Callable[[ViewportSize], Visitor],
) -> None:
    visitor = visit(SCREEN)
    button(visitor).focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.locator(".srcube .map").focus()
    visitor.page.keyboard.press("Enter")
    expect(card(visitor)).to_contain_text("Diffusion index")
    visitor.page.keyboard.press("Escape")
    expect(card(visitor)).to_be_hidden()
    expect(button(visitor)).to_be_focused()
    expect(button(visitor)).to_have_attribute("aria-pressed", "false")
    expect(visitor.page.locator(".srcube .why-pane path")).to_have_count(0)


def test_where_nothing_is_from_a_model_the_card_says_so(
    visit: Callable[[ViewportSize], Visitor],
) -> None:
    visitor = visit(SCREEN)
    button(visitor).click()
    visitor.choose("Right of the handle", "Scene classification")
    visitor.settle()
    x, y = visitor.cut
    visitor.page.mouse.click(x + 150, y - 40)
    expect(card(visitor)).to_contain_text("Nothing here comes from a model")


def test_the_card_fits_a_phone(visit: Callable[[ViewportSize], Visitor]) -> None:
    visitor = visit(ViewportSize(width=390, height=844))
    button(visitor).click()
    visitor.page.mouse.click(150, 300)
    expect(card(visitor)).to_contain_text("Diffusion index")
    visitor.settle()
    box = card(visitor).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["y"] > 60
    pictures = [one.bounding_box() for one in card(visitor).locator("figure img").all()]
    widths = [one["width"] for one in pictures if one is not None]
    assert len(widths) == 3
    assert np.ptp(widths) < 2
