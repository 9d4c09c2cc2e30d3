"""The demo's level 1B collection: two detectors, one place, a truth that the first one saw."""

from pathlib import Path

import numpy as np

from datacube import Product
from datacube.catalog import Catalog
from datacube.demo_l1b import build_overlap
from datacube.scene import reflectance_from_dn
from datacube.store.storage import open_storage
from datacube.window import Window


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
