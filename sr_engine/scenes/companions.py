"""What can be told beside a super-resolved scene: planes of the model, or of a companion.

A companion is anything else of ours that looks at a block after the model has made it: an
interval for its error, an audit of its detail. It is named here, and made where it belongs.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from datacube.errors import InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.model import Model, Prediction, Reflectance
from sr_engine.trust.domain import Acquisition

# name: function of a model that gives its companion; imported only when it is asked for
COMPANIONS = {
    "interval": "sr_engine.trust.companion:interval_companion",
    "audit": "sr_engine.audit.companion:audit_companion",
    "saliency": "sr_engine.explain.companion:saliency_companion",
}


@dataclass(frozen=True, eq=False)
class MadeBlock:
    """A block as a companion sees it: with its halo on every side.

    `measured` (band, y + 2 halo, x + 2 halo) is NaN where there is no data or no scene;
    `prediction` is of the same ground, `factor` times finer, with the planes that are needed.
    `taken` says how the measurement came to be.
    """

    bands: tuple[str, ...]
    factor: int
    halo_px: int
    measured: Reflectance
    prediction: Prediction
    taken: Acquisition = field(default_factory=Acquisition)


class Companion(Protocol):
    """Tells more of a block than the model does; a pure function of what lies in its halo."""

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """What it tells, one value for each fine pixel."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the model's planes that it needs."""

    @property
    def halo_px(self) -> int:
        """How far around a pixel it looks, in measured pixels, beyond what the model does."""

    def tell(self, block: MadeBlock) -> Mapping[str, Reflectance]:
        """Its planes (factor y, factor x) of the block without the halo; NaN for no data."""


@dataclass(frozen=True)
class Extras:
    """What is told beside the reflectance: planes of the model, and companions by name."""

    planes: tuple[PlaneSpec, ...] = ()
    companions: tuple[tuple[str, Companion], ...] = ()

    @property
    def halo_px(self) -> int:
        """The furthest that any companion looks."""
        return max((one.halo_px for _, one in self.companions), default=0)

    @property
    def asked(self) -> tuple[str, ...]:
        """The model's planes to compute: those to keep, and those that companions need."""
        needed = (name for _, one in self.companions for name in one.needs)
        return tuple(dict.fromkeys((*(plane.name for plane in self.planes), *needed)))

    def layers(self) -> tuple[tuple[str, PlaneSpec], ...]:
        """Every plane that is kept, with the name of what tells it."""
        own = [(plane.name, plane) for plane in self.planes]
        return (*own, *((name, plane) for name, one in self.companions for plane in one.planes))


def find_extras(names: tuple[str, ...], model: Model) -> Extras:
    """What is to be told beside a model's image; raises InvalidInput for what is not there."""
    planes = {plane.name: plane for plane in model.planes}
    unknown = [name for name in names if name not in planes and name not in COMPANIONS]
    if unknown or len(set(names)) < len(names):
        raise InvalidInput(
            f"{model.card.id} has no {', '.join(unknown)[:80] or 'product twice'}; --with takes "
            f"each once of {', '.join([*planes, *COMPANIONS])}"
        )
    return Extras(
        tuple(planes[name] for name in names if name in planes),
        tuple((name, _companion(name, model)) for name in names if name not in planes),
    )


def _companion(name: str, model: Model) -> Companion:
    module, _, attribute = COMPANIONS[name].partition(":")
    try:
        make: Callable[[Model], Companion] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise InvalidInput(f"--with {name} is not there yet; leave it out") from error
    return make(model)
