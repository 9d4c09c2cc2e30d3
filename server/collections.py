"""Cubes as OGC collections: what there is, when, and which layers show it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from datacube import Cube, Product
from datacube.errors import NotFound
from server.layers import TRUTH, layers_of
from server.services import Services, services_of
from server.tiles import default_scene_slot
from sr_engine.registry import DEFAULT_MODEL, find_model, models

router = APIRouter()
Services_ = Annotated[Services, Depends(services_of)]
Document = dict[str, Any]


@router.get("/collections")
def collections(services: Services_) -> Document:
    """Every cube of the catalog; those whose truth is known come first, then by id."""
    found = [
        collection_document(name, services.catalog.open(name)) for name in services.catalog.ids()
    ]
    found.sort(key=lambda one: all(layer["id"] != TRUTH for layer in one["layers"]))
    return {"collections": found, "links": [_link("self", "/collections")]}


@router.get("/collections/{cube_id}")
def collection(services: Services_, cube_id: str) -> Document:
    """One cube: extent, dates, bands, layers, and the notice that belongs beside it."""
    return collection_document(cube_id, services.catalog.open(cube_id))


@router.get("/models")
def model_list() -> Document:
    """The card of every model, the default first."""
    cards = [model.card.document() | {"key": model.card.key} for model in models().values()]
    return {"models": cards, "default": DEFAULT_MODEL}


@router.get("/models/{model_id}")
def model_card(model_id: str) -> Document:
    """One model's card."""
    return find_model(model_id).card.document()


def collection_document(cube_id: str, cube: Cube) -> Document:
    """A cube as an OGC collection, with what a viewer needs to show it."""
    scenes = cube.scenes
    stamps = [one.scene.stamp for one in scenes]
    interval = [stamps[0], stamps[-1]] if stamps else [None, None]
    path = f"/collections/{cube_id}"
    return {
        "id": cube_id,
        **{key: cube.attributes[key] for key in ("title", "description", "attribution")},
        **{key: cube.attributes[key] for key in ("notice", "simulated", "georeference")},
        "extent": {
            "spatial": {"bbox": [[round(edge, 7) for edge in cube.grid.lonlat_bounds()]]},
            "temporal": {"interval": [interval]},
        },
        "generation": cube.generation,
        "gsd_m": cube.grid.gsd_m,
        "storageCrs": cube.grid.crs,
        "bands": [band.name for band in cube.bands],
        "scenes": _scene_documents(cube),
        "default_datetime": _default_datetime(cube),
        "layers": [layer.document() for layer in layers_of(cube)],
        "links": [
            _link("self", path),
            _link("tilejson", f"{path}/layers/lr/WebMercatorQuad/tilejson.json"),
        ],
    }


def _scene_documents(cube: Cube) -> list[Document]:
    truth = Product.open(cube, TRUTH) if TRUTH in cube.root.commit.products else None
    layers = [layer.id for layer in layers_of(cube)]
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


def _link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": "application/json"}
