"""A visitor of the explorer: a real Chromium, and what can be seen on its screen.

Pixels are judged beside the swipe handle, because that is where a person looks.
"""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000
GRIP_PX = 30  # the grip and the line of the handle, which are no part of the picture
Pixels = NDArray[np.int16]
Degrees = NDArray[np.float64]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; a machine without one fails the test and says what to install."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("no chromium on the PATH; install it: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visitor:
    """One person with a page open, and everything the browser complained about."""

    page: Page
    base_url: str
    complaints: list[str] = field(default_factory=list)
    returning: bool = True  # has been here before, so that no tour begins

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: self._console(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("request", self._request)
        if self.returning:
            self.page.add_init_script("localStorage.setItem('srcube-tour-seen', 'yes')")

    def _console(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(f"console: {text}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname != "127.0.0.1":
            self.complaints.append(f"left the host: {request.url}")

    def open(self) -> None:
        """Open the explorer on the simulated landscape and wait until it is super-resolved."""
        answer = self.page.goto(f"{self.base_url}/explorer")
        assert answer is not None
        assert answer.ok, f"the page answers {answer.status}"
        expect(self.caption("right").locator("strong")).to_be_visible(timeout=PATIENCE_MS)
        if "Simul" not in self.page.locator(".srcube .notice").inner_text():
            self.choose("Collection", "Simulated")
        self.settle()

    def follow(self, link: str) -> None:
        """Open a link to a state of the explorer, as one who was sent it."""
        answer = self.page.goto(link)
        assert answer is None or answer.ok, f"the page answers {answer.status}"
        expect(self.caption("right").locator("strong")).to_be_visible(timeout=PATIENCE_MS)
        self.settle()

    def compare_by(self, mode: str) -> None:
        """Choose how the two sides are compared, on the map's own control."""
        self.page.locator(".srcube .segments label").filter(has_text=mode).click()

    def settle(self) -> None:
        """Wait until the page is at rest: no request of ours, no job, no tile on its way."""
        self.page.wait_for_timeout(600)  # a control's change goes through the server and back
        expect(self.page.locator(".srcube")).to_have_attribute(
            "aria-busy", "false", timeout=PATIENCE_MS
        )
        self.page.wait_for_timeout(300)  # tiles fade in

    def caption(self, side: str) -> Locator:
        """The label at the top of a side."""
        return self.page.locator(f".srcube .caption.{side}")

    def choose(self, control: str, option: str, *, nth: int = 0) -> None:
        """Pick an option of a select in the sidebar."""
        self.page.get_by_role("combobox", name=control).nth(nth).click()
        self.page.get_by_role("menuitem", name=option).click()

    @property
    def handle(self) -> Locator:
        """The swipe handle."""
        return self.page.get_by_role("slider", name="Divide")

    @property
    def cut(self) -> tuple[float, float]:
        """Screen position of the middle of the handle's line."""
        box = self.handle.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, *, to_x: float) -> None:
        """Drag the handle with the mouse."""
        x, y = self.cut
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move((x + to_x) / 2, y + 20, steps=3)
        self.page.mouse.move(to_x, y, steps=3)
        self.page.mouse.up()

    def screen(self) -> Pixels:
        """What is on the screen: (height, width, 3)."""
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return np.asarray(image, dtype=np.int16)

    def degrees(
        self, place: tuple[float, float, int], part: tuple[slice, slice]
    ) -> tuple[Degrees, Degrees]:
        """Longitude and latitude of each pixel of a part (rows, columns) of the screen.

        `place` is latitude, longitude and zoom of the map's middle; Web Mercator's formula alone.
        """
        box = self.page.locator(".srcube .map").bounding_box()
        assert box is not None
        lat, lon, zoom = place
        world = 256 * 2**zoom
        sine = np.sin(np.radians(lat))
        x = world * (lon + 180) / 360
        y = world * (0.5 - np.log((1 + sine) / (1 - sine)) / (4 * np.pi))
        # The picture begins at a whole pixel of the world, as that of every map of this kind.
        rows, cols = np.mgrid[part] + 0.5
        xs = cols - box["x"] + round(x - box["width"] / 2)
        ys = rows - box["y"] + round(y - box["height"] / 2)
        return 360 * xs / world - 180, np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * ys / world))))

    def place(self) -> tuple[float, float, int]:
        """Latitude, longitude and zoom of the map's middle, as the page's address has them."""
        words = parse_qs(urlsplit(self.page.url).fragment)
        lat, lon = (float(words[key][0]) for key in ("lat", "lon"))
        return lat, lon, int(words["zoom"][0])

    def strip(self, *, offset_px: int, width_px: int = 120, height_px: int = 100) -> Pixels:
        """The picture from `offset_px` right (negative: left) of the handle's line on."""
        x, y = self.cut
        left, top = round(x) + offset_px, round(y) - height_px // 2
        screen = self.screen()
        strip = screen[top : top + height_px, left : left + width_px]
        assert strip.shape == (height_px, width_px, 3), "the strip reaches beyond the screen"
        return strip

    def strips(self) -> tuple[Pixels, Pixels]:
        """The picture on the left and on the right of the handle."""
        return self.strip(offset_px=-GRIP_PX - 120), self.strip(offset_px=GRIP_PX)


def column_edges(strip: Pixels) -> float:
    """How many steps from column to column hold nine tenths of a row's change, in the mean.

    Pixels drawn as large squares change only where a square begins; the tenth left out is what
    compressing the tiles adds everywhere.
    """
    change = np.sort((np.diff(strip, axis=1) ** 2).sum(axis=2), axis=1)[:, ::-1]
    share = np.cumsum(change, axis=1) / np.maximum(change.sum(axis=1, keepdims=True), 1)
    return float((share < 0.9).sum(axis=1).mean() + 1)


def colourfulness(strip: Pixels) -> float:
    """Mean difference between the strongest and the weakest channel; 0 for grey."""
    return float((strip.max(axis=2) - strip.min(axis=2)).mean())


def difference(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference of two pictures, in grey levels."""
    return float(np.abs(one - other).mean())
