"""The explorer for people who do not use a mouse or do not see well: axe-core in every state."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser import PATIENCE_MS, Visitor, chromium

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")
SERIOUS = ("serious", "critical")


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def barriers(visitor: Visitor) -> list[str]:
    """What axe-core finds that keeps people out, one line an element."""
    found = Axe().run(visitor.page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def states_of_search(visitor: Visitor) -> dict[str, list[str]]:
    """The search with results, and with one of them marked; it is closed again."""
    visitor.page.get_by_role("button", name="Search a place", exact=True).click()
    field = visitor.page.get_by_role("combobox", name="Place, coordinates")
    field.fill("simul")
    expect(visitor.page.get_by_role("option").first).to_be_visible()
    found = {"search": barriers(visitor)}
    field.press("ArrowDown")
    found["search, marked"] = barriers(visitor)
    field.press("Escape")
    field.press("Escape")
    return found


def difference_of(visitor: Visitor) -> Visitor:
    """Chosen by its link: on a phone the controls lie in a drawer."""
    link = re.sub(r"right\.layer=\w+", "right.layer=difference", visitor.page.url)
    visitor.page.evaluate("link => location.assign(link)", link)
    title = visitor.caption("right").locator("strong")
    expect(title).to_contain_text("minus", timeout=PATIENCE_MS)
    visitor.settle()
    return visitor


@pytest.mark.parametrize(
    ("width", "theme"), [(1280, "light"), (1280, "dark"), (390, "light")], ids=str
)
def test_no_state_of_the_page_has_a_serious_barrier(
    browser: Browser, live_server: str, width: int, theme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 760}, reduced_motion="reduce")
    visitor = Visitor(context.new_page(), live_server, returning=theme == "dark")
    visitor.open()
    found = {"opening": barriers(visitor)}
    if theme == "dark":
        visitor.page.get_by_role("button", name="Toggle theme").click()
        visitor.settle()
        found["dark"] = barriers(visitor)
    else:
        visitor.page.get_by_role("button", name="Skip the tour").click()
    for button in visitor.page.locator(".srcube .tools button:visible").all():
        button.click()
        expect(visitor.page.locator(".srcube .dock")).to_be_visible()
        visitor.settle()
        found[str(button.get_attribute("aria-label"))] = barriers(visitor)
        visitor.page.keyboard.press("Escape")
        expect(button).to_be_focused()
    found |= states_of_search(visitor)
    found["difference"] = barriers(difference_of(visitor))
    visitor.page.get_by_role("button", name="Why does it look like this?").click()
    found["why"] = barriers(visitor)
    assert {state: those for state, those in found.items() if those} == {}
    context.close()
