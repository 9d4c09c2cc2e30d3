"""Take the README's picture from the running page: `make picture`.

Builds the demo if it is not there, serves it, opens the explorer in Chromium, waits until the
view is super-resolved, and writes what a visitor sees.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from datacube import Catalog, open_storage
from datacube.demo import build_demo
from datacube.settings import Settings
from tests.browser import FLAGS
from tests.conftest import serving
from tests.tools.debian import chromium

TARGET = Path(__file__).resolve().parents[2] / "notebooks/images/explorer.jpg"
WIDTH, HEIGHT = 1440, 810
READY = "All "  # the page's line about the view begins so when every block is there


def main() -> None:
    """Write the picture, or say what is missing."""
    program = chromium()
    if program is None:
        sys.exit("picture: no Chromium; install it: apt-get install chromium")
    settings = Settings.from_environment(port=0)
    build_demo(Catalog(open_storage(settings.data)), print)
    with serving(settings) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.add_init_script("localStorage.setItem('srcube-tour-seen', 'yes')")
        page.goto(url + "/explorer")
        page.get_by_text(READY).first.wait_for(timeout=60_000)
        page.get_by_role("button", name="Trust", exact=True).click()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(1500)  # the last tiles fade in
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(TARGET), type="jpeg", quality=85)
        browser.close()
    print(f"picture: {TARGET.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
