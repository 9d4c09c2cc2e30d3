"""Cubes, products and files as STAC 1.1 documents, from what they record of themselves.

Extensions: projection 2.0, eo 2.0, raster 2.0, datacube 2.2, processing 1.2, and mlm 1.4 for the
model behind a product. `base` is the address of the cube's folder as the reader of the document
sees it; hrefs stay relative where it is `.`.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from datacube.cube import CommittedScene, Cube
from datacube.grid import Grid, projection_attributes
from datacube.product import Product
from datacube.provenance import scene_record, software_record
from datacube.scene import Scene
from datacube.stac.footprint import footprint_of
from datacube.stac.parts import (
    COG,
    DATACUBE,
    EO,
    MLM,
    PROCESSING,
    PROJECTION,
    RASTER,
    STAC_VERSION,
    ZARR,
    Document,
    band_documents,
    dimensions,
    pixels,
    place_of,
    providers,
    understood,
)
from datacube.store.conventions import level_name
from datacube.store.layout import MEASUREMENT

__all__ = [
    "MLM", "STAC_VERSION", "ZARR", "Document", "band_documents", "cube_collection", "file_item",
    "flat_name", "model_item", "model_properties", "plane_asset", "product_collection",
    "product_item", "scene_item",
]  # fmt: skip


def cube_collection(cube_id: str, cube: Cube, *, base: str = ".") -> Document:
    """A cube as a collection whose items are its scenes."""
    extra = {"description": cube.attributes["description"] or cube.attributes["title"]}
    if cube.attributes.get("notice"):
        extra["description"] += f" Notice: {cube.attributes['notice']}"
    document = _collection(cube_id, cube, cube.grid, [band.name for band in cube.bands], extra)
    path = f"{MEASUREMENT}/{level_name(cube.grid.gsd_m)}"
    asset = _asset(f"{base}/{path}", "The measured pixels")
    document["assets"] = {"measurement": asset | {"bands": document["bands"]}}
    if cube.has_scl:
        axes = ["time", "y", "x"]
        document["cube:variables"]["scl"] = {"type": "data", "dimensions": axes}
    for one in cube.scenes:
        document["links"].append(_link("item", f"./{one.scene.scene_id}.json"))
    for product in cube.root.commit.products:
        document["links"].append(_link("child", f"./{flat_name(product)}/collection.json"))
    return document


def scene_item(cube_id: str, cube: Cube, one: CommittedScene, *, base: str = ".") -> Document:
    """One scene of a cube as an item, with an asset for each level of the measurement."""
    names = [band.name for band in cube.bands]
    level = {"processing:level": cube.attributes.get("processing:level", "L2A")}
    item = _item(one.scene.scene_id, one.scene, cube.grid, {**level, **one.scene.properties})
    for grid in cube.levels:
        name = level_name(grid.gsd_m)
        asset = _asset(f"{base}/{MEASUREMENT}/{name}", f"Measured pixels, {grid.gsd_m:g} m")
        item["assets"][name] = asset | pixels(grid, names)
    return _collected(item, cube_id)


def product_collection(cube_id: str, product: Product, *, base: str = ".") -> Document:
    """A product (an inference, or the truth of a simulation) as a collection of its own."""
    inferred = bool(product.attributes.get("inferred"))
    kind = "Inferred, not measured" if inferred else "Not measured"
    text = f"{kind}: {product.path} of cube {cube_id}, grid spacing {product.levels[0].gsd_m:g} m."
    extra: Document = {"description": text, "srcube:inferred": inferred}
    name = f"{cube_id}-{flat_name(product.path)}"
    grid = product.levels[0]
    document = _collection(name, product.cube, grid, list(product.bands), extra)
    address = f"{base}/{product.path}/{level_name(grid.gsd_m)}"
    asset = _asset(address, "The pixels of the product")
    document["assets"] = {"product": asset | {"bands": document["bands"]}}
    document["links"].append(_link("derived_from", "../collection.json"))
    return document


def product_item(
    cube_id: str, product: Product, one: CommittedScene, *, base: str = "."
) -> Document:
    """A product of one scene as an item; the measured scene is what it is derived from."""
    card = product.attributes.get("model_card") or {}
    properties = {
        "processing:level": product.cube.attributes.get("processing:level", "L2A"),
        "processing:lineage": f"made by {card.get('id', product.path)} from {one.scene.scene_id}",
        "srcube:inferred": bool(product.attributes.get("inferred")),
        "srcube:provenance": _provenance(product, one),
        **{key: one.scene.properties[key] for key in ("eo:cloud_cover",)
           if key in one.scene.properties},
    }  # fmt: skip
    name = f"{one.scene.scene_id}-{flat_name(product.path)}"
    item = _item(name, one.scene, product.levels[0], properties)
    for grid in product.levels:
        level = level_name(grid.gsd_m)
        asset = _asset(f"{base}/{product.path}/{level}", f"{product.path}, {grid.gsd_m:g} m")
        item["assets"][level] = asset | pixels(grid, product.bands)
    item["links"].append(_link("derived_from", f"../{one.scene.scene_id}.json"))
    if card:
        item["links"].append(_link("about", "./model.json"))
    return _collected(item, f"{cube_id}-{flat_name(product.path)}")


def _provenance(product: Product, one: CommittedScene) -> Document:
    """The record of the product with the dates that one of its scenes was made from."""
    cube = product.cube
    dates = product.attributes.get("dates", {}).get(one.scene.stamp, [one.scene.stamp])
    inputs = [scene_record(cube, each) for each in cube.scenes if each.scene.stamp in dates]
    return {**(product.attributes.get("provenance") or software_record()), "inputs": inputs}


def model_item(cube_id: str, product: Product, *, base: str = ".") -> Document | None:
    """The model behind a product, in the words of the mlm extension; None where there is none."""
    card = product.attributes.get("model_card")
    if not card or not product.cube.scenes:
        return None
    bands = list(product.bands)
    properties = model_properties(card, bands)
    item = _item(f"{card['id']}-model", product.cube.scenes[0].scene, product.cube.grid, properties)
    item["stac_extensions"] = [MLM, PROJECTION, EO, PROCESSING]
    item["assets"]["card"] = {
        "href": f"{base}/{product.path}/zarr.json",
        "type": "application/json",
        "title": "The model's card, with the digest of its weights, as kept with its pixels",
        "roles": ["mlm:model", "metadata"],
        "mlm:artifact_type": "srcube.card",
        "bands": band_documents(bands),
    }
    return _collected(item, f"{cube_id}-{flat_name(product.path)}")


def model_properties(card: Mapping[str, Any], bands: list[str]) -> Document:
    """What the mlm extension wants to know of a model, from its card."""
    shape = [-1, len(bands), -1, -1]
    tensor = {"shape": shape, "dim_order": ["batch", "channel", "height", "width"],
              "data_type": "float32"}  # fmt: skip
    task = ["super-resolution"]
    return {
        "description": card["description"],
        # What mlm:input refers to must be here for mlm, and in an asset as well for STAC 1.1.
        "bands": band_documents(bands),
        "mlm:name": card["id"],
        "mlm:architecture": card["title"],
        "mlm:framework": "srcube",
        "mlm:tasks": task,
        "mlm:pretrained_source": None if card["training_data"] == "none" else card["training_data"],
        "mlm:input": [{"name": "reflectance", "bands": bands, "input": tensor}],
        "mlm:output": [{"name": "reflectance", "tasks": task, "result": tensor}],
        "mlm:hyperparameters": {"factor": card["factor"], "halo_px": card["halo_px"]},
        "srcube:weights_sha256": card["weights_sha256"],
        "srcube:limits": card["limits"],
    }


def file_item(
    item_id: str,
    scene: Scene,
    assets: Mapping[str, tuple[str, Grid, Iterable[str]]],
    properties: Mapping[str, Any],
) -> Document:
    """An item for COG files: for each asset its href, its grid, and its bands (none: classes)."""
    grid = next(iter(assets.values()))[1]
    item = _item(item_id, scene, grid, properties)
    for key, (href, place, bands) in assets.items():
        names = list(bands)
        roles = ["data", "reflectance"] if names else ["data", "classification"]
        asset: Document = {"href": href, "type": COG, "roles": roles}
        item["assets"][key] = asset | (pixels(place, names) if names else place_of(place))
    return item


def plane_asset(href: str, grid: Grid, attributes: Mapping[str, Any]) -> Document:
    """An asset for the COG of a product's plane, from what the store says of the plane."""
    encoding: Document = {"unit": attributes.get("units", "1")}
    if "scale_factor" in attributes:
        encoding["raster:scale"] = attributes["scale_factor"]
        encoding["raster:offset"] = attributes["add_offset"]
    if "flag_meanings" in attributes:
        encoding = {"description": f"bit flags, from bit 0: {attributes['flag_meanings']}"}
    return {
        "href": href,
        "type": COG,
        "title": attributes["long_name"],
        "roles": ["data"],
        "data_type": "uint16",
        "nodata": attributes["_FillValue"],
        **encoding,
        **place_of(grid),
    }


