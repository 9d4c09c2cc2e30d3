"""What is asked of a fusion, and what it answers."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from datacube.errors import InvalidInput

Method = Literal["closed_form", "adam", "lbfgs", "adam_lbfgs", "lbfgs_adam"]
Factor = Literal[2, 4, 8]


@dataclass(frozen=True)
class FusionSettings:
    """How to fuse; the defaults are the measured best.

    `psf_sigma_px`: one Gaussian width for all bands, in pixels of the observations, before
    the pixel box; None takes each band's own. `reference`: the date whose grid and radiometry
    the answer has; None is the first usable one. `match_radiometry` fits a gain and an offset
    per date and band. `allow_change` lets the ground differ between dates, and asks for that of
    the reference, leaving out dates of which more than `max_change` is other; without it the
    dates share one scene. `refills` are the rounds that replace cloud by what the fit predicts
    there. `prior_exponent` is that of the scene's power spectrum
    |f|^-exponent. `tv`, `c2f_levels` (grid spacings in finest splats), `iterations` and
    `held_out` belong to the iterative methods.
    """

    method: Method = "closed_form"
    psf_sigma_px: float | None = None
    reference: int | None = None
    register: bool = True
    max_shift_px: float = 3.0
    match_radiometry: bool = True
    allow_change: bool = True
    max_change: float = 0.3
    refills: int = 3
    prior_exponent: float = 3.0
    tv: float = 1e-3
    c2f_levels: tuple[int, ...] = (2, 4, 8)
    iterations: int = 150
    held_out: float = 0.02
    memory_limit_mb: int = 8192
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise InvalidInput(f"no method {self.method!r}; choose one of {get_args(Method)}")
        if self.psf_sigma_px is not None and not 0 <= self.psf_sigma_px <= 3:
            raise InvalidInput(f"need a PSF sigma of 0 to 3 px, got {self.psf_sigma_px}")
        if not 2 < self.prior_exponent < 5:
            raise InvalidInput(
                f"need a prior exponent between 2 (finite variance) and 5, "
                f"got {self.prior_exponent}"
            )
        if self.tv < 0 or self.refills < 0 or self.iterations < 1 or self.max_shift_px <= 0:
            raise InvalidInput(
                "need tv >= 0, refills >= 0, iterations >= 1 and max_shift_px > 0, got "
                f"{self.tv}, {self.refills}, {self.iterations} and {self.max_shift_px}"
            )
        if any(level < 2 for level in self.c2f_levels) or not 0 < self.held_out < 0.5:
            raise InvalidInput(
                "need c2f levels of at least 2 and a held-out share between 0 and 0.5, got "
                f"{self.c2f_levels} and {self.held_out}"
            )

    def as_tags(self) -> dict[str, Any]:
        """Every setting as JSON-ready values."""
        return asdict(self) | {"c2f_levels": list(self.c2f_levels)}


@dataclass(frozen=True)
class FusionResult:
    """The fused scene on the refined grid.

    `reflectance` and `sigma` (its posterior standard deviation, zero where the method gives
    none) are (band, y * factor, x * factor), NaN where no used date saw the pixel;
    `shifts_px` is (date, 2) as (dy, dx), zero for dates never registered; `used` (date,);
    `reasons` say why a date was left out, or are empty; `losses` is the course of an
    iterative method.
    """

    reflectance: NDArray[np.float32]
    sigma: NDArray[np.float32]
    shifts_px: NDArray[np.float64]
    used: NDArray[np.bool_]
    reasons: tuple[str, ...]
    factor: int
    settings: FusionSettings
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Stack:
    """Registered, radiometrically matched dates: `values` (date, band, y, x), NaN in gaps.

    `shifts_px` (date, 2), one `sigmas_px` per band, and the place of the `reference` date.
    `change` (date, band) is what `estimate_change` found, None where it was not asked.
    """

    values: NDArray[np.float32]
    shifts_px: NDArray[np.float64]
    sigmas_px: tuple[float, ...]
    reference: int = 0
    change: NDArray[np.float64] | None = None
