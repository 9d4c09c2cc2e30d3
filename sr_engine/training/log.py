"""What a training tells while it runs: TensorBoard, a file of JSON lines, a line of progress."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PROGRESS_S = 10.0  # seconds between lines of progress


class RunLog:
    """Writes what happens into the folder of a run; a context manager."""

    def __init__(
        self, folder: Path, steps: int, first_step: int, tell: Callable[[str], None]
    ) -> None:
        self._folder, self._steps, self._first, self._tell = folder, steps, first_step, tell
        self._started = self._told = time.monotonic()
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes a second

        self._writer = SummaryWriter(str(self._folder))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def scalars(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Numbers of a step, `group` being "train" or "validation"."""
        for name, value in values.items():
            if self._writer is not None:
                self._writer.add_scalar(f"{group}/{name}", value, step)
        line = {"step": step, "group": group, **{name: float(v) for name, v in values.items()}}
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        now = time.monotonic()
        if group != "train" or now - self._told > PROGRESS_S or step == self._steps:
            self._told = now
            self._tell(self._line(step, group, values, now))

    def pictures(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Pictures (y, x, 3) of a validation; as PNG only those of the last one."""
        for name, picture in pictures.items():
            if self._writer is not None:
                self._writer.add_image(name, picture, step, dataformats="HWC")
            Image.fromarray(picture).save(self._folder / f"{name}.png")

    def _line(self, step: int, group: str, values: Mapping[str, float], now: float) -> str:
        left_s = (now - self._started) / max(step - self._first, 1) * (self._steps - step)
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        return f"step {step}/{self._steps}  {group}  {numbers}  ({left_s / 60:.0f} min left)"
