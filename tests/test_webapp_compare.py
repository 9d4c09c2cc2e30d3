"""Two pictures of one place, compared in every way there is: pixels of a screen are the proof.

One visitor does it all on one page: each test begins by choosing what it needs.
"""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Locator, Request, ViewportSize, expect

from tests.browser import Pixels, Visitor, chromium, colourfulness, difference

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
TOP, BOTTOM, LEFT, RIGHT = 150, 480, 345, 930  # of the screen: where nothing lies over the map
SAME = 1.0  # grey levels, in the mean


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(fresh_server: str) -> Iterator[Visitor]:
    with chromium() as browser:
        context = browser.new_context(viewport=SCREEN, has_touch=True)
        visitor = Visitor(context.new_page(), fresh_server)
        visitor.open()
        yield visitor
        assert visitor.complaints == []


def picture(visitor: Visitor) -> Pixels:
    """The part of the map over which nothing lies."""
    return visitor.screen()[TOP:BOTTOM, LEFT:RIGHT]


@pytest.fixture(name="sides", scope="module")
def fixture_sides(visitor: Visitor) -> tuple[Pixels, Pixels]:
    """Left and right alone, as the handle shows them at either end."""
    visitor.compare_by("Swipe")
    found = []
    for key in ("End", "Home"):
        visitor.handle.focus()
        visitor.page.keyboard.press(key)
        visitor.settle()
        found.append(picture(visitor))
    assert difference(*found) > 2
    return found[0], found[1]


