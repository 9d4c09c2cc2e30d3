"""The models there are, by id."""

from functools import cache

from datacube.errors import InvalidInput, NotFound
from sr_engine.bicubic import bicubic
from sr_engine.fusion.model import FusionModel
from sr_engine.model import Model, PatchModel
from sr_engine.wiener import wiener

DEFAULT_MODEL = "wiener-x4"


@cache
def models() -> dict[str, Model]:
    """Every model, the default first and the baseline last."""
    built_in: list[Model] = [
        wiener(4),
        wiener(2),
        FusionModel(4),
        FusionModel(2),
        bicubic(4),
        bicubic(2),
    ]
    return {model.card.id: model for model in built_in}


def find_model(model_id: str) -> Model:
    """The model of this id; raises NotFound naming those there are."""
    try:
        return models()[model_id]
    except KeyError:
        known = ", ".join(models())
        raise NotFound(f"no model {model_id[:80]!r}; the models are {known}") from None


def find_patch_model(model_id: str) -> PatchModel:
    """The model of this id, which takes one date; raises InvalidInput for one of several."""
    model = find_model(model_id)
    if not isinstance(model, PatchModel):
        raise InvalidInput(f"{model_id} takes several dates of a cube, not one image")
    return model
