"""All STAC documents of a cube as files that link to each other: a static catalog.

collection.json, <scene>.json, <product>/collection.json, <product>/<scene>-<product>.json,
<product>/model.json
"""

import json
import os
from pathlib import Path

from datacube.cube import Cube
from datacube.product import Product
from datacube.stac.describe import (
    Document,
    cube_collection,
    flat_name,
    model_item,
    product_collection,
    product_item,
    scene_item,
)
from datacube.store.layout import BLOCK_PX
from datacube.store.storage import LocalStorage
from datacube.window import Window


def cube_documents(cube_id: str, cube: Cube, *, base: str = ".") -> dict[str, Document]:
    """Every document by its relative path; `base` is the cube's address as seen from the top.

    An item of a product is there for each scene of which a block was computed.
    """
    found: dict[str, Document] = {"collection.json": cube_collection(cube_id, cube, base=base)}
    for one in cube.scenes:
        found[f"{one.scene.scene_id}.json"] = scene_item(cube_id, cube, one, base=base)
    below = base if "://" in base or base.startswith("/") else f"../{base}"
    for path in cube.root.commit.products:
        product, folder = Product.open(cube, path), flat_name(path)
        collection = product_collection(cube_id, product, base=below)
        found[f"{folder}/collection.json"] = collection
        model = model_item(cube_id, product, base=below)
        if model:
            found[f"{folder}/model.json"] = model
            collection["links"].append(_item_link("./model.json"))
        for one in cube.scenes:
            if _has_block(product, one.slot):
                item = product_item(cube_id, product, one, base=below)
                found[f"{folder}/{item['id']}.json"] = item
                collection["links"].append(_item_link(f"./{item['id']}.json"))
    return found


def write_documents(cube_id: str, cube: Cube, folder: Path) -> list[Path]:
    """Write the static catalog of a cube; hrefs are relative where the cube is a local folder."""
    base = cube.storage.address
    if isinstance(cube.storage, LocalStorage):
        base = Path(os.path.relpath(base, folder)).as_posix()
    written = []
    for name, document in cube_documents(cube_id, cube, base=base).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2), "utf-8")
        written.append(path)
    return written


def _has_block(product: Product, slot: int) -> bool:
    whole = Window(0, 0, *product.cube.grid.shape)
    return any(product.has_block(slot, block) for block in whole.cells(BLOCK_PX))


def _item_link(href: str) -> dict[str, str]:
    return {"rel": "item", "href": href, "type": "application/geo+json"}
