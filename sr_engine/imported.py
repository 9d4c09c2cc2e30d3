"""Models whose weights a user has brought: checked once, kept as safetensors, found by their id.

A folder for each, `<id>/model.json` and `<id>/weights.safetensors`. The record holds the card and
the weights' digest; the network itself comes from code, chosen by the record's format, and its
weights are read when it is first asked for an image.
"""

import importlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datacube.errors import Conflict, InvalidInput
from datacube.settings import Settings
from sr_engine.card import ModelCard, card_from
from sr_engine.weights import ModelRejected, file_sha256

if TYPE_CHECKING:
    from torch import Tensor

    from sr_engine.model import Model

MODEL_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
RECORD, WEIGHTS = "model.json", "weights.safetensors"

# Where each format is read and its network made; imported only when it is asked for.
FORMATS = {
    "l1bsr": "sr_engine.l1b.published:L1BSR",
    "sen2sr": "sr_engine.adapters.sen2sr:SEN2SR",
    "ldsr": "sr_engine.adapters.ldsr:LDSR",
}


@dataclass(frozen=True, eq=False)
class Weights:
    """What a file of somebody else's turned out to hold: tensors by name, and whose they are."""

    card: ModelCard
    tensors: "Mapping[str, Tensor]"


@dataclass(frozen=True)
class ImportFormat:
    """One kind of file that models come in.

    `read` checks a file and gives what it holds, or raises ModelRejected; `make` gives the model
    of a card whose weights lie in a safetensors file, which it reads when first asked for an
    image, against the card's digest.
    """

    read: Callable[[Path], Weights]
    make: "Callable[[ModelCard, Path], Model]"


def models_folder() -> Path:
    """Where imported models are kept: SRCUBE_MODELS, by default beside the cubes."""
    return Settings.from_environment().models_folder


def import_model(file: Path, form: str, *, folder: Path | None = None) -> ModelCard:
    """Check a file, keep its weights in the folder of models, and give the new model's card.

    Raises ModelRejected for a file that does not hold what it should, Conflict where a model of
    this id is kept already.
    """
    weights = find_format(form).read(file)
    model_id = weights.card.id
    if not MODEL_ID.fullmatch(model_id):
        raise ModelRejected(f"need a model id of a-z, 0-9, '.' and '-', got {model_id[:80]!r}")
    folder = folder or models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / model_id
    if place.exists():
        raise Conflict(f"{model_id} was imported before; delete {place} to import it anew")
    with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as beside:
        new = Path(beside) / model_id
        card = _write(new, form, weights)
        new.rename(place)
    return card


def imported_models(folder: Path) -> "tuple[list[Model], list[str]]":
    """The models kept in a folder, by id, and one line for each that cannot be used."""
    found: list[Model] = []
    complaints = []
    for record in sorted(folder.glob(f"*/{RECORD}")):
        try:
            found.append(_load(record))
        except (InvalidInput, OSError) as error:
            complaints.append(f"{record.parent.name} is left out: {error}")
    return found, complaints


def find_format(name: str) -> ImportFormat:
    """How files of a format are read; raises InvalidInput for one that is not known."""
    if name not in FORMATS:
        raise InvalidInput(f"need --from {', '.join(FORMATS)}, got {name[:40]!r}")
    module, _, attribute = FORMATS[name].partition(":")
    try:
        found: ImportFormat = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise InvalidInput(f"{name} cannot be read here: there is no {error.name}") from error
    return found


def forget_import(folder: Path, model_id: str) -> None:
    """Delete an imported model; raises InvalidInput where there is none of this id."""
    place = folder / model_id
    if not MODEL_ID.fullmatch(model_id) or not (place / RECORD).is_file():
        raise InvalidInput(f"no imported model {model_id[:80]!r}")
    shutil.rmtree(place)


def _write(folder: Path, form: str, weights: Weights) -> ModelCard:
    from safetensors.torch import save_file  # noqa: PLC0415 - torch, only when asked for

    folder.mkdir()
    tensors = {name: tensor.contiguous().clone() for name, tensor in weights.tensors.items()}
    save_file(tensors, folder / WEIGHTS)
    card = replace(weights.card, weights_sha256=file_sha256(folder / WEIGHTS))
    record = {"format": form, "card": card.full_document()}
    (folder / RECORD).write_text(json.dumps(record, indent=2), "utf-8")
    return card


def _load(record: Path) -> "Model":
    try:
        document: Any = json.loads(record.read_text("utf-8"))
        form, card = document["format"], card_from(document["card"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelRejected(f"{RECORD} is no record of an imported model") from error
    if card.id != record.parent.name:
        raise ModelRejected(f"its record is of {str(card.id)[:80]!r}")
    return find_format(str(form)).make(card, record.with_name(WEIGHTS))