def number(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("slider", name=name)


def within(x: float, y: float, radius: float) -> np.ndarray:
    """Which pixels of `picture` lie in a circle of the screen."""
    rows, cols = np.mgrid[TOP:BOTTOM, LEFT:RIGHT]
    return np.asarray(np.hypot(cols - x, rows - y) < radius)


def check_lens(visitor: Visitor, sides: tuple[Pixels, Pixels]) -> tuple[float, float, float]:
    """The right layer inside the ring, the left one around it; the ring's middle and radius."""
    box = visitor.page.locator(".srcube .lens").bounding_box()
    assert box is not None
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 2
    now, (left, right) = picture(visitor), sides
    inside, outside = within(x, y, radius - 4), ~within(x, y, radius + 4)
    assert inside.sum() > 1000
    assert difference(now[inside], right[inside]) < SAME
    assert difference(now[outside], left[outside]) < SAME
    assert difference(now[inside], left[inside]) > 2
    return x, y, radius


def test_lens_follows_mouse_finger_and_keys_and_shows_the_right_layer_in_the_left(
    visitor: Visitor, sides: tuple[Pixels, Pixels]
) -> None:
    visitor.compare_by("Lens")
    expect(visitor.caption("right")).to_contain_text("In the lens")
    visitor.page.mouse.move(600, 300)
    x, y, radius = check_lens(visitor, sides)
    assert (x, y) == pytest.approx((600, 300), abs=1)

    ring = visitor.page.get_by_role("application", name="Lens")
    ring.focus()
    for key in ("Shift+ArrowRight", "ArrowUp", "+", "+", "-"):
        visitor.page.keyboard.press(key)
    moved = check_lens(visitor, sides)
    assert moved == pytest.approx((x + 50, y - 10, radius + 10), abs=1)

    session = visitor.page.context.new_cdp_session(visitor.page)
    before = visitor.page.url
    for kind, points in (
        ("touchStart", [{"x": moved[0], "y": moved[1]}]),
        ("touchMove", [{"x": moved[0] - 40, "y": moved[1] + 30}]),
        ("touchMove", [{"x": moved[0] - 90, "y": moved[1] + 60}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    pushed = check_lens(visitor, sides)  # the map beneath has not moved along
    assert pushed[:2] == pytest.approx((moved[0] - 90, moved[1] + 60), abs=2)
    visitor.settle()
    assert visitor.page.url != before


def test_opacity_blends_the_right_layer_over_the_left(
    visitor: Visitor, sides: tuple[Pixels, Pixels]
) -> None:
    visitor.page.get_by_role("radio", name="Lens").focus()
    visitor.page.keyboard.press("ArrowRight")  # the control is one of radio buttons
    expect(visitor.page.get_by_role("radio", name="Opacity")).to_be_checked()
    number(visitor, "Opacity").focus()
    for key, part in (("Home", 0.0), ("End", 1.0)):
        visitor.page.keyboard.press(key)
        assert difference(picture(visitor), sides[round(part)]) < SAME
    for _ in range(3):
        visitor.page.keyboard.press("PageDown")
    part = float(number(visitor, "Opacity").input_value())
    assert 0.5 < part < 0.9
    mixed = (1 - part) * sides[0] + part * sides[1]
    assert difference(picture(visitor), mixed.astype(np.int16)) < SAME


def test_difference_is_that_of_what_is_drawn_and_says_so(
    visitor: Visitor, sides: tuple[Pixels, Pixels]
) -> None:
    visitor.compare_by("Difference")
    expect(visitor.page.get_by_text("of display values, not of reflectance")).to_be_visible()
    number(visitor, "Amplification").focus()
    visitor.page.keyboard.press("Home")
    plain = np.abs(sides[0] - sides[1])
    assert difference(picture(visitor), plain) < SAME
    for _ in range(2):
        visitor.page.keyboard.press("ArrowRight")
    assert difference(picture(visitor), np.minimum(3 * plain, 255)) < 2 * SAME


def test_blinking_shows_one_and_the_other_until_it_is_stopped(
    visitor: Visitor, sides: tuple[Pixels, Pixels]
) -> None:
    visitor.compare_by("Blink")
    number(visitor, "Seconds").focus()
    visitor.page.keyboard.press("Home")
    out_of_sight = visitor.page.locator(".srcube .caption.out-of-sight")
    for side in ("left", "right", "left"):
        expect(out_of_sight).to_have_class(f"caption {side} out-of-sight")
    visitor.page.get_by_role("button", name="Stop blinking").click()
    shown = set()
    for _ in range(2):
        now = picture(visitor)
        shown.add(min((0, 1), key=lambda side: difference(now, sides[side])))
        assert min(difference(now, side) for side in sides) < SAME
        visitor.page.get_by_role("button", name="Switch", exact=True).click()
    assert shown == {0, 1}


def test_sides_may_have_dates_of_their_own_and_both_are_super_resolved(visitor: Visitor) -> None:
    page = visitor.page
    visitor.compare_by("Swipe")
    visitor.handle.dblclick()
    page.get_by_role("switch", name="Same date").click()
    dates = page.get_by_role("slider", name="Date")
    expect(dates).to_have_count(2)
    jobs: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and "super-resolve" in request.url:
            jobs.append(json.loads(request.post_data or "")["inputs"]["datetime"])

    page.on("request", note)
    dates.nth(1).focus()
    page.keyboard.press("ArrowRight")
    left, right = (visitor.caption(side).locator(".date") for side in ("left", "right"))
    expect(right).not_to_have_text(left.inner_text())
    visitor.settle()
    visitor.drag(to_x=500)  # dragging over what is not computed yet starts it, on that date
    visitor.settle()
    assert {stamp[:10] for stamp in jobs} == {right.inner_text()}
    assert colourfulness(visitor.strips()[1]) > 3
    page.get_by_role("switch", name="Same date").click()
    expect(right).to_have_text(left.inner_text())
    page.remove_listener("request", note)


def test_an_index_is_drawn_by_a_colour_map_and_stretched_to_the_view_on_its_side_alone(
    visitor: Visitor,
) -> None:
    page = visitor.page
    visitor.settle()
    page.get_by_role("switch", name="Same bands").click()
    visitor.settle()
    visitor.choose("Bands", "Spectral index")
    visitor.settle()
    left, right = (visitor.caption(side).locator(".legend") for side in ("left", "right"))
    expect(left).to_contain_text("Normalized Difference Vegetation Index")
    expect(right).to_have_count(0)
    ramp = left.locator(".ramp").evaluate("element => element.style.background")
    assert ramp.startswith("linear-gradient")
    assert ramp.count("rgb") == 256
    usual = visitor.strips()[0]
    with page.expect_response("**/statistics?*") as answer:
        page.get_by_role("button", name="Fit to view").first.click()
    told = answer.value.json()
    visitor.settle()
    ends = [float(text) for text in left.locator(".ends").inner_text().split()]
    assert ends == [pytest.approx(told[f"percentile_{part}"], rel=0.01) for part in (2, 98)]
    stretched = visitor.strips()[0]
    assert difference(usual, stretched) > 5
    visitor.choose("Colour map", "viridis")
    visitor.settle()
    assert difference(visitor.strips()[0], stretched) > 20
    page.get_by_role("button", name="Reset").first.click()
    visitor.settle()
    expect(left.locator(".ends")).to_have_text("-11")
    page.get_by_role("switch", name="Same bands").click()
    expect(right).to_contain_text("Normalized Difference Vegetation Index")
