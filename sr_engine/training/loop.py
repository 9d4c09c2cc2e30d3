"""The loop: draw, step, log, validate, checkpoint; stopped at any moment, it goes on the same.

All chance in step n comes from (seed, n), so that a resumed training needs no generator's state
to make the very numbers that an uninterrupted one makes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sr_engine.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from sr_engine.training.config import LoopSettings
from sr_engine.training.log import RunLog

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
LOWEST_RATE = 0.01  # of the highest, at the end of the cosine

Picture = NDArray[np.uint8]  # (y, x, 3)


@dataclass(frozen=True)
class Validation:
    """How good the weights are: `score`, higher is better, chooses the ones that are kept."""

    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)


class Task(Protocol):
    """What is trained, and on what."""

    @property
    def module(self) -> nn.Module:
        """The weights in training, on the device where they are trained."""

    def losses(self, rng: np.random.Generator, step: int) -> Mapping[str, Tensor]:
        """Scalars of one batch drawn with `rng`; "loss" is minimised, the others are logged."""

    def validate(self, module: nn.Module) -> Validation:
        """Judge these weights (in evaluation mode, without gradients), on data of no batch."""


@dataclass(frozen=True)
class Run:
    """Where and how: `fingerprint` of all settings tells whether a folder's run is this one."""

    folder: Path
    seed: int
    settings: LoopSettings
    fingerprint: str
    tell: Callable[[str], None] = print


def train(task: Task, run: Run) -> nn.Module:
    """Train to the last step, from the folder's checkpoint if it has one.

    Returns the best weights that a validation saw. The folder then holds `checkpoint.pt`,
    `best.pt`, `log.jsonl`, TensorBoard's events and pictures of the last validation. Raises
    Conflict where the folder's checkpoint is of other settings, Damaged where it is unreadable.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    trainer = _Trainer(task, run)
    with RunLog(run.folder, run.settings.steps, trainer.step, run.tell) as log:
        while trainer.step < run.settings.steps:
            values = trainer.advance()
            if trainer.due(run.settings.log_every):
                log.scalars(trainer.step, "train", values())
            if trainer.due(run.settings.validate_every):
                trainer.validate(log)
            if trainer.due(run.settings.checkpoint_every):
                trainer.save()
    return trainer.best()


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Trainer:
    """Weights, their running mean, the optimiser and the step that comes next."""

    def __init__(self, task: Task, run: Run) -> None:
        self._task, self._run, self.step = task, run, 0
        torch.manual_seed(run.seed)
        self._optimiser = AdamW(
            [weight for weight in task.module.parameters() if weight.requires_grad],
            lr=run.settings.learning_rate,
            weight_decay=run.settings.weight_decay,
        )
        decay = get_ema_multi_avg_fn(run.settings.average)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(task.module, multi_avg_fn=decay, use_buffers=True)
        self._score = -math.inf
        self._resume()

    def advance(self) -> Callable[[], dict[str, float]]:
        """One step; what it returns reads the losses, which may wait for a GPU."""
        torch.manual_seed(self._run.seed * 1_000_003 + self.step)
        rng = np.random.default_rng([self._run.seed, self.step])
        rate = learning_rate(self.step, self._run.settings)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._task.module.train()
        losses = self._task.losses(rng, self.step)
        self._optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._task.module.parameters(), self._run.settings.clip_norm)
        self._optimiser.step()
        self._average.update_parameters(self._task.module)
        self.step += 1
        return lambda: {name: float(v.detach()) for name, v in losses.items()} | {"rate": rate}

    def due(self, every: int) -> bool:
        """Whether something that happens every so many steps, and at the end, is to happen."""
        return self.step % every == 0 or self.step == self._run.settings.steps

    def validate(self, log: RunLog) -> None:
        """Judge the running mean; keep it if nothing before was better."""
        kept = self._average.module.eval()
        with torch.inference_mode():
            found = self._task.validate(kept)
        log.scalars(self.step, "validation", {"score": found.score, **found.metrics})
        log.pictures(self.step, found.pictures)
        if found.score > self._score:
            self._score = found.score
            write_checkpoint(self._run.folder / BEST, self._checkpoint())

    def save(self) -> None:
        """Keep all that the next step needs."""
        write_checkpoint(self._run.folder / CHECKPOINT, self._checkpoint())

    def best(self) -> nn.Module:
        """The task's module with the best weights a validation saw."""
        kept = read_checkpoint(self._run.folder / BEST, self._run.fingerprint)
        self._average.load_state_dict(kept.average)
        module: nn.Module = self._average.module
        return module.eval()

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            step=self.step,
            fingerprint=self._run.fingerprint,
            score=self._score,
            module=self._task.module.state_dict(),
            average=self._average.state_dict(),
            optimiser=self._optimiser.state_dict(),
        )

    def _resume(self) -> None:
        path = self._run.folder / CHECKPOINT
        if not path.exists():
            return
        kept = read_checkpoint(path, self._run.fingerprint)
        self._task.module.load_state_dict(kept.module)
        self._average.load_state_dict(kept.average)
        self._optimiser.load_state_dict(kept.optimiser)
        self.step, self._score = kept.step, kept.score


def learning_rate(step: int, settings: LoopSettings) -> float:
    """The rate of one step: a linear rise, then half a cosine down to a hundredth."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    span = max(settings.steps - settings.warmup_steps, 1)
    fallen = 0.5 + 0.5 * math.cos(math.pi * (step - settings.warmup_steps) / span)
    return settings.learning_rate * (LOWEST_RATE + (1 - LOWEST_RATE) * fallen)
