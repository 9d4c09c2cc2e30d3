"""A first visit: the tour, the help that brings it back, and the language of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import Visitor, chromium
from webapp.words import language_of
from webapp.words.english import ENGLISH
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


def english_on(page: Page) -> set[str]:
    """Words of the English catalogue that are seen, or read out, on a page in another language."""
    said = set(page.evaluate(SAID))
    return said & {text for key, text in ENGLISH.items() if GERMAN[key] != text}


# Every text and every name for a screen reader, within shadow roots, too.
SAID = """() => {
  const said = [];
  const read = (root) => {
    for (const one of root.querySelectorAll("*")) {
      if (["SCRIPT", "STYLE"].includes(one.tagName)) continue;
      for (const name of ["aria-label", "title", "placeholder"]) said.push(one.getAttribute(name));
      for (const node of one.childNodes) {
        if (node.nodeType === Node.TEXT_NODE) said.push(node.textContent.trim());
      }
      if (one.shadowRoot) read(one.shadowRoot);
    }
  };
  read(document);
  return said.filter(Boolean);
}"""


def test_the_page_speaks_the_language_of_the_browser_and_the_one_chosen(
    browser: Browser, live_server: str
) -> None:
    context = browser.new_context(viewport={"width": 1000, "height": 640}, locale="de-AT")
    page = context.new_page()
    visitor = Visitor(page, live_server)
    visitor.open()
    expect(page.get_by_role("button", name=GERMAN["run"])).to_be_visible()
    expect(visitor.caption("right")).to_contain_text(GERMAN["layer_sr"])
    assert english_on(page) == set()
    for tool in page.locator(".srcube [data-tool]:visible").all():
        tool.click()
        visitor.settle()
        assert english_on(page) == set(), tool.get_attribute("data-tool")
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
