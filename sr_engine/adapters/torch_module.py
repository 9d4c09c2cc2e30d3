"""Any torch module as a model of srcube: what is left to write is the network itself."""

import hashlib
from collections.abc import Collection

import numpy as np
import torch
from torch import nn

from datacube.errors import InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.card import ModelCard
from sr_engine.model import Prediction, Reflectance


class TorchModel:
    """A module behind the interface of `DifferentiableModel`, so that it can be explained too.

    The module turns (n, band, y + 2 halo, x + 2 halo) reflectance into (n, band, factor y,
    factor x), where halo and factor are its card's, and must not look beyond that halo. The card
    names its bands in their order and has a `weights_sha256`; see `module_sha256`.
    """

    def __init__(self, card: ModelCard, module: nn.Module) -> None:
        if not card.bands:
            raise InvalidInput(f"need the bands of {card.id} on its card, in the module's order")
        self._card = card
        self._module = module.eval().requires_grad_(requires_grad=False)

    @property
    def card(self) -> ModelCard:
        """What the model is."""
        return self._card

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Nothing beside the reflectance."""
        return ()

    def predict(
        self,
        patch: Reflectance,
        bands: tuple[str, ...],
        *,
        planes: Collection[str] = (),  # noqa: ARG002 (it has none to tell)
    ) -> Prediction:
        """Super-resolve the middle of a patch; see `PatchModel.predict`."""
        module = self.module(bands)
        with torch.inference_mode():
            fine = module(torch.from_numpy(np.ascontiguousarray(patch, np.float32))[None])[0]
        return Prediction(fine.numpy(), {})

    def module(self, bands: tuple[str, ...]) -> nn.Module:
        """The module; raises InvalidInput for other bands than the card's, or in another order."""
        if bands != self._card.bands:
            raise InvalidInput(
                f"{self._card.id} takes {', '.join(self._card.bands)}, got {', '.join(bands)}"
            )
        return self._module


def module_sha256(module: nn.Module) -> str:
    """Digest of a module's weights by name, for its card: other weights are another model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()
