"""The training loop: exact when resumed, refusing what it does not know, keeping the best."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datacube.errors import Conflict, Damaged, InvalidInput, NotFound
from sr_engine.training.config import LoopSettings, build, config_sha256, read_config
from sr_engine.training.loop import Run, Validation, learning_rate, train

SETTINGS = LoopSettings(
    steps=30, learning_rate=0.05, warmup_steps=3, average=0.8, log_every=5, validate_every=10,
    checkpoint_every=7,
)  # fmt: skip


class Line:
    """Fits a line to noisy points; dropout makes it use torch's own chance as well."""

    def __init__(self, stop_at: int | None = None) -> None:
        torch.manual_seed(4)
        self.module: nn.Module = nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.02))
        self._stop_at = stop_at

    def losses(self, rng: np.random.Generator, step: int) -> Mapping[str, Tensor]:
        if step == self._stop_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.normal(size=(16, 3)).astype(np.float32))
        error = self.module(x)[:, 0] - (2 * x[:, 0] - x[:, 1] + 0.5)
        return {"loss": (error**2).mean(), "largest": error.abs().max()}

    def validate(self, module: nn.Module) -> Validation:
        assert not module.training
        x = torch.eye(3)
        error = module(x)[:, 0] - (2 * x[:, 0] - x[:, 1] + 0.5)
        picture = np.full((4, 6, 3), 128, np.uint8)
        return Validation(-float((error**2).mean()), {"bias": float(error.mean())}, {"p": picture})


def run_in(folder: Path, settings: LoopSettings = SETTINGS) -> Run:
    return Run(folder, 11, settings, config_sha256(settings), lambda _line: None)


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def test_a_training_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = weights(train(Line(), run_in(tmp_path / "whole")))
    with pytest.raises(KeyboardInterrupt):
        train(Line(stop_at=17), run_in(tmp_path / "killed"))
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    resumed = weights(train(Line(), run_in(tmp_path / "killed")))
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value)


def test_a_training_learns_and_tells_what_it_did(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = replace(SETTINGS, steps=200, validate_every=50)
    task = Line()
    with torch.inference_mode():
        before = task.validate(task.module.eval()).score
    kept = train(task, replace(run_in(tmp_path, settings), tell=lines.append))
    with torch.inference_mode():
        assert task.validate(kept).score > before / 20
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["group"] == "validation"] == [50, 100, 150, 200]
    assert {"loss", "largest", "rate"} <= log[0].keys()
    assert any("step 200/200" in line for line in lines)
    assert list(tmp_path.glob("events.*"))
    assert (tmp_path / "p.png").exists()


def test_the_weights_kept_are_the_best_not_the_last(tmp_path: Path) -> None:
    class Worsening(Line):
        scores = iter((1.0, 3.0, 2.0))

        def validate(self, module: nn.Module) -> Validation:  # noqa: ARG002
            return Validation(next(self.scores))

    short = replace(SETTINGS, steps=20)
    best = weights(train(Worsening(), run_in(tmp_path / "worsening")))
    # Over the first 20 steps, the rate must be that of 30, so the run of 30 is stopped there.
    with pytest.raises(KeyboardInterrupt):
        train(
            Line(stop_at=20), run_in(tmp_path / "stopped", replace(SETTINGS, checkpoint_every=20))
        )
    kept = torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)
    assert kept["step"] == short.steps
    for name, value in best.items():
        np.testing.assert_array_equal(kept["average"][f"module.{name}"].numpy(), value)


def test_a_folder_of_other_settings_or_a_broken_checkpoint_is_refused(tmp_path: Path) -> None:
    train(Line(), run_in(tmp_path))
    with pytest.raises(Conflict, match="other settings"):
        train(Line(), run_in(tmp_path, replace(SETTINGS, steps=40)))
    (tmp_path / "checkpoint.pt").write_bytes(b"\x80\x02half a file")
    with pytest.raises(Damaged, match=r"checkpoint\.pt"):
        train(Line(), run_in(tmp_path))


def test_the_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = [learning_rate(step, SETTINGS) for step in range(31)]
    assert rates[:4] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05, 0.05])
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[3:]))
    assert rates[30] == pytest.approx(0.0005)


@dataclass(frozen=True)
class Shape:
    channels: int = 8
    sizes: tuple[int, ...] = (3, 5)


@dataclass(frozen=True)
class Config:
    seed: int
    loop: LoopSettings = field(default_factory=LoopSettings)
    shape: Shape = field(default_factory=Shape)


def test_settings_come_from_toml_with_their_types(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("seed = 7\n[loop]\nlearning_rate = 1\n[shape]\nsizes = [9, 1]\n")
    assert read_config(path, Config) == Config(7, LoopSettings(learning_rate=1.0), Shape(8, (9, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 7\nsteps = 3", "no setting steps"),
        ("seed = 7\n[loop]\nstep = 3", r"no setting loop\.step"),
        ("seed = '7'", "need int for seed"),
        ("seed = 7\nloop = 3", r"need a table \[loop\]"),
        ("seed = 7\n[shape]\nsizes = 3", "need an array"),
        ("seed = 7\n[loop]\nsteps = 0", "at least 1"),
        ("seed = 7\n[loop]\naverage = 1", "average"),
        ("seed = = 7", "not TOML"),
        ("", "seed"),
    ],
)
def test_a_configuration_that_is_not_understood_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_config(path, Config)


def test_a_configuration_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"b\.toml"):
        read_config(tmp_path / "b.toml", Config)
    assert build(Config, {"seed": 1}).seed == 1
