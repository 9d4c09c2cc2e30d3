"""Super-resolution of a cube in fixed blocks: which are missing, and how one is computed.

A block lies on the measured grid, not on the view, and reads a halo around itself. So it has the
same pixels whoever asks first, no seam to its neighbours, and need never be computed twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Product, ProductSpec, Window
from datacube.product import Block
from datacube.scene import dn_from_reflectance, reflectance_from_dn
from datacube.store.layout import BLOCK_PX, PlaneSpec
from sr_engine.audit.beside import audit_planes
from sr_engine.audit.consistency import RIM_PX
from sr_engine.audit.provenance import provenance
from sr_engine.audit.quality import not_tested
from sr_engine.gaps import emptied, filled
from sr_engine.model import (
    Model,
    PatchModel,
    Prediction,
    Reflectance,
    RimmedModel,
    SeriesModel,
)
from sr_engine.planes import AUDIT_PLANES
from sr_engine.trust.domain import Acquisition, calibration_record


@dataclass(frozen=True)
class BlockPlan:
    """The blocks of a view: all of them, and those still to compute, from the centre outwards."""

    slot: int
    blocks: tuple[Block, ...]
    missing: tuple[Block, ...]

    @property
    def cached(self) -> int:
        """How many need no computing."""
        return len(self.blocks) - len(self.missing)


def product_path(cube: Cube, model: Model) -> str:
    """The group of what this model makes of the cube as it is.

    What depends on all dates is named by the generation too: a new date never mixes with
    blocks that were made without it.
    """
    series = isinstance(model, SeriesModel)
    return f"sr/{model.card.key}" + (f"-g{cube.generation}" if series else "")


def bands_made(cube: Cube, model: Model) -> tuple[str, ...]:
    """Names of the cube's bands that the model makes finer."""
    if isinstance(model, PatchModel):
        return model.card.bands_of(cube.bands)
    return tuple(band.name for band in cube.bands)


def product_spec(cube: Cube, model: Model, extra: tuple[PlaneSpec, ...] = ()) -> ProductSpec:
    """Where and how the cube keeps what this model makes of it, and `extra` planes beside."""
    card, bands = model.card, bands_made(cube, model)
    attributes: dict[str, Any] = {"model_card": card.document(), "inferred": True}
    calibration = calibration_record(card, Acquisition.of_cube(cube))
    attributes["provenance"] = provenance(card, bands, calibration=calibration)
    attributes["quality_not_tested"] = not_tested(
        cube, card, tuple(one.name for one in model.planes)
    )
    if isinstance(model, SeriesModel):
        attributes["generation"] = cube.generation
        attributes["dates"] = {
            shown.scene.stamp: [one.scene.stamp for one in model.choose(cube, shown.slot)]
            for shown in cube.scenes
        }
    return ProductSpec(
        path=product_path(cube, model),
        factor=card.factor,
        bands=bands,
        attributes=attributes,
        level=cube.attributes["processing:level"],
        planes=(*model.planes, *AUDIT_PLANES, *extra),
    )


def blocks_of(window: Window) -> tuple[Block, ...]:
    """Blocks that a window of the measured grid touches, from its centre outwards."""
    middle = (window.row + window.height / 2, window.col + window.width / 2)

    def distance(block: Block) -> float:
        row, col = ((index + 0.5) * BLOCK_PX for index in block)
        return (row - middle[0]) ** 2 + (col - middle[1]) ** 2

    return tuple(sorted(window.cells(BLOCK_PX), key=lambda block: (distance(block), block)))


def plan_blocks(product: Product | None, slot: int, window: Window) -> BlockPlan:
    """Which blocks of a view there are and which are missing; no product yet means all."""
    blocks = blocks_of(window)
    return BlockPlan(slot, blocks, missing_blocks(product, slot, blocks))


def missing_blocks(
    product: Product | None,
    slot: int,
    blocks: Sequence[Block],
    variables: Sequence[str] = ("reflectance",),
) -> tuple[Block, ...]:
    """Those of the blocks that lack one of the variables; no product yet means all."""
    if product is None or not set(variables) <= set(product.variables):
        return tuple(blocks)
    return tuple(
        block
        for block in blocks
        if not all(product.has_block(slot, block, variable=name) for name in variables)
    )


