"""The address of the page holds all that is seen: for a reload, for others, and for a frame."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Frame, ViewportSize, expect

from datacube.settings import Settings
from server.local import LocalServer
from server.main import make_app
from tests.browser import PATIENCE_MS, Visitor, chromium, colourfulness, difference
from tests.test_webapp import collection
from tests.test_webapp_compare import picture
from webapp.catalog import Collection
from webapp.state import COLORMAPS, Look, SideState, check_side

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
FIELDS = Collection.from_json(collection())
USUAL = SideState("lr", "", FIELDS.default_datetime, Look.of(FIELDS.presets()[0]))


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def arrival(browser: Browser, url: str, *, calm: bool = False) -> Visitor:
    context = browser.new_context(
        viewport=SCREEN, reduced_motion="reduce" if calm else "no-preference"
    )
    return Visitor(context.new_page(), url)


def test_a_link_shows_another_visitor_the_same_and_says_what_is_gone(
    browser: Browser, live_server: str
) -> None:
    one, other = arrival(browser, live_server), arrival(browser, live_server, calm=True)
    one.open()
    one.choose("Left of the handle", "Truth")
    one.choose("Model", "Wiener deconvolution x4")
    one.settle()
    one.page.get_by_role("switch", name="Show pixels").click()
    one.compare_by("Lens")
    one.page.mouse.move(560, 330)
    one.page.get_by_role("button", name="Zoom in").click()
    one.settle()
    one.page.mouse.move(620, 300)
    one.settle()
    link, seen = one.page.url, picture(one)

    other.follow(link)
    assert difference(picture(other), seen) < 0.5
    expect(other.caption("left")).to_contain_text("Truth")
    expect(other.caption("right")).to_contain_text("Wiener deconvolution x4")
    assert other.page.url == link
    # Who asked for less motion sees nothing blink, and can switch by hand.
    other.compare_by("Blink")
    expect(other.page.get_by_role("button", name="Start blinking")).to_be_visible()
    expect(other.caption("right")).to_have_class("caption right out-of-sight")
    other.page.get_by_role("button", name="Switch", exact=True).click()
    expect(other.caption("left")).to_have_class("caption left out-of-sight")

    gone = link.replace("wiener-x4", "wiener-x9").replace("mode=spy", "mode=magic")
    other.page.evaluate("link => location.assign(link)", gone)
    said = other.page.get_by_text("This link asks for what is not here")
    expect(said).to_contain_text("mode, wiener-x9")
    expect(other.caption("left")).to_contain_text("Truth")
    expect(other.page.get_by_role("radio", name="Swipe")).to_be_checked()
    assert one.complaints == other.complaints == []
    for visitor in (one, other):
        visitor.page.context.close()


words = st.dictionaries(
    st.sampled_from(["layer", "model", "date", "bands", "index", "colormap", "rescale", "other"]),
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(
            ["lr", "sr", "wiener-x2", FIELDS.default_datetime, "B04,B03,B02", "NDVI", "magma"]
        ),
        st.tuples(st.floats(), st.floats()).map(lambda pair: f"{pair[0]},{pair[1]}"),
    ),
)


@given(wanted=words)
def test_whatever_a_link_says_only_what_exists_is_shown_and_the_rest_is_named(
    wanted: dict[str, str],
) -> None:
    found = check_side(wanted, USUAL, FIELDS, ("NDVI",))
    side = found.side
    layer = FIELDS.layer(side.layer)
    assert layer is not None
    assert side.model in (layer.models or ("",))
    assert side.date in {scene.datetime for scene in FIELDS.scenes}
    assert (side.look.index == "NDVI") != (side.look.bands in {"B04,B03,B02", "B08,B04,B03"})
    assert side.look.colormap in {"", *COLORMAPS}
    if side.look.rescale:
        low, high = map(float, side.look.rescale.split(","))
        assert low < high
    for key in ("layer", "model", "date"):
        kept = side.document()[key] == wanted.get(key, "")
        assert kept or not wanted.get(key) or wanted[key][:40] in found.gone


class OtherSite(http.server.BaseHTTPRequestHandler):
    """A page of somebody else's that shows the map in a frame."""

    framed = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        text = f'<!doctype html><iframe src="{self.framed}" style="width:900px;height:560px">'
        self.wfile.write(text.encode())

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture(name="other_site", scope="module")
def fixture_other_site() -> Iterator[str]:
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OtherSite)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{site.server_address[1]}"
    site.shutdown()
    site.server_close()


def frame_of(visitor: Visitor, url: str) -> Frame:
    visitor.page.goto(url)
    (frame,) = [one for one in visitor.page.frames if one != visitor.page.main_frame]
    return frame


def test_a_site_that_is_named_may_frame_the_map_and_a_lost_server_comes_back(
    browser: Browser, demo_catalog: Path, other_site: str
) -> None:
    settings = Settings(data=str(demo_catalog), port=0, limit_blocks=16, embed_origins=[other_site])
    server = LocalServer(settings, make_app)
    visitor = arrival(browser, server.url)
    OtherSite.framed = f"{server.url}/explorer?embed=1#collection=simulated&left.layer=truth"
    frame = frame_of(visitor, other_site)
    expect(frame.locator(".srcube .caption.left")).to_contain_text("Truth")
    expect(frame.get_by_role("combobox")).to_have_count(0)
    expect(frame.locator(".srcube .map")).to_be_visible()
    box = frame.locator(".srcube .map").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == pytest.approx((900, 560), abs=2)
    assert visitor.complaints == []

    # Now as a page of its own: the server goes away and comes back.
    visitor.follow(f"{server.url}/explorer#collection=simulated&left.layer=truth")
    visitor.compare_by("Opacity")
    visitor.settle()
    link, seen = visitor.page.url, picture(visitor)
    server.stop()
    expect(visitor.page.get_by_text("The connection to the server is lost")).to_be_visible()
    port = int(server.url.rsplit(":", 1)[1])
    with LocalServer(settings.model_copy(update={"port": port}), make_app):
        expect(visitor.page.get_by_text("The connection")).to_be_hidden(timeout=PATIENCE_MS)
        expect(visitor.caption("left")).to_contain_text("Truth", timeout=PATIENCE_MS)
        visitor.settle()
        assert visitor.page.url == link
        assert difference(picture(visitor), seen) < 0.5
        visitor.page.context.close()


def test_a_site_that_is_not_named_may_not_frame_it(
    browser: Browser, live_server: str, other_site: str
) -> None:
    visitor = arrival(browser, live_server)
    OtherSite.framed = f"{live_server}/explorer?embed=1"
    frame = frame_of(visitor, other_site)
    expect(frame.locator(".srcube")).to_have_count(0)
    assert any("frame-ancestors" in said for said in visitor.complaints)
    visitor.page.context.close()


def test_tiles_that_were_missed_are_fetched_when_the_line_is_back(
    browser: Browser, live_server: str
) -> None:
    visitor = arrival(browser, live_server)
    visitor.open()
    visitor.page.route("**/tiles/**", lambda route: route.abort())
    visitor.page.get_by_role("button", name="Zoom in").click()
    expect(visitor.page.get_by_text("The connection to the server is lost")).to_be_visible()
    visitor.page.unroute("**/tiles/**")
    expect(visitor.page.get_by_text("The connection to the server is lost")).to_be_hidden()
    visitor.page.wait_for_timeout(2500)
    visitor.settle()
    for strip in visitor.strips():
        assert colourfulness(strip) > 3
    visitor.page.context.close()
