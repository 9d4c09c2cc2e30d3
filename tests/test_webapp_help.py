"""A first visit: the tour, the help that brings it back, and the language of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import Visitor, chromium
from webapp.words import language_of
from webapp.words.german import GERMAN

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_the_tour_comes_once_and_again_when_asked_for(browser: Browser, live_server: str) -> None:
    context = browser.new_context(viewport={"width": 1000, "height": 640})
    visitor = Visitor(context.new_page(), live_server, returning=False)
    visitor.open()
    card = visitor.page.get_by_role("region", name="Take the tour")
    expect(card).to_contain_text("Step 1 of 3")
    expect(visitor.caption("left")).to_contain_text("Super-resolved")
    expect(visitor.caption("right")).to_contain_text("Truth")
    expect(visitor.page.locator(".srcube .grip")).to_have_class("grip pointed")
    visitor.page.keyboard.press("Enter")  # the button that leads on has the focus
    visitor.page.keyboard.press("Enter")
    expect(card).to_contain_text("Step 3 of 3")
    card.get_by_role("button", name="Done").click()
    expect(card).to_be_hidden()
    expect(visitor.page.locator(".srcube .pointed")).to_have_count(0)

    visitor.open()
    expect(card).to_be_hidden()
    expect(visitor.caption("left")).to_contain_text("Sentinel-2")
    visitor.page.get_by_role("button", name="Help").click()
    visitor.page.get_by_role("button", name="Take the tour").click()
    expect(card).to_contain_text("Step 1 of 3")
    card.get_by_role("button", name="Skip the tour").click()
    expect(card).to_be_hidden()
    assert visitor.complaints == []
    context.close()


def test_the_page_speaks_the_language_of_the_browser_and_the_one_chosen(
    browser: Browser, live_server: str
) -> None:
    context = browser.new_context(viewport={"width": 1000, "height": 640}, locale="de-AT")
    page = context.new_page()
    visitor = Visitor(page, live_server)
    visitor.open()
    expect(page.get_by_role("button", name=GERMAN["run"])).to_be_visible()
    page.get_by_role("button", name=GERMAN["help_title"]).click()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("button", name="Super-resolve this view")).to_be_visible()
    context.close()


@pytest.mark.parametrize(
    ("asked", "accepted", "spoken"),
    [
        (None, "", "en"),
        (None, "fr-FR,de;q=0.7,en;q=0.3", "de"),
        ("en", "de", "en"),
        ("xx", "de-CH", "de"),
        ("", ";;,,", "en"),
    ],
)
def test_language_is_the_one_asked_for_else_the_first_known(
    asked: str | None, accepted: str, spoken: str
) -> None:
    assert language_of(asked, accepted) == spoken
