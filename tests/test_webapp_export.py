"""A person takes the comparison along: picture, films, files, addresses, Python."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from playwright.sync_api import Download, Locator, ViewportSize, expect

from datacube import Catalog, Window, open_storage
from tests.browser import GRIP_PX, PATIENCE_MS, Pixels, Visitor, chromium, difference

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1200, height=640)
FOOT_MARGIN_PX, LINE_PX = 10, 17  # of what is written beneath a picture


@pytest.fixture(scope="module")
def visitor(fresh_server: str) -> Iterator[Visitor]:
    """One person with the dock open on the tool; nothing was complained about at the end."""
    with chromium() as browser:
        context = browser.new_context(viewport=SCREEN)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        arrived = Visitor(context.new_page(), fresh_server)
        arrived.open()
        arrived.page.get_by_role("button", name="Share and export").click()
        arrived.settle()
        yield arrived
        assert arrived.complaints == []


def dock(visitor: Visitor) -> Locator:
    return visitor.page.locator(".srcube .dock")


def saved(visitor: Visitor, button: str, *, count: int = 1) -> list[Path]:
    """The files that a button saves; the page says so."""
    downloads: list[Download] = []

    def note(download: Download) -> None:
        downloads.append(download)

    visitor.page.on("download", note)
    dock(visitor).get_by_role("button", name=button, exact=True).click()
    expect(dock(visitor).locator(".status")).to_contain_text("Saved", timeout=PATIENCE_MS)
    visitor.settle()
    visitor.page.remove_listener("download", note)
    assert len(downloads) == count
    return [one.path() for one in downloads]


def test_the_picture_is_what_was_on_the_screen_with_a_foot(visitor: Visitor) -> None:
    (path,) = saved(visitor, "Save PNG")
    image = np.asarray(Image.open(path).convert("RGB"), dtype=np.int16)
    left, top, width, height = map_box(visitor)
    seen = visitor.screen()[top : top + height, left : left + width]
    assert image.shape[1] == width
    cut = round(visitor.cut[0]) - left
    for part in (slice(90, cut - GRIP_PX), slice(cut + GRIP_PX, cut + 170)):
        assert difference(image[120:400, part], seen[120:400, part]) < 1
    line = slice(cut - 10, cut + 10)  # and the grip, whose rim is drawn a little otherwise
    assert difference(image[120:400, line], seen[120:400, line]) < 5
    label = visitor.caption("right").bounding_box()
    assert label is not None
    rows = slice(round(label["y"]) - top, round(label["y"] + label["height"]) - top)
    columns = slice(round(label["x"]) - left, round(label["x"] + label["width"]) - left)
    assert difference(image[rows, columns], seen[rows, columns]) < 6
    assert len(image) - height > 60
    lines = foot_lines(image, height)
    assert len(lines) >= 6  # place, both sides with their dates, notice, credit, what made it
    assert min(line.sum() for line in lines) > 100  # there are words in each


def foot_lines(image: Pixels, height: int) -> list[NDArray[np.bool_]]:
    """Where there is ink in each line of the foot beneath a map so high."""
    foot = image[height:]
    ink = np.abs(foot - foot[0, 0]).max(axis=2) > 100
    lines = range(FOOT_MARGIN_PX, len(foot) - FOOT_MARGIN_PX, LINE_PX)
    return [ink[top : top + LINE_PX] for top in lines]


def other_date(visitor: Visitor) -> None:
    """Choose the other one of the two dates; both sides show it then."""
    before = visitor.caption("left").locator(".date").inner_text()
    slider = visitor.page.get_by_role("slider", name="Date")
    slider.focus()
    first = slider.get_attribute("aria-valuenow") == "0"
    visitor.page.keyboard.press("ArrowRight" if first else "ArrowLeft")
    expect(visitor.caption("left").locator(".date")).not_to_have_text(before)
    visitor.settle()


def test_the_foot_of_a_picture_names_the_date_that_is_shown(visitor: Visitor) -> None:
    visitor.choose("Right of the handle", "Scene classification")  # is there on every date
    visitor.settle()
    height = map_box(visitor)[3]
    feet = []
    for _ in range(3):  # one date, the other, and the first again
        (path,) = saved(visitor, "Save PNG")
        image = np.asarray(Image.open(path).convert("RGB"), dtype=np.int16)
        feet.append(foot_lines(image, height))
        other_date(visitor)
    other_date(visitor)
    visitor.choose("Right of the handle", "Super-resolved")
    visitor.settle()
    first, second, again = feet
    changed = [bool((one != two).any()) for one, two in zip(first, second, strict=True)]
    assert changed == [False, True, True, *[False] * (len(first) - 3)]  # the lines of either side
    assert all((one == two).all() for one, two in zip(first, again, strict=True))


@pytest.mark.parametrize("mode", ["Lens", "Difference"])
def test_the_picture_follows_the_mode_of_comparing(visitor: Visitor, mode: str) -> None:
    visitor.page.get_by_role("radio", name=mode).check()
    visitor.settle()
    box = visitor.page.locator(".srcube .map").bounding_box()
    assert box is not None
    left, top = round(box["x"]), round(box["y"])
    (path,) = saved(visitor, "Save PNG")
    image = np.asarray(Image.open(path).convert("RGB"), dtype=np.int16)
    part = slice(90, 400), slice(60, image.shape[1] - 60)
    seen = visitor.screen()[top:, left : left + image.shape[1]]
    assert difference(image[part], seen[part]) < 2
    visitor.page.get_by_role("radio", name="Swipe").check()
    visitor.settle()
    assert difference(image[part], visitor.screen()[top:, left : left + image.shape[1]][part]) > 3


def frames_of(path: Path) -> list[Pixels]:
    """Every frame of a GIF as it is shown: (height, width, 3)."""
    with Image.open(path) as film:
        shown = [one.convert("RGB") for one in ImageSequence.Iterator(film)]
    return [np.asarray(one, dtype=np.int16) for one in shown]


def test_the_swipe_as_a_film_goes_over_and_back(visitor: Visitor) -> None:
    (path,) = saved(visitor, "The swipe")
    with Image.open(path) as film:
        assert film.info["loop"] == 0
    frames = frames_of(path)
    assert len(frames) == 24
    assert frames[0].shape[1] <= 720
    middle = slice(100, 280), slice(200, 400)
    assert difference(frames[0][middle], frames[12][middle]) > 2  # one layer, then the other
    assert difference(frames[3], frames[-3]) < 0.01


def test_the_dates_of_a_side_as_a_film(visitor: Visitor) -> None:
    (path,) = saved(visitor, "Dates of the left side")
    first, second = frames_of(path)
    assert difference(first[150:300], second[150:300]) > 0.5
    height = map_box(visitor)[3]
    lines = [foot_lines(one, height) for one in (first, second)]
    assert min(line.sum() for line in lines[0]) > 100
    changed = [int((one != two).sum()) for one, two in zip(*lines, strict=True)]
    assert changed[1] > 20  # the date of the side
    assert sum(changed) == changed[1]  # place, notice, credit and name stay


def test_date_and_scale_bar_are_burnt_into_a_film_as_they_are_on_the_page(visitor: Visitor) -> None:
    (path,) = saved(visitor, "Dates of the left side")
    frames = frames_of(path)
    date = visitor.caption("left").locator(".date")
    bar = visitor.page.locator(".srcube .leaflet-control-scale-line")
    seen = part_of(visitor.screen(), visitor, date, screen=True)
    shown, other = sorted(difference(part_of(one, visitor, date), seen) for one in frames)
    assert shown < 6  # a GIF has fewer colours
    assert other > shown + 3
    for one in frames:
        ink = part_of(one, visitor, bar).max(axis=2) < 90
        assert ink.mean() > 0.05  # its ends, its line and its number


def map_box(visitor: Visitor) -> tuple[int, int, int, int]:
    """Left, top, width and height of the map on the screen."""
    box = visitor.page.locator(".srcube .map").bounding_box()
    assert box is not None
    left, top, width, height = (round(box[key]) for key in ("x", "y", "width", "height"))
    return left, top, width, height


def part_of(image: Pixels, visitor: Visitor, what: Locator, *, screen: bool = False) -> Pixels:
    """Where something stands on the page, of the screen or of a picture of the map."""
    box = what.bounding_box()
    assert box is not None
    left, top = (0, 0) if screen else map_box(visitor)[:2]
    x, y = round(box["x"]) - left, round(box["y"]) - top
    return image[y : y + round(box["height"]), x : x + round(box["width"])]


def test_a_film_as_mp4(visitor: Visitor) -> None:
    dock(visitor).get_by_label("Format").select_option("mp4")
    (path,) = saved(visitor, "Dates of the left side")
    dock(visitor).get_by_label("Format").select_option("gif")
    film = cv2.VideoCapture(str(path))
    seen = []
    while (found := film.read())[0]:
        seen.append(found[1].astype(np.int16))
    assert len(seen) > 20  # a frame that stays is there again and again
    assert difference(seen[2][150:300], seen[-2][150:300]) > 0.5


def test_a_film_of_one_date_is_refused_in_words(visitor: Visitor) -> None:
    dock(visitor).get_by_role("button", name="Dates of the right side").click()
    expect(dock(visitor).locator(".status")).to_contain_text("There are not two dates")
    visitor.settle()


def test_files_of_both_sides_overlay_and_hold_the_numbers_of_the_cube(
    visitor: Visitor, demo_catalog: Path
) -> None:
    left, right = saved(visitor, "Save both", count=2)
    cube = Catalog(open_storage(demo_catalog)).open("simulated")
    with rasterio.open(left) as lr, rasterio.open(right) as sr:
        assert (lr.crs, lr.transform, lr.shape) == (sr.crs, sr.transform, sr.shape)
        assert lr.res == (2.5, 2.5)
        date = visitor.caption("left").locator(".date").inner_text()
        scene = next(one for one in cube.scenes if one.scene.stamp.startswith(date))
        bands = tuple(one.name for one in cube.bands)
        rows, cols = cube.grid.pixel_coordinates(
            x=np.array([lr.bounds.left]), y=np.array([lr.bounds.top])
        )
        row, col = round(float(rows[0])), round(float(cols[0]))
        window = Window(row, col, lr.height // 4, lr.width // 4)
        measured = cube.window_dn(scene.slot, bands, window)
        assert (lr.read() == measured.repeat(4, 1).repeat(4, 2)).all()
        assert (sr.read(1) > 0).mean() > 0.5


def test_the_addresses_answer_as_qgis_would_ask(visitor: Visitor) -> None:
    template = dock(visitor).get_by_label("XYZ, right", exact=True).input_value()
    west, south, east, north = httpx.get(
        f"{visitor.base_url}/collections/simulated/layers/lr/WebMercatorQuad/tilejson.json"
    ).json()["bounds"]
    zoom, lon, lat = 15, (west + east) / 2, (south + north) / 2
    x = int((lon + 180) / 360 * 2**zoom)
    y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
    asked = template.replace("{z}", str(zoom)).replace("{x}", str(x)).replace("{y}", str(y))
    tile = httpx.get(asked)
    assert tile.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(tile.content)).size == (256, 256)
    capabilities = httpx.get(dock(visitor).get_by_label("WMTS, all layers", exact=True)
                             .input_value())  # fmt: skip
    assert "<Capabilities" in capabilities.text


def test_the_lines_of_python_run(visitor: Visitor) -> None:
    code = dock(visitor).locator("textarea").input_value()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    measured, inferred, shapes = run.stdout.strip().splitlines()
    assert measured.startswith("scene ")
    assert inferred.startswith("inferred, not measured")
    one, other = shapes.split(") (")
    assert one.strip("()") == other.strip("()")


def test_what_is_copied_is_in_the_clipboard(visitor: Visitor) -> None:
    dock(visitor).get_by_role("button", name="Copy: Link to what you see").click()
    expect(dock(visitor).locator(".status")).to_contain_text("Copied")
    held = visitor.page.evaluate("navigator.clipboard.readText()")
    assert held.startswith(f"{visitor.base_url}/explorer")
