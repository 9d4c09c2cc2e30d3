"""The explorer for people who do not use a mouse or do not see well: axe-core in every state."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from datacube.settings import Settings
from server.local import LocalServer
from tests.browser import PATIENCE_MS, Visitor, chromium
from tests.test_webapp_slow import Gate
from webapp.words.german import GERMAN

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")
SERIOUS = ("serious", "critical")
# Of each of those who come, a model that none of the others has anything computed of.
COMERS = {
    (1280, "light"): "wiener-x2",
    (1280, "dark"): "wiener-x4",
    (390, "light"): "bicubic-x4",
    (390, "dark"): "default-x2",
}


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(name="gate", scope="module")
def fixture_gate() -> Gate:
    """Holds back what a server tells of its jobs: while it is shut, they do not end."""
    gate = Gate("/events")
    gate.opened.set()
    return gate


@pytest.fixture(name="url", scope="module")
def fixture_url(fresh_catalog: Path, gate: Gate) -> Iterator[str]:
    settings = Settings(data=str(fresh_catalog), port=0, limit_blocks=16)
    with LocalServer(settings, gate.make_app) as server:
        yield server.url


def barriers(visitor: Visitor) -> list[str]:
    """What axe-core finds that keeps people out, one line an element."""
    found = Axe().run(visitor.page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


# Each of these brings the page into one state after the other, and says its name when it is there.


def opening(visitor: Visitor, theme: str) -> Iterator[str]:
    visitor.open()
    yield "opening"
    if theme == "dark":
        visitor.page.get_by_role("button", name="Toggle theme").click()
        visitor.settle()
        yield "dark"
    else:
        visitor.page.get_by_role("button", name="Skip the tour").click()


def tools(visitor: Visitor) -> Iterator[str]:
    for button in visitor.page.locator(".srcube .tools button:visible").all():
        name = str(button.get_attribute("aria-label"))
        button.click()
        expect(visitor.page.locator(".srcube .dock")).to_be_visible()
        visitor.settle()
        yield name
        visitor.page.keyboard.press("Escape")
        expect(button).to_be_focused()


def search(visitor: Visitor) -> Iterator[str]:
    """With results, and with one of them marked; it is closed again."""
    visitor.page.get_by_role("button", name="Search a place", exact=True).click()
    field = visitor.page.get_by_role("combobox", name="Place, coordinates")
    field.fill("simul")
    expect(visitor.page.get_by_role("option").first).to_be_visible()
    yield "search"
    field.press("ArrowDown")
    yield "search, marked"
    field.press("Escape")
    field.press("Escape")


def comparing(visitor: Visitor) -> Iterator[str]:
    for mode in ("Lens", "Opacity", "Blink", "Difference", "Swipe"):
        visitor.page.get_by_role("radio", name=mode, exact=True).check(force=True)
        visitor.settle()
        yield mode


def changed(visitor: Visitor, **words: str) -> None:
    """Have the address say something else: on a phone the controls lie in a drawer."""
    link = visitor.page.url
    for key, value in words.items():
        name = key.replace("_", ".", 1)
        link = re.sub(rf"&{re.escape(name)}=[^&]*", "", link) + (
            f"&{name}={value}" if value else ""
        )
    visitor.page.evaluate("link => location.assign(link)", link)


def legends(visitor: Visitor) -> Iterator[str]:
    changed(visitor, left_index="NDVI", right_index="NDVI")
    expect(visitor.caption("left").locator(".legend")).to_be_visible(timeout=PATIENCE_MS)
    visitor.settle()
    yield "index"
    changed(visitor, left_index="", right_index="", right_layer="quality")
    expect(visitor.caption("right").locator(".legend .ends")).not_to_have_count(1)
    visitor.settle()
    yield "flags"
    changed(visitor, right_layer="difference")
    expect(visitor.caption("right").locator("strong")).to_contain_text("minus")
    visitor.settle()
    yield "difference of two layers"
    changed(visitor, right_layer="sr")
    expect(visitor.caption("right").locator("strong")).to_contain_text("Super-resolved")
    visitor.settle()


def why(visitor: Visitor) -> Iterator[str]:
    button = visitor.page.get_by_role("button", name="Why does it look like this?")
    button.click()
    yield "why"
    visitor.page.locator(".srcube .map").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator(".srcube .why .pictures")).to_be_visible()
    visitor.settle()
    yield "why, answered"
    visitor.page.keyboard.press("Escape")
    expect(button).to_be_focused()


def job(visitor: Visitor, gate: Gate, model: str) -> Iterator[str]:
    gate.opened.clear()
    changed(visitor, right_model=model)
    expect(visitor.page.locator(".srcube .job")).to_be_visible()
    yield "job"
    gate.opened.set()
    visitor.settle()


def troubles(visitor: Visitor) -> Iterator[str]:
    changed(visitor, right_model="no-such-model")
    said = visitor.page.get_by_text("This link asks for what is not here")
    expect(said.filter(visible=True).first).to_be_visible()
    visitor.settle()
    yield "alert"
    visitor.page.route("**/tiles/**", lambda route: route.abort())
    visitor.page.get_by_role("button", name="Zoom in").click()
    lost = visitor.page.get_by_text("The connection to the server is lost")
    expect(lost).to_be_visible()
    yield "connection lost"
    visitor.page.unroute("**/tiles/**")
    expect(lost).to_be_hidden(timeout=PATIENCE_MS)


def arrivals(visitor: Visitor) -> Iterator[str]:
    visitor.follow(f"{visitor.base_url}/explorer?lang=de")
    expect(visitor.caption("right")).to_contain_text(GERMAN["layer_sr"])
    yield "German"
    visitor.follow(f"{visitor.base_url}/explorer?embed=1#collection=simulated&left.model=none")
    yield "embedded"


@pytest.mark.parametrize(("width", "theme"), COMERS, ids=str)
def test_no_state_of_the_page_has_a_serious_barrier(
    browser: Browser, url: str, gate: Gate, width: int, theme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 760}, reduced_motion="reduce")
    visitor = Visitor(context.new_page(), url, returning=theme == "dark")
    states = chain(
        opening(visitor, theme),
        tools(visitor),
        search(visitor),
        comparing(visitor),
        legends(visitor),
        why(visitor),
        job(visitor, gate, COMERS[width, theme]),
        troubles(visitor),
        arrivals(visitor),
    )
    found = {state: barriers(visitor) for state in states}
    assert len(found) >= 22
    assert {state: those for state, those in found.items() if those} == {}
    context.close()
