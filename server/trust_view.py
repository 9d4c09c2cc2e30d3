"""How far what is seen can be trusted: what was computed of a view, and what is known of its model.

Figures are of pixels that are there; what is not computed is told, never estimated.
"""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from datacube import Cube
from datacube.cube import CommittedScene
from datacube.layer import Layer, provenance
from datacube.store.layout import BLOCK_PX
from server.box import BoxQuery
from server.clients import gone
from server.layers import View, find_layer, model_of
from server.ogc.guidelines import GUIDELINES_PATH
from server.services import Services, services_of
from server.trust_figures import Tally, figures_of, tally_of
from sr_engine.blocks import blocks_of
from sr_engine.trust.calibration import Calibration, calibration_or_none

MAX_BLOCKS = 64  # read for one answer
TOLD = (
    "software", "commit", "model", "weights_sha256", "product", "scene", "generation", "inputs",
    "psf", "simulated", "processing_level", "georeference",
)  # fmt: skip

router = APIRouter()
Document = dict[str, Any]


@router.get("/collections/{cube_id}/layers/sr/trust")
async def trust(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    cube_id: str,
    query: Annotated[BoxQuery, Query()],
) -> Document:
    """Consistency, interval, flags and provenance of a view, and the card of its model.

    Figures are of the pixels of the view that have been computed: `blocks` says how much that is.
    They are null where nothing was, and where the view has more blocks than one answer reads.
    """

    def count() -> Document:
        return trust_document(services.catalog.open(cube_id), cube_id, query)

    key = ("trust", cube_id, query.model_dump_json())
    found, _ = await services.renders.run(key, count, gone(request))
    return found


def trust_document(cube: Cube, cube_id: str, query: BoxQuery) -> Document:
    """All that is known of how far a view can be trusted; raises what a tile of it would."""
    layer, scene, window = find_layer(cube, "sr"), query.scene(cube), query.window(cube)
    model = model_of(layer, query.model)
    if model is None:
        raise TypeError(f"layer {layer.id} is made by models")
    product = View(cube, layer, scene.slot, model).product
    total = sum(1 for _ in window.cells(BLOCK_PX))
    readable = total <= MAX_BLOCKS
    blocks = blocks_of(window) if readable and product else ()
    there = [one for one in blocks if product and product.has_block(scene.slot, one)]
    tally = tally_of(product, scene.slot, window, there) if product else Tally()
    calibration = calibration_or_none(model.card)
    return {
        "collection": cube_id,
        "datetime": scene.scene.stamp,
        "window": [window.row, window.col, window.height, window.width],
        "blocks": {
            "total": total, "computed": len(there) if readable else None, "limit": MAX_BLOCKS,
        },
        **figures_of(tally, calibration),
        "calibration": _calibration(calibration),
        "flags_not_tested": product.attributes.get("quality_not_tested", []) if product else [],
        "provenance": _provenance(Layer(cube_id, cube, product, window), scene) if there else None,
        "card": model.card.full_document() | {"key": model.card.key},
        "guidelines": GUIDELINES_PATH,
    }  # fmt: skip


def _provenance(layer: Layer, scene: CommittedScene) -> Document:
    facts = provenance(layer, scene)
    return {name: facts[name] for name in TOLD if name in facts}


def _calibration(calibration: Calibration | None) -> Document | None:
    """Where it was made, and what it held at places that are no part of it."""
    if calibration is None:
        return None
    found = asdict(calibration)
    kept = ("model", "weights_sha256", "places", "pixels", "tested", "figures")
    return {name: found[name] for name in kept}
