"""Models of other packages, which enter through an entry point of the group `srcube.models`.

    [project.entry-points."srcube.models"]
    mine = "my_package.models:make"

`make()` returns a model or several, with the interface of `sr_engine.model`. What another
package does wrong costs its own models and one line of warning, never the others.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from datacube.errors import InvalidInput
from sr_engine.card import ModelCard
from sr_engine.imported import MODEL_ID
from sr_engine.model import Model, PatchModel, SeriesModel

GROUP = "srcube.models"
FACTORS = (1, 2, 4, 8)


def plugin_models() -> tuple[list[Model], list[str]]:
    """Every model of the installed packages, and one line for each package that failed."""
    found: list[Model] = []
    complaints = []
    for point in sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        try:
            found += [checked(model) for model in _made(point)]
        except Exception as error:  # noqa: BLE001 (foreign code: it may raise anything at all)
            lines = str(error).strip().splitlines() or ["no message"]
            origin = point.dist.name if point.dist else "an unknown package"
            complaints.append(
                f"models of {point.name!r} ({origin}) are left out: "
                f"{type(error).__name__}: {lines[0][:200]}"
            )
    return found, complaints


def checked(model: Any) -> Model:
    """The object as a model; raises InvalidInput where it lacks a part of the interface."""
    card = getattr(model, "card", None)
    if not isinstance(card, ModelCard):
        raise InvalidInput(f"need a model with a ModelCard as `card`, got {type(model).__name__}")
    if not MODEL_ID.fullmatch(card.id):
        raise InvalidInput(f"need a model id of a-z, 0-9, '.' and '-', got {card.id[:80]!r}")
    if card.factor not in FACTORS or card.halo_px < 1:
        raise InvalidInput(
            f"need a factor of {', '.join(map(str, FACTORS))} and a halo of at least 1 px, "
            f"got {card.factor} and {card.halo_px} of {card.id}"
        )
    if not card.weights_sha256:
        raise InvalidInput(f"need weights_sha256 on the card of {card.id}: it names what it makes")
    if not isinstance(model, PatchModel | SeriesModel):
        raise InvalidInput(f"{card.id} is neither a PatchModel nor a SeriesModel")
    return model


def _made(point: EntryPoint) -> Iterable[Any]:
    made = point.load()()
    return list(made) if isinstance(made, Iterable) else [made]
