"""Fit a SplatField to observations by gradients, and stop before noise is fitted.

The loss is the mean squared residual in units of each band's spread plus a Huber total
variation of the splats. A few observed pixels are held out of it: when their residual no
longer falls, the fit goes back to the best state seen. (Without that, 80 iterations of
conjugate gradients were once seen to lose 1 dB to noise.)
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from sr_engine.fusion.splat import SplatField

HUBER = 0.05  # of the band's spread: below it differences are noise, above it edges
CHECK_EVERY = 10
TURN = 25
PATIENCE = 3
REPORT_EVERY = 25
WEIGHT_RATE, SHIFT_RATE = 0.05, 0.002

Progress = Callable[[int, float], None]


def silent(_iterations: int, _loss: float) -> None:
    """Report to nobody."""


@dataclass
class Fitting:
    """Observations (date, band, y, x) in units of spread, what to fit and what to hold out."""

    observed: torch.Tensor
    fitted: torch.Tensor
    held_out: torch.Tensor
    losses: list[float] = field(default_factory=list)
    progress: Progress = silent

    @classmethod
    def of(
        cls, values: NDArray[np.float32], share: float, seed: int, progress: Progress = silent
    ) -> "Fitting":
        """Hold a `share` of the seen pixels of `values` out, the same in all bands."""
        observed = torch.from_numpy(values)
        seen = torch.isfinite(observed)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.rand(observed[:, :1].shape, generator=generator) < share
        return cls(torch.nan_to_num(observed), seen & ~drawn, seen & drawn, progress=progress)

    def loss(self, model: SplatField, tv: float) -> torch.Tensor:
        """What is minimised."""
        squares = (model() - self.observed) ** 2
        loss: torch.Tensor = (squares * self.fitted).sum() / self.fitted.sum()
        if tv:
            loss = loss + tv * huber_variation(model.weights)
        return loss

    def _record(self, loss: float) -> None:
        self.losses.append(loss)
        if len(self.losses) % REPORT_EVERY == 0:
            self.progress(len(self.losses), loss)

    def held_out_error(self, model: SplatField) -> float:
        """Mean squared residual of what was held out."""
        with torch.no_grad():
            squares = (model() - self.observed) ** 2
            total = (squares * self.held_out).sum() / self.held_out.sum().clamp_min(1)
        return float(total)

    def adam(self, model: SplatField, iterations: int, tv: float, *, anneal: bool = False) -> None:
        """Descend on weights and shifts together; `anneal` lets `tv` fall to zero on the way."""
        optimiser = torch.optim.Adam(
            [
                {"params": [model.weights], "lr": WEIGHT_RATE},
                {"params": [model.shifts_px], "lr": SHIFT_RATE if _tells_shifts(model) else 0.0},
            ]
        )
        best = _Best(self.held_out_error(model), model)
        for step in range(iterations):
            left = 1 - step / iterations if anneal else 1.0
            optimiser.zero_grad()
            loss = self.loss(model, tv * left)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            self._record(float(loss.detach()))
            if (step + 1) % CHECK_EVERY == 0 and best.is_over(self.held_out_error(model), model):
                break
        best.restore(model)

    def lbfgs(self, model: SplatField, iterations: int, tv: float) -> None:
        """Minimise over weights and shifts in turn, 25 steps and five at a time.

        Long turns, because each starts without the curvature that the last one learnt.
        """
        best = _Best(self.held_out_error(model), model)
        for _ in range(max(1, iterations // TURN)):
            self._lbfgs_block(model, model.weights, TURN, tv)
            if _tells_shifts(model):
                self._lbfgs_block(model, model.shifts_px, 5, tv)
            if best.is_over(self.held_out_error(model), model):
                break
        best.restore(model)

    def _lbfgs_block(
        self, model: SplatField, parameter: torch.nn.Parameter, steps: int, tv: float
    ) -> None:
        # The loss is a mean, its gradient per splat tiny: torch's own tolerances stop too soon.
        optimiser = torch.optim.LBFGS(
            [parameter],
            max_iter=steps,
            history_size=10,
            tolerance_grad=1e-12,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

        def closure() -> torch.Tensor:
            model.zero_grad()
            loss = self.loss(model, tv)
            loss.backward()  # type: ignore[no-untyped-call]
            self._record(float(loss.detach()))
            return loss

        optimiser.step(closure)  # type: ignore[no-untyped-call]


class _Best:
    """The state with the least held-out error, and how long ago it was."""

    def __init__(self, error: float, model: SplatField) -> None:
        self.error, self.worse = error, 0
        self.state = {name: value.clone() for name, value in model.state_dict().items()}

    def is_over(self, error: float, model: SplatField) -> bool:
        """Take note of a new `error`; whether nothing has improved for too long."""
        if error < self.error:
            self.error, self.worse = error, 0
            self.state = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            self.worse += 1
        return self.worse >= PATIENCE

    def restore(self, model: SplatField) -> None:
        """Put the best state back."""
        model.load_state_dict(self.state)


def _tells_shifts(model: SplatField) -> bool:
    return model.grid.per_px > 1


def huber_variation(weights: torch.Tensor) -> torch.Tensor:
    """Mean Huber penalty of the differences of neighbours, in both directions."""
    total = torch.zeros(())
    for axis in (-1, -2):
        steps = weights.diff(dim=axis).abs()
        inside = steps < HUBER
        total = total + torch.where(inside, steps**2 / (2 * HUBER), steps - HUBER / 2).mean()
    return total
