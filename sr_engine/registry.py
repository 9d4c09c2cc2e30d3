"""The models there are, by id: ours, those of other packages, and those a user imported."""

import logging
from functools import cache

from datacube.errors import InvalidInput, NotFound
from sr_engine.bicubic import bicubic
from sr_engine.default.shipped import default_model
from sr_engine.fusion.model import FusionModel
from sr_engine.imported import imported_models, models_folder
from sr_engine.l1b.shipped import rec_model
from sr_engine.model import Model, PatchModel
from sr_engine.plugins import plugin_models
from sr_engine.sharpen.model import sharpen20
from sr_engine.wiener import wiener

DEFAULT_MODEL = "default-x4"
DEFAULT = "default"  # the name of the default model's family, whichever that is

log = logging.getLogger("srcube.models")


@cache
def models() -> dict[str, Model]:
    """Every model, the default first and the baseline last.

    What cannot be used is left out with one line of warning: an id that is taken, a package
    whose factory fails, an imported model whose files are not what was recorded.
    """
    imported, imported_complaints = imported_models(models_folder())
    foreign, foreign_complaints = plugin_models()
    for complaint in (*imported_complaints, *foreign_complaints):
        log.warning("%s", complaint)
    baselines: list[Model] = [bicubic(4), bicubic(2)]
    own = _built_in()
    taken = {model.card.id for model in (*own, *baselines)} | {DEFAULT}
    guests = []
    for model in (*imported, *foreign):
        if model.card.id in taken:
            log.warning("a second model %s is left out: the id is taken", model.card.id)
            continue
        taken.add(model.card.id)
        guests.append(model)
    return {model.card.id: model for model in (*own, *guests, *baselines)}


def find_model(model_id: str) -> Model:
    """The model of this id, or the default one by the name `default`.

    Raises NotFound naming those there are.
    """
    try:
        return models()[DEFAULT_MODEL if model_id == DEFAULT else model_id]
    except KeyError:
        known = ", ".join(models())
        raise NotFound(f"no model {model_id[:80]!r}; the models are {known}") from None


def find_patch_model(model_id: str) -> PatchModel:
    """The model of this id, which takes one date; raises InvalidInput for one of several."""
    model = find_model(model_id)
    if not isinstance(model, PatchModel):
        raise InvalidInput(f"{model_id} takes several dates of a cube, not one image")
    return model


def choose_model(name: str, factor: int | None = None) -> Model:
    """A model by its id, or by the name of its family (`default`, `rec`, `wiener`) and a factor.

    Without a factor a family gives the one it lists first, `default` the default model. Raises
    NotFound for a name that nothing has, InvalidInput for a factor that the model lacks.
    """
    if name in models() or (name == DEFAULT and factor is None):
        chosen = find_model(name)
        if factor in {None, chosen.card.factor}:
            return chosen
    family = _family(DEFAULT_MODEL if name == DEFAULT else name)
    if not family:
        return find_model(name)  # which raises, naming all there are
    fitting = [model for model in family if factor in {None, model.card.factor}]
    if not fitting or name in models():
        offered = ", ".join(f"{model.card.id} (x{model.card.factor})" for model in family)
        raise InvalidInput(f"{name[:80]} has no factor {factor}; there is {offered}")
    return fitting[0]


def family_of(model_id: str) -> str:
    """The id without its factor: `wiener` of `wiener-x4`."""
    family, _, factor = model_id.rpartition("-x")
    return family if family and factor.isdigit() else model_id


def _family(name: str) -> list[Model]:
    return [model for model in models().values() if family_of(model.card.id) == family_of(name)]


def _built_in() -> list[Model]:
    learnt: list[Model] = [default_model(4), default_model(2), rec_model(), sharpen20()]
    return [*learnt, wiener(4), wiener(2), FusionModel(4), FusionModel(2)]
