"""Cubes, products and files as STAC 1.1 documents, from what they record of themselves.

Extensions: projection 2.0, eo 2.0, raster 2.0, datacube 2.2, processing 1.2, and mlm 1.4 for the
model behind a product. `base` is the address of the cube's folder as the reader of the document
sees it; hrefs stay relative where it is `.`.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from datacube.bands import SENTINEL2
from datacube.cube import CommittedScene, Cube
from datacube.grid import Grid, projection_attributes
from datacube.product import Product
from datacube.scene import ADD_OFFSET, NO_DATA_DN, SCALE_FACTOR, Scene
from datacube.stac.footprint import footprint_of, reference_system_of
from datacube.store.conventions import level_name
from datacube.store.layout import MEASUREMENT

Document = dict[str, Any]

STAC_VERSION = "1.1.0"
_EXTENSIONS = "https://stac-extensions.github.io/"
PROJECTION = f"{_EXTENSIONS}projection/v2.0.0/schema.json"
EO = f"{_EXTENSIONS}eo/v2.0.0/schema.json"
RASTER = f"{_EXTENSIONS}raster/v2.0.0/schema.json"
DATACUBE = f"{_EXTENSIONS}datacube/v2.2.0/schema.json"
PROCESSING = f"{_EXTENSIONS}processing/v1.2.0/schema.json"
MLM = f"{_EXTENSIONS}mlm/v1.4.0/schema.json"

ZARR = "application/vnd.zarr; version=3"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def cube_collection(cube_id: str, cube: Cube, *, base: str = ".") -> Document:
    """A cube as a collection whose items are its scenes."""
    extra = {"description": cube.attributes["description"] or cube.attributes["title"]}
    if cube.attributes.get("notice"):
        extra["description"] += f" Notice: {cube.attributes['notice']}"
    document = _collection(cube_id, cube, cube.grid, [band.name for band in cube.bands], extra)
    path = f"{MEASUREMENT}/{level_name(cube.grid.gsd_m)}"
    document["assets"] = {"measurement": _asset(f"{base}/{path}", "The measured pixels")}
    if cube.has_scl:
        dimensions = ["time", "y", "x"]
        document["cube:variables"]["scl"] = {"type": "data", "dimensions": dimensions}
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
        item["assets"][name] = asset | _pixels(grid, names)
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
    document["assets"] = {"product": _asset(address, "The pixels of the product")}
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
        **{key: one.scene.properties[key] for key in ("eo:cloud_cover",)
           if key in one.scene.properties},
    }  # fmt: skip
    name = f"{one.scene.scene_id}-{flat_name(product.path)}"
    item = _item(name, one.scene, product.levels[0], properties)
    for grid in product.levels:
        level = level_name(grid.gsd_m)
        asset = _asset(f"{base}/{product.path}/{level}", f"{product.path}, {grid.gsd_m:g} m")
        item["assets"][level] = asset | _pixels(grid, product.bands)
    item["links"].append(_link("derived_from", f"../{one.scene.scene_id}.json"))
    if card:
        item["links"].append(_link("about", "./model.json"))
    return _collected(item, f"{cube_id}-{flat_name(product.path)}")


def model_item(cube_id: str, product: Product, *, base: str = ".") -> Document | None:
    """The model behind a product, in the words of the mlm extension; None where there is none."""
    card = product.attributes.get("model_card")
    if not card or not product.cube.scenes:
        return None
    bands = list(product.bands)
    properties = model_properties(card, bands)
    item = _item(f"{card['id']}-model", product.cube.scenes[0].scene, product.cube.grid, properties)
    item["stac_extensions"] = [MLM, *item["stac_extensions"]]
    item["assets"]["card"] = {
        "href": f"{base}/{product.path}/zarr.json",
        "type": "application/json",
        "title": "The model's card, with the digest of its weights, as kept with its pixels",
        "roles": ["mlm:model", "metadata"],
        "mlm:artifact_type": "srcube.card",
        "bands": band_documents(bands),  # which the names in mlm:input refer to
    }
    return _collected(item, f"{cube_id}-{flat_name(product.path)}")


def model_properties(card: Mapping[str, Any], bands: list[str]) -> Document:
    """What the mlm extension wants to know of a model, from its card."""
    shape = [-1, len(bands), -1, -1]
    pixels = {"shape": shape, "dim_order": ["batch", "channel", "height", "width"],
              "data_type": "float32"}  # fmt: skip
    task = ["super-resolution"]
    return {
        "description": card["description"],
        "mlm:name": card["id"],
        "mlm:architecture": card["title"],
        "mlm:framework": "srcube",
        "mlm:tasks": task,
        "mlm:pretrained_source": None if card["training_data"] == "none" else card["training_data"],
        "mlm:input": [{"name": "reflectance", "bands": bands, "input": pixels}],
        "mlm:output": [{"name": "reflectance", "tasks": task, "result": pixels}],
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
        item["assets"][key] = asset | (_pixels(place, names) if names else _place(place))
    return item


def band_documents(names: Iterable[str]) -> list[Document]:
    """Bands as STAC 1.1 has them, with the cube's encoding; micrometres, as eo wants them."""
    found = []
    for name in names:
        band = SENTINEL2.get(name)
        document: Document = {"name": name}
        if band:
            common = "rededge" if band.common_name.startswith("rededge") else band.common_name
            document |= {
                "eo:common_name": common,
                "eo:center_wavelength": round(band.wavelength_nm / 1000, 5),
                "eo:full_width_half_max": round(band.bandwidth_nm / 1000, 5),
            }
        found.append(document)
    return found


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
            **properties,
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
        "cube:dimensions": _dimensions(grid, stamps, bands),
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


def _dimensions(grid: Grid, stamps: list[str], bands: list[str]) -> Document:
    left, bottom, right, top = grid.bounds
    system = reference_system_of(grid.crs)
    half = grid.gsd_m / 2  # extents are of pixel centres, which is where the coordinates are
    along = {"type": "spatial", "reference_system": system, "step": grid.gsd_m}
    return {
        "x": {**along, "axis": "x", "extent": [left + half, right - half]},
        "y": {**along, "axis": "y", "extent": [bottom + half, top - half]},
        "time": {
            "type": "temporal",
            "extent": [stamps[0], stamps[-1]] if stamps else [None, None],
            "values": stamps,
        },
        "band": {"type": "bands", "values": bands},
    }


def _pixels(grid: Grid, names: Iterable[str]) -> Document:
    encoding = {"raster:scale": SCALE_FACTOR, "raster:offset": ADD_OFFSET}
    return {
        "bands": band_documents(names),
        "data_type": "uint16",
        "nodata": NO_DATA_DN,
        "unit": "1",
        **encoding,
        **_place(grid),
    }


def _place(grid: Grid) -> Document:
    return {
        "gsd": grid.gsd_m,
        "proj:shape": list(grid.shape),
        "proj:transform": [float(value) for value in tuple(grid.transform)[:6]],
        "proj:bbox": list(grid.bounds),
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
