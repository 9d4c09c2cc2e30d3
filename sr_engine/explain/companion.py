"""The saliency layer beside a super-resolved scene: of a file, or of a block of a cube.

A block is a whole number of cells, and a probe sees no further than the model does, so that the
layer is the same however the scene is cut.
"""

from collections.abc import Mapping

import numpy as np

from datacube import Cube, Product
from datacube.errors import InvalidInput
from datacube.product import Block
from datacube.store.layout import PlaneSpec
from sr_engine.blocks import read_padded
from sr_engine.explain.case import differentiable
from sr_engine.explain.saliency import View, diffusion_layer
from sr_engine.gaps import emptied, filled
from sr_engine.model import DifferentiableModel, Model, PatchModel, Prediction, Reflectance
from sr_engine.planes import SALIENCY, SALIENCY_CELL_PX
from sr_engine.scenes.companions import MadeBlock


class SaliencyCompanion:
    """Tells the diffusion index of every cell; see `diffusion_layer`."""

    def __init__(self, model: DifferentiableModel) -> None:
        self._model = model

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """The diffusion index."""
        return (SALIENCY,)

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing of the model's."""
        return ()

    @property
    def halo_px(self) -> int:
        """Twice the model's: a gap at the rim of what it sees is filled from beyond it."""
        return 2 * self._model.card.halo_px

    def tell(self, block: MadeBlock) -> Mapping[str, Reflectance]:
        """See `Companion.tell`; NaN where no band has data."""
        halo, factor = self._model.card.halo_px, block.factor
        patch = filled(block.measured, halo)[:, halo:-halo, halo:-halo]
        rim = 2 * halo
        shown = ~np.isnan(block.measured[:, rim:-rim, rim:-rim])
        view = View(np.ascontiguousarray(patch), shown, factor)
        layer = diffusion_layer(self._model.module(block.bands), view)
        side = SALIENCY_CELL_PX * factor
        height, width = (factor * size for size in view.shape)
        fine = layer.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
        missing = np.logical_not(shown.any(axis=0, keepdims=True))
        return {SALIENCY.name: emptied(fine[None], missing, factor)[0]}


def saliency_companion(model: Model) -> SaliencyCompanion:
    """For a model with gradients; raises InvalidInput for any other."""
    if not isinstance(model, PatchModel):
        raise InvalidInput(
            f"{model.card.id} takes several dates, for which there is no saliency layer; "
            "`srcube explain` tells which of them made a place"
        )
    return SaliencyCompanion(differentiable(model))


def compute_saliency(
    product: Product, model: Model, slot: int, block: Block, *, source: Cube | None = None
) -> None:
    """Keep the saliency of one block in the cube; the image need not be there.

    `product` has to have a place for it, see `product_spec`. `source` is as in `compute_block`.
    Raises InvalidInput for a model without gradients.
    """
    companion, cube = saliency_companion(model), source or product.cube
    window, halo = product.block_window(block), companion.halo_px
    measured = read_padded(cube, slot, product.bands, window, halo)
    unseen = Prediction(np.empty((0, 0, 0), np.float32), {})  # it looks at what was measured alone
    told = companion.tell(MadeBlock(product.bands, product.factor, halo, measured, unseen))
    numbers = SALIENCY.encode(told[SALIENCY.name])
    product.write_block(slot, block, numbers, variable=SALIENCY.name)
