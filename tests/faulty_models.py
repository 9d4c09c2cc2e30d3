"""Models with something wrong with them, for worker processes that have to survive them.

A worker finds them by `find_faulty`, as it finds the sound ones by `find_model`. What one did
before is told by files in the folder named by FAULTY_MODELS, which worker processes inherit.
"""

import os
import resource
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from sr_engine.model import Model, Prediction, Reflectance
from sr_engine.polyphase import PolyphaseModel
from sr_engine.registry import find_model

FOLDER = "FAULTY_MODELS"
LONG_S = 600.0  # longer than any test waits


class FaultyModel(PolyphaseModel):
    """Bicubic, with an accident before each prediction."""

    def predict(
        self, patch: Reflectance, bands: tuple[str, ...], *, planes: Collection[str] = ()
    ) -> Prediction:
        _let_files_grow()
        with (folder() / "attempts").open("a") as file:
            file.write(f"{self.card.id}\n")
        ACCIDENTS[self.card.id]()
        return super().predict(patch, bands, planes=planes)


def folder() -> Path:
    return Path(os.environ[FOLDER])


def attempts(model_id: str) -> int:
    """How often a model was asked to predict."""
    path = folder() / "attempts"
    return path.read_text().split().count(model_id) if path.exists() else 0


def find_faulty(model_id: str) -> Model:
    """A faulty model by id, a sound one by any other."""
    if model_id not in ACCIDENTS:
        return find_model(model_id)
    sound = find_model("bicubic-x2")
    assert isinstance(sound, PolyphaseModel)
    return FaultyModel(replace(sound.card, id=model_id), sound.kernel)


def _break() -> None:
    raise ZeroDivisionError("no scale for this")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once() -> None:
    if attempts("deadly-once") == 1:
        _die()


def _sleep() -> None:
    time.sleep(LONG_S)


def _sleep_deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _sleep()


def _grab() -> None:
    np.ones(10**12)


def _fill() -> None:
    """Let no file of this process grow beyond ten bytes while the disk is said to be full."""
    if (folder() / "disk-is-full").exists():
        _let_files_grow(10)


def _let_files_grow(limit: int | None = None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if limit is None else limit, hard))


ACCIDENTS: dict[str, Callable[[], None]] = {
    "broken": _break,
    "deadly": _die,
    "deadly-once": _die_once,
    "slow": _sleep,
    "deaf": _sleep_deaf,
    "greedy": _grab,
    "filling": _fill,
}
