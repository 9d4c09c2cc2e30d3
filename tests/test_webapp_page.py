"""The explorer as a person meets it: the whole server, a real browser, pixels on a screen."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.browser import (
    GRIP_PX,
    PATIENCE_MS,
    Visitor,
    chromium,
    colourfulness,
    column_edges,
    difference,
)

# Not ours to mend: Panel 1.9.4 builds its requests in a way that Tornado 6.7 will have dropped.
# The server runs in this process, where a warning would be an error and the page a 500.
pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

# Small enough that blocks of the demo cube stay outside the opening view.
SCREEN = ViewportSize(width=800, height=480)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser, live_server: str) -> Iterator[Callable[..., Visitor]]:
    """Open the explorer as a new visitor; afterwards nobody's browser may have complained."""
    visitors: list[Visitor] = []

    def arrive(url: str = live_server) -> Visitor:
        visitor = Visitor(browser.new_context(viewport=SCREEN).new_page(), url)
        visitors.append(visitor)
        visitor.open()
        return visitor

    yield arrive
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.page.context.close()
    assert complaints == []


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    return visit()


def test_page_opens_on_measured_pixels_left_and_finer_pixels_right(visitor: Visitor) -> None:
    left, right = visitor.strips()
    assert colourfulness(left) > 3
    assert colourfulness(right) > 3
    # Pixels are drawn as squares: a grid four times finer begins far more columns.
    assert column_edges(right) >= 1.5 * column_edges(left)


def test_labels_name_layer_model_and_date_and_the_notice_says_simulated(visitor: Visitor) -> None:
    expect(visitor.caption("left")).to_contain_text("Sentinel-2")
    expect(visitor.caption("right")).to_contain_text("Super-resolved · ")
    for side in ("left", "right"):
        assert visitor.caption(side).locator(".date").inner_text().startswith("20")
    expect(visitor.page.locator(".srcube .notice")).to_contain_text("imulated")


def test_mouse_drags_the_right_layer_over_the_left_one(visitor: Visitor) -> None:
    x, _ = visitor.cut
    coarse = visitor.strip(offset_px=-GRIP_PX - 100, width_px=80)
    visitor.drag(to_x=x - 160)
    visitor.settle()
    fine = visitor.strip(offset_px=160 - GRIP_PX - 100, width_px=80)
    assert visitor.cut[0] == pytest.approx(x - 160, abs=2)
    assert column_edges(fine) >= 1.5 * column_edges(coarse)


def test_arrow_keys_move_the_handle_and_the_picture(visitor: Visitor) -> None:
    start_x, _ = visitor.cut
    _, fine = visitor.strips()
    visitor.handle.focus()
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.handle.get_attribute("aria-valuenow") == "52"
    assert visitor.cut[0] > start_x
    visitor.page.keyboard.press("ArrowLeft")
    for _ in range(2):
        visitor.page.keyboard.press("Shift+ArrowRight")
    assert visitor.handle.get_attribute("aria-valuenow") == "70"
    moved = round(visitor.cut[0] - start_x)
    visitor.settle()
    now = visitor.strip(offset_px=GRIP_PX - moved)[:, : moved - 2 * GRIP_PX]
    before = fine[:, : moved - 2 * GRIP_PX]
    assert 1.5 * column_edges(now) < column_edges(before)
    visitor.page.keyboard.press("Home")
    assert visitor.handle.get_attribute("aria-valuenow") == "0"
    visitor.page.keyboard.press("End")
    assert visitor.handle.get_attribute("aria-valuenow") == "100"


def test_nothing_scrolls_the_map_within_its_frame(visitor: Visitor) -> None:
    scrolled = "map => { map.scrollTo(80, 20); return [map.scrollLeft, map.scrollTop]; }"
    assert visitor.page.locator(".srcube .map").evaluate(scrolled) == [0, 0]


