"""A catalog of which a part cannot be read: the page shows the rest, and names what is missing."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from datacube import Catalog, open_storage
from datacube.demo import build_simulated
from datacube.settings import Settings
from tests.browser import PATIENCE_MS, Visitor, chromium
from tests.conftest import SIZE, serving
from tests.scenes import new_cube, pixels, scene
from tests.test_broken_cubes import damage

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")


def test_the_page_shows_what_can_be_read_and_names_the_rest(tmp_path: Path) -> None:
    build_simulated(Catalog(open_storage(tmp_path)), "simulated", size=SIZE)
    for name in ("lost", "torn"):
        new_cube(tmp_path, cube_id=name).append(scene(1), pixels(1))
        damage(tmp_path, name)
    with serving(Settings(data=str(tmp_path), port=0, limit_blocks=16)) as url, chromium() as own:
        visitor = Visitor(own.new_context().new_page(), url)
        visitor.open()
        expect(visitor.caption("left")).to_contain_text("Sentinel-2")
        alert = visitor.page.get_by_role("alert").filter(has_text="lost, torn")
        expect(alert).to_be_visible(timeout=PATIENCE_MS)
        expect(alert).to_contain_text("stored data are damaged")
        assert visitor.complaints == []
