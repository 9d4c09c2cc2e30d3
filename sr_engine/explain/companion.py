"""The saliency layer beside a super-resolved scene: `srcube super-resolve --with saliency`.

A block is a whole number of cells, and a probe sees no further than the model does, so that the
layer is the same however the scene is cut.
"""

from collections.abc import Mapping

import numpy as np

from datacube.errors import InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.explain.case import differentiable
from sr_engine.explain.saliency import CELL_PX, View, diffusion_layer
from sr_engine.gaps import emptied, filled
from sr_engine.model import DifferentiableModel, Model, PatchModel, Reflectance
from sr_engine.scenes.companions import MadeBlock

SALIENCY = PlaneSpec(
    "saliency",
    f"diffusion index of the detail, one value for {CELL_PX} x {CELL_PX} measured pixels",
    "1",
    0.01,
)


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
        side = CELL_PX * factor
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
