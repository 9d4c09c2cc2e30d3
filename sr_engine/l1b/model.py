"""REC as a patch model: four bands as a detector recorded them in, aligned and finer ones out."""

from collections.abc import Callable, Collection
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from datacube.errors import InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.card import ModelCard
from sr_engine.l1b.align import band_flows
from sr_engine.l1b.flow_network import WINDOW_RADIUS_PX
from sr_engine.l1b.rec_network import FACTOR, Joint, sharpened
from sr_engine.l1b.views import BANDS
from sr_engine.model import Prediction, Reflectance

FLOW_REACH_PX = 8  # how far CSR's flow may point, and the interpolation there


class RecModel:
    """A REC, with CSR where it needs one; weights are read when they are first needed."""

    def __init__(self, card: ModelCard, load: Callable[[], Joint]) -> None:
        self._card, self._load = card, load

    @property
    def card(self) -> ModelCard:
        """What the model is."""
        return self._card

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Nothing beside the image."""
        return ()

    def predict(
        self,
        patch: Reflectance,
        bands: tuple[str, ...],
        *,
        planes: Collection[str] = (),  # noqa: ARG002 - the interface's; there is none to tell
    ) -> Prediction:
        """Align to B03 and sharpen; see `PatchModel.predict`."""
        if patch.ndim != 3 or patch.shape[0] != len(bands):
            raise InvalidInput(f"need a patch (band, y, x) of {len(bands)}, got {patch.shape}")
        if min(patch.shape[1:]) <= 2 * self._card.halo_px:
            raise InvalidInput(f"need a patch above twice the halo of {self._card.halo_px} px")
        module = self.module(bands)
        with torch.inference_mode():
            fine = module(torch.from_numpy(np.ascontiguousarray(patch))[None])
        return Prediction(fine[0].numpy(), {})

    def module(self, bands: tuple[str, ...]) -> "Ordered":
        """The network; see `DifferentiableModel.module`. Flows carry no gradient."""
        if sorted(bands) != sorted(BANDS):
            raise InvalidInput(
                f"{self._card.id} takes {', '.join(BANDS)} together, as level 1B recorded them; "
                f"got {', '.join(bands) or 'none'}"
            )
        return Ordered(self._joint, bands, self._card.halo_px).eval()

    @cached_property
    def _joint(self) -> Joint:
        return self._load()


class Ordered(nn.Module):
    """Bands in the caller's order, without the halo."""

    def __init__(self, joint: Joint, bands: tuple[str, ...], halo_px: int) -> None:
        super().__init__()
        self.joint = joint
        self._there = [bands.index(name) for name in BANDS]
        self._back = [BANDS.index(name) for name in bands]
        self._halo_px = halo_px

    def forward(self, patch: Tensor) -> Tensor:
        """(n, 4, y + 2 halo, x + 2 halo) to (n, 4, 2 y, 2 x)."""
        recorded = patch[:, self._there]
        joint = self.joint
        if joint.csr is None:
            fine = _trimmed(joint(recorded), FACTOR * self._halo_px)
            return fine[:, self._back]
        with torch.no_grad():
            flows = band_flows(joint.csr, recorded, BANDS, settings=joint.polish)
        # Flows are the better, the more ground they are found on; sharpening needs little of it.
        near = joint.rec.settings.radius_px + WINDOW_RADIUS_PX + FLOW_REACH_PX
        cut = max(self._halo_px - near, 0)
        fine = sharpened(joint.rec, _trimmed(recorded, cut), _trimmed(flows, cut))
        return _trimmed(fine, FACTOR * (self._halo_px - cut))[:, self._back]


def _trimmed(images: Tensor, rim_px: int) -> Tensor:
    """Without a rim of so many pixels."""
    height, width = images.shape[-2:]
    return images[..., rim_px : height - rim_px, rim_px : width - rim_px]