def test_touch_drags_the_handle(browser: Browser, live_server: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    visitor = Visitor(context.new_page(), live_server)
    visitor.open()
    expect(visitor.page.get_by_role("combobox", name="Collection")).to_be_hidden()
    x, y = visitor.cut
    session = context.new_cdp_session(visitor.page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 40, "y": y}]),
        ("touchMove", [{"x": x + 80, "y": y}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(visitor.handle).to_have_attribute("aria-valuenow", "71")
    assert visitor.complaints == []
    context.close()


def zoom(visitor: Visitor, direction: str, *, steps: int) -> None:
    """Press a zoom button; the map rests and its tiles are there afterwards."""
    for _ in range(steps):
        visitor.page.get_by_role("button", name=f"Zoom {direction}").click()
        visitor.page.wait_for_timeout(400)  # the zoom's animation
    visitor.settle()


def test_button_super_resolves_the_blocks_that_are_still_grey(
    visit: Callable[..., Visitor], fresh_server: str
) -> None:
    visitor = visit(fresh_server)
    zoom(visitor, "in", steps=2)
    visitor.choose("Model", "Wiener deconvolution x2")  # computes what is in view, and no more
    visitor.settle()
    zoom(visitor, "out", steps=3)
    expect(visitor.page.locator(".pending-note:visible")).to_have_count(1, timeout=PATIENCE_MS)
    before = visitor.screen()
    visitor.page.get_by_role("button", name="Super-resolve this view").click()
    visitor.settle()
    after = visitor.screen()
    cut = round(visitor.cut[0])
    assert difference(after[60:440, cut + GRIP_PX :], before[60:440, cut + GRIP_PX :]) > 1
    assert colourfulness(after[:, cut:]) > colourfulness(before[:, cut:])
    expect(visitor.page.get_by_text("blocks in view are ready")).to_be_visible()


def test_band_preset_and_smoothing_change_both_sides(visitor: Visitor) -> None:
    true_colour = visitor.strips()
    visitor.choose("Bands", "False colour")
    visitor.settle()
    false_colour = visitor.strips()
    for one, other in zip(true_colour, false_colour, strict=True):
        assert difference(one, other) > 5
    visitor.page.get_by_role("switch", name="Show pixels").click()
    visitor.settle()
    # Interpolated: every column differs from the next, not only where a square begins.
    assert column_edges(visitor.strips()[0]) > 1.5 * column_edges(false_colour[0])


def test_other_date_changes_labels_and_pixels(visitor: Visitor) -> None:
    first = visitor.caption("left").locator(".date").inner_text()
    before = visitor.strips()
    visitor.page.get_by_role("slider", name="Date").focus()
    key = (
        "ArrowRight"
        if visitor.page.get_by_role("slider", name="Date").get_attribute("aria-valuenow") == "0"
        else "ArrowLeft"
    )
    visitor.page.keyboard.press(key)
    expect(visitor.caption("left").locator(".date")).not_to_have_text(first)
    visitor.settle()
    for one, other in zip(before, visitor.strips(), strict=True):
        assert difference(one, other) > 0.5


def test_truth_can_be_swiped_against(visitor: Visitor) -> None:
    model_before = visitor.strips()[0]
    visitor.choose("Left of the handle", "Truth")
    expect(visitor.caption("left")).to_contain_text("Truth (simulated)")
    visitor.settle()
    assert difference(visitor.strips()[0], model_before) > 0.5


def test_influence_comes_with_a_legend(visitor: Visitor) -> None:
    visitor.choose("Left of the handle", "Influence: ")
    expect(visitor.caption("left").locator(".legend .ramp")).to_be_visible()
    visitor.settle()
    assert difference(*visitor.strips()) > 5


def test_uncertainty_of_the_fusion_comes_with_a_legend(visitor: Visitor) -> None:
    before = visitor.strips()[1]
    visitor.choose("Right of the handle", "Uncertainty: posterior standard deviation")
    visitor.settle()
    expect(visitor.page.locator(".srcube .legend")).to_be_visible()
    after = visitor.strips()[1]
    assert difference(before, after) > 20
    assert colourfulness(after) > 3


def test_visitors_do_not_share_state(visit: Callable[..., Visitor]) -> None:
    one, other = visit(), visit()
    title = other.caption("left").locator("strong").inner_text()
    one.choose("Left of the handle", "Truth")
    expect(one.caption("left")).to_contain_text("Truth")
    one.drag(to_x=one.cut[0] - 100)
    other.page.wait_for_timeout(1500)
    assert other.caption("left").locator("strong").inner_text() == title
    assert other.handle.get_attribute("aria-valuenow") == "50"


def test_server_out_of_reach_is_said_in_plain_words(browser: Browser, live_server: str) -> None:
    visitor = Visitor(browser.new_context(viewport=SCREEN).new_page(), live_server)
    visitor.page.route("**/collections", lambda route: route.abort())
    visitor.page.goto(f"{live_server}/explorer")
    expect(visitor.page.get_by_text("The server cannot be reached")).to_be_visible()
    visitor.page.context.close()


def keep_the_worker_busy(visitor: Visitor) -> None:
    """Order other blocks first: jobs are worked through in turn, so the next one has to wait."""
    ask = visitor.page.request
    collection = ask.get(f"{visitor.base_url}/collections/simulated").json()
    for scene in collection["scenes"]:
        inputs = {
            "collection": "simulated",
            "datetime": scene["datetime"],
            "model": "fusion-x4",  # takes seconds before its first block is there
            "bbox": collection["extent"]["spatial"]["bbox"][0],
        }
        address = f"{visitor.base_url}/processes/super-resolve/execution"
        assert ask.post(address, data={"inputs": inputs}).status == 201


def test_cancel_stops_the_job_and_what_was_not_computed_stays_grey(
    visit: Callable[..., Visitor], fresh_server: str
) -> None:
    visitor = visit(fresh_server)
    keep_the_worker_busy(visitor)
    with visitor.page.expect_response("**/execution") as answer:
        visitor.choose("Model", "Bicubic x4")
    job = answer.value.json()["jobID"]
    visitor.page.locator(".srcube .job").get_by_role("button", name="Cancel").click()
    visitor.settle()
    status = visitor.page.request.get(f"{visitor.base_url}/jobs/{job}").json()["status"]
    assert status == "dismissed"
    expect(visitor.page.get_by_text("Cancelled.")).to_be_visible()
    expect(visitor.page.locator(".pending-note:visible")).to_have_count(1, timeout=PATIENCE_MS)
    left, right = visitor.strips()
    assert colourfulness(right) < 1 < colourfulness(left)
