"""What a model says of itself, copied into everything it makes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelCard:
    """A model's identity, rules and limits.

    `bands` are the bands it was made for, empty for one that takes any 10 m band by itself.
    `halo_px` is the radius of its receptive field in pixels of the input, `dates` the most dates
    that one answer is made of. `psf` says which blur
    it assumes. `weights_sha256` pins its numbers; for a model without trained weights it is the
    digest of the settings from which its numbers follow.
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

    @property
    def key(self) -> str:
        """Id and the beginning of the digest: the name of the model's group in a cube."""
        return f"{self.id}-{self.weights_sha256[:8]}"

    def document(self) -> dict[str, Any]:
        """The card as JSON holds it."""
        return asdict(self) | {"bands": list(self.bands)}


def settings_sha256(settings: Mapping[str, Any]) -> str:
    """Digest of settings that determine a model's numbers."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