def compute_block(
    product: Product, model: Model, slot: int, block: Block, *, source: Cube | None = None
) -> None:
    """Run the model on one block and keep the result in the cube, the audit's planes beside it.

    The planes are written before the reflectance, whose record therefore says that all is there.
    `source` is the cube at the generation that the product is of, where that may have changed.
    """
    window, cube = product.block_window(block), source or product.cube
    around = _predict_around(cube, model, slot, window)
    made = _inner(around, RIM_PX * model.card.factor)
    planes = {plane.name: plane.encode(made.planes[plane.name]) for plane in model.planes}
    planes |= audit_planes(cube, model.card, (slot, product.bands, window), around)
    kept = set(product.variables)  # a product of before there was an audit has no place for it
    variables = {name: numbers for name, numbers in planes.items() if name in kept}
    product.write_blocks(
        slot, block, {**variables, "reflectance": dn_from_reflectance(made.reflectance)}
    )


def compute_window(cube: Cube, model: Model, slot: int, window: Window) -> int:
    """Compute the missing blocks of a window of the measured grid; how many there were."""
    product = Product.ensure(cube, product_spec(cube, model))
    missing = plan_blocks(product, slot, window).missing
    for block in missing:
        compute_block(product, model, slot, block)
    return len(missing)


def predict_window(cube: Cube, model: Model, slot: int, window: Window) -> Prediction:
    """Super-resolve a window of a scene, by whichever kind of model; NaN beyond the scene."""
    if isinstance(model, SeriesModel):
        return model.predict_window(cube, slot, window)
    if isinstance(model, PatchModel):
        return _predict_from_patch(cube, model, slot, window)
    raise TypeError(f"{model.card.id} is neither a PatchModel nor a SeriesModel")


def _predict_around(cube: Cube, model: Model, slot: int, window: Window) -> Prediction:
    """A block and `RIM_PX` measured pixels around it, NaN where those are not to be had."""
    if isinstance(model, PatchModel):
        return _predict_from_patch(cube, model, slot, window.grown(RIM_PX))
    if isinstance(model, RimmedModel):
        return model.predict_block(cube, slot, window, RIM_PX)
    made = predict_window(cube, model, slot, window)
    rim = ((RIM_PX * model.card.factor,) * 2,) * 2
    return Prediction(
        np.pad(made.reflectance, ((0, 0), *rim), constant_values=np.nan),
        {name: np.pad(one, rim, constant_values=np.nan) for name, one in made.planes.items()},
    )


def _inner(around: Prediction, rim: int) -> Prediction:
    inner = (slice(rim, -rim), slice(rim, -rim))
    planes = {name: one[inner] for name, one in around.planes.items()}
    return Prediction(around.reflectance[:, *inner], planes)


def _predict_from_patch(cube: Cube, model: PatchModel, slot: int, window: Window) -> Prediction:
    card = model.card
    bands = card.bands_of(cube.bands)
    patch = read_padded(cube, slot, bands, window, 2 * card.halo_px)
    names = [plane.name for plane in model.planes]
    return predict_patch(model, patch, bands, names, gsd_m=cube.grid.gsd_m)


def predict_patch(
    model: PatchModel,
    patch: Reflectance,
    bands: tuple[str, ...],
    planes: Sequence[str],
    *,
    gsd_m: float,
) -> Prediction:
    """Super-resolve the middle of a patch that may have gaps; planes of length in metres.

    `patch`: (band, y + 4 halo, x + 4 halo) reflectance, NaN where there is no data. Twice the
    halo: a gap at the rim of what the model sees is filled from beyond that rim. The answer is
    NaN wherever the measured pixel has no data; a plane, where no band has any.
    """
    halo, factor = model.card.halo_px, model.card.factor
    missing = np.isnan(patch[:, 2 * halo : -2 * halo, 2 * halo : -2 * halo])
    seen = filled(patch, halo)[:, halo:-halo, halo:-halo]
    made = model.predict(seen, bands, planes=planes)
    everywhere: NDArray[np.bool_] = np.logical_and.reduce(missing, axis=0, keepdims=True)
    told = {}
    for plane in model.planes:
        if plane.name in planes:
            unit = np.float32(gsd_m if plane.units == "m" else 1)
            values = unit * made.planes[plane.name][None]
            told[plane.name] = emptied(values, everywhere, factor)[0]
    return Prediction(emptied(made.reflectance, missing, factor), told)


def read_padded(
    cube: Cube, slot: int, bands: tuple[str, ...], window: Window, rim_px: int
) -> Reflectance:
    """Reflectance (band, y, x) of a window and a rim around it; NaN beyond the scene's edge."""
    wanted = window.grown(rim_px)
    there = wanted.within(cube.grid.shape)
    out: NDArray[np.float32] = np.full(
        (len(bands), wanted.height, wanted.width), np.nan, np.float32
    )
    top, left = there.row - wanted.row, there.col - wanted.col
    inner = Window(top, left, there.height, there.width)
    out[:, *inner.slices] = reflectance_from_dn(cube.window_dn(slot, bands, there))
    return out
