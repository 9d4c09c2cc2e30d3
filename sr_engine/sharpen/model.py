"""`sharpen20`: the 20 m bands at 10 m as a model like any other, and the weights it comes with.

It takes all ten bands on the 10 m grid and gives them back on it: the 10 m bands as they are,
the 20 m bands sharpened.
"""

import json
from collections.abc import Collection
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datacube.bands import SENTINEL2
from datacube.errors import Damaged, InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.card import ModelCard, Score
from sr_engine.model import Prediction, Reflectance
from sr_engine.sharpen.lattice import REACH_PX, coarse_pixels, find_lattice, lattice_shape
from sr_engine.sharpen.network import GUIDES, SHARPENED, Sharpener, SharpenSettings
from sr_engine.weights import read_weights
from sr_engine.wiener import WienerSettings

BANDS = tuple(name for name in SENTINEL2 if name in (*GUIDES, *SHARPENED))
WEIGHTS = Path(__file__).parent / "weights"
RECORD, TENSORS = "sharpen20.json", "sharpen20.safetensors"


class SharpenModel:
    """A patch model of factor 1; weights are read when they are first needed."""

    def __init__(self, card: ModelCard, settings: SharpenSettings, weights: Path) -> None:
        self._card, self._settings, self._weights = card, settings, weights

    @property
    def card(self) -> ModelCard:
        """What the model is."""
        return self._card

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Nothing beside the reflectance."""
        return ()

    @cached_property
    def network(self) -> Sharpener:
        """The network with its weights; raises ModelRejected for a file that is not its own."""
        network = Sharpener(self._settings)
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        sha256 = self._card.weights_sha256
        network.load_state_dict(read_weights(self._weights, shapes=shapes, sha256=sha256))
        return network.eval()

    def predict(
        self,
        patch: Reflectance,
        bands: tuple[str, ...],
        *,
        planes: Collection[str] = (),  # noqa: ARG002 (it has none)
    ) -> Prediction:
        """Sharpen the 20 m bands of a patch; see `PatchModel.predict`.

        Raises InvalidInput for other bands, or 20 m bands that were brought to 10 m otherwise
        than by nearest or cubic resampling.
        """
        self._check(patch, bands)
        halo = self._card.halo_px
        guides = patch[[bands.index(name) for name in GUIDES]]
        measured = patch[[bands.index(name) for name in SHARPENED]]
        result = patch[:, halo:-halo, halo:-halo].copy()
        sharp = self._sharpened(guides, measured)
        for name, plane in zip(SHARPENED, sharp, strict=True):
            result[bands.index(name)] = plane
        return Prediction(result, {})

    def _sharpened(self, guides: Reflectance, measured: Reflectance) -> Reflectance:
        """The 20 m bands in the middle of the patch."""
        lattice, halo = find_lattice(measured), self._card.halo_px
        coarse = coarse_pixels(measured, lattice)
        height, width = lattice_shape(guides.shape[1:], lattice)
        inside = guides[:, lattice.row :, lattice.col :][:, : 2 * height, : 2 * width]
        rim = 2 * REACH_PX
        inside = np.ascontiguousarray(inside[:, rim:-rim, rim:-rim])
        with torch.inference_mode():
            fine = self.network(torch.from_numpy(inside)[None], torch.from_numpy(coarse)[None])
        lost = 2 * (REACH_PX + self._settings.margin_px)
        top, left = halo - lattice.row - lost, halo - lattice.col - lost
        rows, cols = (size - 2 * halo for size in guides.shape[1:])
        return np.asarray(fine[0, :, top : top + rows, left : left + cols].numpy(), np.float32)

    def _check(self, patch: Reflectance, bands: tuple[str, ...]) -> None:
        if sorted(bands) != sorted(BANDS):
            raise InvalidInput(
                f"{self._card.id} was made for {', '.join(BANDS)}, got {', '.join(bands)[:80]}"
            )
        if patch.shape[0] != len(bands) or min(patch.shape[1:]) <= 2 * self._card.halo_px:
            raise InvalidInput(
                f"need a patch of {len(bands)} bands, larger than twice the halo of "
                f"{self._card.halo_px} px, got {patch.shape}"
            )


def sharpen20(folder: Path = WEIGHTS) -> SharpenModel:
    """The model from the files in `folder`; raises Damaged for a record that cannot be read."""
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        settings = settings_from(record["settings"])
        scores = tuple(Score(**score) for score in record["scores"])
        digest, trained_on = str(record["weights_sha256"]), str(record["training_data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{RECORD} is no record of trained weights: {error}"[:200]) from error
    card = ModelCard(
        id="sharpen20",
        title="20 m bands at 10 m",
        description="The 20 m bands on the 10 m grid: regressed on the 10 m bands around each "
        "pixel, refined by a small network, and projected so that they agree with what was "
        "measured at 20 m. The 10 m bands stay as they are.",
        factor=1,
        halo_px=halo_of(settings),
        bands=BANDS,
        psf="Gaussian of each band's MTF at Nyquist, then its own pixel",
        training_data=trained_on,
        limits="Detail of the 20 m bands is inferred from the 10 m bands: what shows in none of "
        "them is not restored. Learnt at 40 to 20 m, which may differ from 20 to 10 m. "
        "20 m bands have to be on the 10 m grid by nearest or cubic resampling; linear cannot be "
        "told from cubic, and comes out too smooth.",
        weights_sha256=digest,
        settings=asdict(settings),
        metrics=scores,
    )
    return SharpenModel(card, settings, folder / TENSORS)


def halo_of(settings: SharpenSettings) -> int:
    """In 10 m pixels; one more 20 m pixel, since the lattice may begin at an odd one."""
    return 2 * (REACH_PX + settings.margin_px + 1)


def settings_from(document: dict[str, Any]) -> SharpenSettings:
    """Settings as a record holds them; raises TypeError for fields that there are not."""
    inner = WienerSettings(**document["deconvolution"])
    return SharpenSettings(**{**document, "deconvolution": inner})