def _item(item_id: str, scene: Scene, grid: Grid, properties: Mapping[str, Any]) -> Document:
    bbox, geometry = footprint_of(grid)
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [PROJECTION, EO, RASTER, PROCESSING],
        "id": item_id,
        "geometry": geometry,
        "bbox": bbox,
        "properties": {
            **understood(properties),
            **projection_attributes(grid.crs),
            "datetime": scene.stamp,
            "gsd": grid.gsd_m,
            "processing:software": {"srcube": version("srcube")},
        },
        "links": [],
        "assets": {},
    }


def _collection(
    name: str, cube: Cube, grid: Grid, bands: list[str], extra: Mapping[str, Any]
) -> Document:
    stamps = [one.scene.stamp for one in cube.scenes]
    bbox, _ = footprint_of(grid)
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [DATACUBE, PROJECTION, EO, PROCESSING],
        "id": name,
        "title": cube.attributes["title"],
        "license": "other",
        "providers": providers(cube),
        "extent": {
            "spatial": {"bbox": [bbox]},
            "temporal": {"interval": [[stamps[0], stamps[-1]] if stamps else [None, None]]},
        },
        "summaries": {
            "gsd": [grid.gsd_m],
            **{key: [value] for key, value in projection_attributes(grid.crs).items()},
            "processing:level": [cube.attributes.get("processing:level", "L2A")],
        },
        "bands": band_documents(bands),
        "cube:dimensions": dimensions(grid, stamps, bands),
        "cube:variables": {
            "reflectance": {
                "type": "data",
                "dimensions": ["time", "band", "y", "x"],
                "unit": "1",
                "description": "reflectance, CF-encoded",
            }
        },
        "srcube:attribution": cube.attributes["attribution"],
        "srcube:generation": cube.generation,
        "links": [],
        **extra,
    }


def _asset(href: str, title: str) -> Document:
    return {"href": href, "type": ZARR, "title": title, "roles": ["data", "reflectance"]}


def _collected(item: Document, collection: str) -> Document:
    links = [_link("collection", "./collection.json"), _link("parent", "./collection.json")]
    return {**item, "collection": collection, "links": [*links, *item["links"]]}


def _link(rel: str, href: str) -> Document:
    return {"rel": rel, "href": href, "type": "application/json"}


def flat_name(path: str) -> str:
    """A product's path as one name."""
    return path.replace("/", "-")
