"""A training's state in one file, replaced whole or not at all."""

import os
import pickle
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from datacube.errors import Conflict, Damaged


@dataclass(frozen=True)
class Checkpoint:
    """What the step after `step` needs: weights, their running mean, the optimiser's moments."""

    step: int
    fingerprint: str
    score: float
    module: dict[str, Any]
    average: dict[str, Any]
    optimiser: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write beside the file, then put it in its place: a kill leaves the old or the new one."""
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        torch.save(asdict(checkpoint), file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_checkpoint(path: Path, fingerprint: str) -> Checkpoint:
    """Read a checkpoint of the run with this fingerprint.

    Raises Damaged for a file that is no checkpoint, Conflict for one of other settings.
    """
    if not zipfile.is_zipfile(path):  # else torch would take the bytes for an old pickle
        raise Damaged(f"{path} is no checkpoint of a training, or was cut short")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        kept = Checkpoint(**values)
    except (OSError, RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
        raise Damaged(f"{path} is no checkpoint of a training: {error}"[:300]) from error
    if kept.fingerprint != fingerprint:
        raise Conflict(
            f"{path} belongs to a training with other settings; choose another folder, or delete "
            "this one to begin anew"
        )
    return kept
