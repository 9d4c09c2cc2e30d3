"""Two experiments on simulated ground, where the error is known.

`psf_sweep` fuses with PSF widths that are right and wrong: sharper is not truer. `limits`
turns on one cause of error at a time. Both write CSV, charts and pictures to a folder.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datacube.registration import has_data
from datacube.simulation.landscape import Landscape, build_landscape
from sr_engine.fusion.chart import save_chart
from sr_engine.fusion.closed_form import fuse_closed_form
from sr_engine.fusion.fuse import fuse, prepare
from sr_engine.fusion.pictures import save_grid, save_row
from sr_engine.fusion.settings import FusionSettings, Stack
from sr_engine.fusion.trial import Trial, TrialPlan, bicubic_mean, simulate_trial, widened
from sr_engine.metrics import edge_contrast, psnr

Report = Callable[[str], None]
SIGMAS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)
FACTOR = 2


def psf_sweep(folder: Path, plan: TrialPlan, report: Report) -> None:
    """Fuse one trial with each of `SIGMAS`: error against truth and edge contrast over sigma."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = simulate_trial(plan)
    truth = trial.truth(FACTOR)
    baseline = psnr(bicubic_mean(trial.observations, FACTOR), truth)
    rows, images = [], []
    for sigma in SIGMAS:
        settings = FusionSettings(psf_sigma_px=sigma)
        image = fuse(trial.observations, trial.bands, FACTOR, settings).reflectance
        gain = psnr(image, truth) - baseline
        rows.append((sigma, gain, edge_contrast(image), edge_contrast(truth)))
        images.append(image)
        save_row(folder / f"sigma_{sigma:g}.png", [image], trial.bands)
        report(f"sigma {sigma:g} px: {gain:+.2f} dB, edge contrast {rows[-1][2]:.2f}")
    save_grid(folder / "comparison.png", images, trial.bands, columns=4)
    _save_csv(
        folder / "psf_sweep.csv",
        ("sigma_px", "gain_db", "edge_contrast", "true_edge_contrast"),
        rows,
    )
    sigmas, gains, contrasts, true = (list(column) for column in zip(*rows, strict=True))
    save_chart(
        folder / "edge_contrast.svg",
        "Sharper is not truer (simulated): edge contrast",
        ("PSF sigma assumed, px", "edge contrast"),
        sigmas,
        {"fused": contrasts, "truth": true},
    )
    save_chart(
        folder / "gain.svg",
        "Error against truth (simulated)",
        ("PSF sigma assumed, px", "PSNR gain over bicubic mean, dB"),
        sigmas,
        {f"x{FACTOR}": gains},
    )


@dataclass(frozen=True)
class Axis:
    """One cause of error: its values, and what a value does to the trial or to its stack."""

    name: str
    label: str
    values: tuple[float, ...]
    plan: Callable[[TrialPlan, float], TrialPlan] = lambda plan, _: plan
    spoil: Callable[[Trial, float], Trial] = lambda trial, _: trial
    move: Callable[[Stack, float], Stack] = lambda stack, _: stack


def limits(folder: Path, plan: TrialPlan, report: Report) -> None:
    """PSNR gain at x2 and x4 along each of `AXES`, everything else as in `plan`."""
    folder.mkdir(parents=True, exist_ok=True)
    landscape = build_landscape(plan.seed, plan.shape)
    for axis in AXES:
        rows = [(value, *_gains(axis, value, plan, landscape)) for value in axis.values]
        for value, two, four in rows:
            report(f"{axis.label} {value:g}: x2 {two:+.2f} dB, x4 {four:+.2f} dB")
        _save_csv(folder / f"{axis.name}.csv", (axis.name, "x2_gain_db", "x4_gain_db"), rows)
        values, twos, fours = (list(column) for column in zip(*rows, strict=True))
        save_chart(
            folder / f"{axis.name}.svg",
            f"What fusion gains (simulated), by {axis.label}",
            (axis.label, "PSNR gain over bicubic mean, dB"),
            values,
            {"x2": twos, "x4": fours},
        )


def _gains(axis: Axis, value: float, plan: TrialPlan, landscape: Landscape) -> tuple[float, float]:
    """At x2 and x4, where a date in use saw the ground."""
    trial = axis.spoil(simulate_trial(axis.plan(plan, value), landscape), value)
    settings = FusionSettings()
    stack = axis.move(prepare(trial.observations, trial.bands, settings).stack, value)
    unseen = ~has_data(stack.values).any(axis=0)
    gains = []
    for factor in (2, 4):
        truth = trial.truth(factor).copy()
        truth[:, unseen.repeat(factor, axis=0).repeat(factor, axis=1)] = np.nan
        fused = psnr(fuse_closed_form(stack, factor, settings)[0], truth)
        gains.append(fused - psnr(bicubic_mean(trial.observations, factor), truth))
    return gains[0], gains[1]


def _mistaken(trial: Trial, scale: float) -> Trial:
    """The same pixels, of bands whose PSF is taken to be `scale` times as wide."""
    return replace(trial, bands=tuple(widened(band, scale) for band in trial.bands))


def _misplaced(stack: Stack, error_px: float) -> Stack:
    """The same pixels, with shifts wrong by `error_px` rms; the first date holds the grid."""
    errors = np.random.default_rng(5).normal(0, error_px, stack.shifts_px.shape)
    errors[0] = 0
    return replace(stack, shifts_px=stack.shifts_px + errors)


def _save_csv(path: Path, header: Sequence[str], rows: Sequence[tuple[float, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        writer.writerows([f"{value:.6g}" for value in row] for row in rows)


AXES = (
    Axis(
        "dates",
        "number of observations",
        (1, 2, 4, 8, 16, 30),
        plan=lambda plan, value: replace(plan, dates=int(value)),
    ),
    Axis(
        "jitter_px",
        "jitter, px rms",
        (0.0, 0.05, 0.1, 0.15, 0.3, 0.5),
        plan=lambda plan, value: replace(plan, jitter_px=value),
    ),
    Axis(
        "psf_scale",
        "width of the true PSF, known, relative",
        (0.7, 0.85, 1.0, 1.2, 1.5),
        plan=lambda plan, value: replace(plan, psf_scale=value),
        spoil=_mistaken,
    ),
    Axis(
        "psf_error",
        "PSF assumed, relative to the true",
        (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3),
        spoil=_mistaken,
    ),
    Axis(
        "shift_error_px",
        "error of the shifts, px rms",
        (0.0, 0.01, 0.02, 0.05, 0.1),
        move=_misplaced,
    ),
    Axis(
        "cloud",
        "share of each date under cloud",
        (0.0, 0.1, 0.2, 0.4, 0.6),
        plan=lambda plan, value: replace(plan, cloud=value),
    ),
)
