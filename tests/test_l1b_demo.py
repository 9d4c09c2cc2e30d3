"""The demo's level 1B collection: two detectors, one place, a truth that the first one saw."""

from pathlib import Path

import httpx
import numpy as np

from datacube import Product
from datacube.catalog import Catalog
from datacube.demo_l1b import build_overlap
from datacube.scene import reflectance_from_dn
from datacube.settings import Settings
from datacube.store.storage import open_storage
from datacube.window import Window
from tests.conftest import serving
from tests.scenes import new_cube, pixels, scene


def test_the_demo_has_two_unregistered_views_of_one_place(tmp_path: Path) -> None:
    catalog = Catalog(open_storage(str(tmp_path)))
    build_overlap(catalog, "l1b", shape=(72, 90))
    cube = catalog.open("l1b")
    assert cube.attributes["processing:level"] == "L1B"
    assert "not registered" in cube.attributes["notice"]
    assert len(cube.scenes) == cube.attributes["demo_scenes"] == 2
    whole = Window(0, 0, *cube.grid.shape)
    views = [
        reflectance_from_dn(cube.window_dn(one.slot, ("B03",), whole))[0] for one in cube.scenes
    ]
    assert 0.5 < np.corrcoef(views[0].ravel(), views[1].ravel())[0, 1] < 0.999
    truth = Product.open(cube, "truth")
    assert truth.factor == 2
    assert truth.has_block(cube.scenes[0].slot, (0, 0))


def test_level_1b_is_listed_last_and_its_own_model_first(tmp_path: Path) -> None:
    """A first look falls on registered ground, even where an id comes later in the alphabet."""
    catalog = Catalog(open_storage(str(tmp_path)))
    build_overlap(catalog, "l1b", shape=(72, 90))
    new_cube(tmp_path, cube_id="registered").append(scene(1), pixels(1))
    with serving(Settings(data=str(tmp_path))) as url:
        found = httpx.get(f"{url}/collections").raise_for_status().json()["collections"]
    assert [one["id"] for one in found if one["layers"]] == ["registered", "l1b"]
    layers = {one["id"]: one["layers"] for one in found}
    super_resolved = {
        name: next(layer for layer in layers[name] if layer["id"] == "sr")
        for name in ("registered", "l1b")
    }
    assert super_resolved["l1b"]["default_model"] == "rec-x2"
    assert super_resolved["registered"]["default_model"] == "default-x4"
