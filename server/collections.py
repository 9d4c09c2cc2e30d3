"""Cubes as OGC collections: what there is, when, and which layers show it."""

from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from datacube import Catalog, Cube, Product
from datacube.errors import NotFound
from datacube.stac.describe import cube_collection
from server.differences import difference_document
from server.layer_list import DIFFERENCE
from server.layers import SENSOR_LEVEL, TRUTH, layers_of
from server.ogc.answers import GEOJSON, HTML_TOO, Format, answer, base_url, link
from server.ogc.edr import edr_part
from server.ogc.shelf import Shelf
from server.ogc.stac_items import find_holding, holdings_of, product_document
from server.ogc.tilesets import CRS84, TILESETS_MAP
from server.ogc.wmts import XML
from server.services import Services, services_of
from server.tiles import default_scene_slot
from sr_engine.registry import DEFAULT_MODEL, find_model, models

router = APIRouter()
Services_ = Annotated[Services, Depends(services_of)]
Document = dict[str, Any]


@router.get("/collections", responses=HTML_TOO)
def collections(request: Request, services: Services_, f: Format = None) -> Response:
    """Cubes, those whose truth is known first, then by id; and their products after them.

    Level 1B comes last of the cubes: it is not what a first look should fall on. What cannot be
    read is named as `unavailable`, with the reason that it gives when it is asked for itself.
    """
    base, catalog, shelf = base_url(request), services.catalog, Shelf()
    told = [
        one
        for cube_id in catalog.ids()
        for one in shelf.told(cube_id, partial(_shown, base, catalog, cube_id))
    ]
    found = [document for _, document in sorted(told, key=itemgetter(0))]
    links = [link("self", f"{base}/collections"), link("root", f"{base}/")]
    document = {"title": "Collections", "collections": found, "unavailable": shelf.unavailable}
    return answer(request, document | {"links": links}, f)


@router.get("/collections/{cube_id}", responses=HTML_TOO)
def collection(request: Request, services: Services_, cube_id: str, f: Format = None) -> Response:
    """One cube or product: extent, dates, bands, layers, the notice that belongs beside it."""
    base, holding = base_url(request), find_holding(services.catalog, cube_id)
    if holding.product is not None:
        return answer(request, product_document(base, holding), f)
    return answer(request, collection_document(base, cube_id, holding.cube), f)


@router.get("/models")
def model_list() -> Document:
    """The card of every model, the default first."""
    cards = [model.card.document() | {"key": model.card.key} for model in models().values()]
    return {"models": cards, "default": DEFAULT_MODEL}


@router.get("/models/{model_id}")
def model_card(model_id: str) -> Document:
    """One model's card."""
    return find_model(model_id).card.document()


def _shown(
    base: str, catalog: Catalog, cube_id: str
) -> Iterator[tuple[tuple[bool, bool, bool], Document]]:
    """Documents of a cube and of its products, each with where it stands in the list."""
    for one in holdings_of(catalog, cube_id):
        attributes, products = one.cube.attributes, one.cube.root.commit.products
        level_1b = attributes["processing:level"] == SENSOR_LEVEL
        standing = one.product is not None, level_1b, TRUTH not in products
        if one.product is None:
            yield standing, collection_document(base, cube_id, one.cube)
        else:
            yield standing, product_document(base, one)


def collection_document(base: str, cube_id: str, cube: Cube) -> Document:
    """A cube as an OGC and a STAC collection, with what a viewer needs to show it."""
    keys = ("title", "description", "attribution", "notice", "simulated", "georeference")
    return {
        **cube_collection(cube_id, cube, base=f"{base}/collections/{cube_id}/zarr"),
        **{key: cube.attributes[key] for key in keys},
        "description": cube.attributes["description"] or cube.attributes["title"],
        **edr_part(f"{base}/collections/{cube_id}", cube),
        "crs": [CRS84],
        "generation": cube.generation,
        "gsd_m": cube.grid.gsd_m,
        "storageCrs": cube.grid.crs,
        "scenes": _scene_documents(cube),
        "default_datetime": _default_datetime(cube),
        "layers": [
            *(layer.document(cube) for layer in layers_of(cube)),
            difference_document(cube),
        ],
        "links": _links(base, cube_id),
    }


def _links(base: str, cube_id: str) -> list[Document]:
    path = f"{base}/collections/{cube_id}"
    return [
        link("self", path),
        link("root", f"{base}/"),
        link("parent", f"{base}/"),
        link("data", f"{base}/collections"),
        link("items", f"{path}/items", GEOJSON, "Scenes"),
        link(TILESETS_MAP, f"{path}/tiles", title="Tilesets"),
        link("tilejson", f"{path}/layers/lr/WebMercatorQuad/tilejson.json"),
        link("wmts", f"{path}/WMTSCapabilities.xml", XML),
    ]


def _scene_documents(cube: Cube) -> list[Document]:
    truth = Product.open(cube, TRUTH) if TRUTH in cube.root.commit.products else None
    layers = [*(layer.id for layer in layers_of(cube)), DIFFERENCE.id]
    return [
        {
            "id": one.scene.scene_id,
            "datetime": one.scene.stamp,
            "cloud_cover": one.scene.cloud_cover,
            "layers": [
                layer
                for layer in layers
                if layer != TRUTH or (truth is not None and truth.has_block(one.slot, (0, 0)))
            ],
        }
        for one in cube.scenes
    ]


def _default_datetime(cube: Cube) -> str | None:
    try:
        slot = default_scene_slot(cube)
    except NotFound:
        return None
    return next(one.scene.stamp for one in cube.scenes if one.slot == slot)
