"""Input, result and truth of one audit, out of a cube and the products that lie in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Product, Window
from datacube.errors import Conflict, InvalidInput, NotFound
from datacube.layer import product_window
from datacube.scene import reflectance_from_dn
from datacube.store.layout import BLOCK_PX
from sr_engine.audit.pairs import MOST_PX, Triple
from sr_engine.blocks import product_path
from sr_engine.model import Model

TRUTH = "truth"
LEAST_PX = 32  # measured pixels a side: what an audit cuts from the edges leaves nothing below


@dataclass(frozen=True, eq=False)
class CubeTriple:
    """What to audit, and the record of how it was made, where the product carries one."""

    triple: Triple
    provenance: Mapping[str, Any] | None


def cube_triple(
    cube: Cube, model: Model, slot: int, lonlat_bbox: Sequence[float] | None = None
) -> CubeTriple:
    """What a model made of one date of a cube, in a box in degrees or as far as one audit reaches.

    Truth is taken along where the cube has it on the very grid of the result. Raises NotFound
    where nothing was super-resolved, Conflict where blocks of the window are missing, InvalidInput
    for a window too small.
    """
    path = product_path(cube, model)
    if path not in cube.root.commit.products:
        raise NotFound(f"nothing of {model.card.id} is there yet; super-resolve a view first")
    product = Product.open(cube, path)
    factor = product.factor
    asked = _asked(cube, lonlat_bbox)
    window = _middle(asked, MOST_PX // factor)
    if min(window.height, window.width) < LEAST_PX:
        raise InvalidInput(
            f"need a window of at least {LEAST_PX} x {LEAST_PX} measured pixels, got "
            f"{window.height} x {window.width}"
        )
    _refuse_missing(product, slot, window)
    fine = window.scaled(factor)
    triple = Triple(
        f"{model.card.id} of {cube.attributes['title']}"[:120],
        product.bands,
        factor,
        cube.grid.gsd_m,
        reflectance_from_dn(cube.window_dn(slot, product.bands, window)),
        reflectance_from_dn(product_window(product, slot, fine)),
        _truth(cube, slot, window, product),
        whole=window == asked,
    )
    return CubeTriple(triple, product.attributes.get("provenance"))


def _asked(cube: Cube, lonlat_bbox: Sequence[float] | None) -> Window:
    if lonlat_bbox is None:
        return Window(0, 0, *cube.grid.shape)
    west, south, east, north = lonlat_bbox
    return cube.grid.window_of(lonlat_bbox=(west, south, east, north))


def _middle(window: Window, most_px: int) -> Window:
    """The middle of a window, where it is larger than one audit takes."""
    height, width = min(window.height, most_px), min(window.width, most_px)
    row, col = window.row + (window.height - height) // 2, window.col + (window.width - width) // 2
    return Window(row, col, height, width)


def _refuse_missing(product: Product, slot: int, window: Window) -> None:
    blocks = list(window.cells(BLOCK_PX))
    missing = sum(not product.has_block(slot, block) for block in blocks)
    if missing:
        raise Conflict(
            f"{missing} of the {len(blocks)} blocks of the window are not super-resolved yet; "
            "super-resolve it first, or ask for a smaller bbox"
        )


def _truth(cube: Cube, slot: int, window: Window, product: Product) -> NDArray[np.float32] | None:
    """The truth on the result's grid; None where there is none for this date, or not so fine."""
    if TRUTH not in cube.root.commit.products:
        return None
    truth = Product.open(cube, TRUTH)
    blocks = window.cells(BLOCK_PX)
    known = truth.factor == product.factor and set(product.bands) <= set(truth.bands)
    if not known or not all(truth.has_block(slot, block) for block in blocks):
        return None
    order = [truth.bands.index(band) for band in product.bands]
    return reflectance_from_dn(product_window(truth, slot, window.scaled(truth.factor))[order])
