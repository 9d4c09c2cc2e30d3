"""What a model says of itself, copied into everything it makes."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from datacube.bands import Band


@dataclass(frozen=True)
class Score:
    """One figure of a model on one test, with the baseline's beside it.

    `figure` names it with its unit ("PSNR, dB"), `bicubic` is the same of bicubic
    interpolation where that has one, `places` counts the sites it was taken on, none of which
    the model was trained or calibrated on. `test` says whether the truth is simulated.
    """

    test: str
    figure: str
    value: float
    bicubic: float | None = None
    places: int = 1


@dataclass(frozen=True)
class ModelCard:
    """A model's identity, rules and limits.

    `bands` are the bands it was made for, empty for one that takes any 10 m band by itself.
    `halo_px` is the radius of its receptive field in pixels of the input, `dates` the most dates
    that one answer is made of. `psf` says which blur
    it assumes. `weights_sha256` pins its numbers; for a model without trained weights it is the
    digest of the settings from which its numbers follow. `metrics` is what was measured of it.
    """

    id: str
    title: str
    description: str
    factor: int
    halo_px: int
    dates: int = 1
    bands: tuple[str, ...] = ()
    psf: str = "none"
    training_data: str = "none"
    licence: str = "Apache-2.0"
    limits: str = ""
    weights_sha256: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Score, ...] = ()

    def bands_of(self, held: Iterable[Band]) -> tuple[str, ...]:
        """The bands it is given of those there are: its own, or every 10 m band."""
        return self.bands or tuple(band.name for band in held if band.gsd_m == 10)

    @property
    def key(self) -> str:
        """Id and the beginning of the digest: the name of the model's group in a cube."""
        return f"{self.id}-{self.weights_sha256[:8]}"

    def document(self) -> dict[str, Any]:
        """The card as products and files keep it.

        Without `metrics`: a figure measured later makes no other model.
        """
        whole = self.full_document()
        del whole["metrics"]
        return whole

    def full_document(self) -> dict[str, Any]:
        """The whole card as JSON holds it; `card_from` is the way back."""
        scores = [asdict(score) for score in self.metrics]
        return asdict(self) | {"bands": list(self.bands), "metrics": scores}


def card_from(document: Mapping[str, Any]) -> ModelCard:
    """The card of a document that `document` or `full_document` made.

    Raises TypeError for fields that no card has.
    """
    scores = tuple(Score(**score) for score in document.get("metrics", ()))
    return ModelCard(**{**document, "bands": tuple(document["bands"]), "metrics": scores})


def settings_sha256(settings: Mapping[str, Any]) -> str:
    """Digest of settings that determine a model's numbers."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
