"""The experiments behind the guidelines: `python -m sr_engine.audit.guidelines.make`.

All on simulated ground, integrated at 1.25 m through optics that the models do not know, so that
the error is known everywhere; simulated ground is cleaner than the Earth, and gains on it are
the most to be hoped for. Takes a few minutes of one core and rewrites the folder `figures`.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_engine.audit.evaluate import evaluate, interpolated
from sr_engine.audit.pairs import Triple
from sr_engine.audit.resolution import resolution_against, resolution_possible
from sr_engine.blocks import predict_patch
from sr_engine.fusion import fuse
from sr_engine.fusion.chart import save_chart
from sr_engine.fusion.trial import Trial, TrialPlan, simulate_trial
from sr_engine.metrics import psnr
from sr_engine.registry import find_patch_model

Image = NDArray[np.float32]
Figures = dict[str, Any]

FOLDER = Path(__file__).with_name("figures")
PLAN = TrialPlan(shape=(192, 224), psf="optics", seed=21)
FACTOR = 4
GSD_M = 10.0
DATES = (1, 2, 4, 8, 16)
INVENTED = (0.0, 0.01, 0.02, 0.04)  # amplitude of detail that no sensor saw, reflectance
WIDTHS = (0.7, 0.85, 1.0, 1.15, 1.3)  # of the true PSF, over the one that is assumed


def main(folder: Path = FOLDER) -> None:
    """Run every experiment and write figures.json and the charts."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    trial = simulate_trial(PLAN)
    figures = {
        "simulated": True,
        "place": f"simulated landscape {PLAN.seed}, {PLAN.shape[0]} x {PLAN.shape[1]} px of 10 m",
        "methods": methods(trial),
        "invented": invented(trial),
        "dates": dates(folder),
        "psf": psf_error(folder),
    }
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def methods(trial: Trial) -> dict[str, Figures]:
    """The audit of each method on one place, bicubic's row first."""
    fused = fuse(trial.observations, trial.bands, FACTOR).reflectance
    images = {"wiener-x4": _wiener(trial), "fusion of 8 dates": fused}
    rows: dict[str, Figures] = {}
    for name, image in images.items():
        rows |= evaluate(_triple(trial, image, name)).document["rows"]
    return rows


def invented(trial: Trial) -> list[Figures]:
    """Detail of a period that the sensor's pixel averages away, added where there is texture."""
    clean = _wiener(trial)
    rows, cols = np.mgrid[0 : clean.shape[1], 0 : clean.shape[2]]
    pattern = np.where((rows // 2 + cols // 2) % 2, 1.0, -1.0).astype(np.float32)
    found = []
    for amplitude in INVENTED:
        image = clean + np.float32(amplitude) * pattern
        row = evaluate(_triple(trial, image, "invented")).document["rows"]["invented"]
        kept = ("consistency_rms", "psnr_db", "improvement", "omission", "hallucination")
        found.append({"amplitude": amplitude, **{key: row[key] for key in kept}})
    return found


def dates(folder: Path) -> list[Figures]:
    """Shortest period carried, by number of dates: what is possible, and what fusion reaches."""
    trial = simulate_trial(replace(PLAN, dates=max(DATES), jitter_px=0.3))
    truth, gsd = trial.truth(FACTOR), GSD_M / FACTOR
    red = next(band for band in trial.bands if band.name == "B04")
    found: list[Figures] = []
    for count in DATES:
        some = trial.observations[:count]
        image = fuse(some, trial.bands, FACTOR).reflectance
        reached = resolution_against(_inner(image), _inner(truth), gsd).period_m
        possible = resolution_possible(red, GSD_M, dates=count).period_m
        found.append({"dates": count, "reached_m": reached, "possible_m": possible})
    lines = {name: [one[f"{name}_m"] for one in found] for name in ("reached", "possible")}
    axes = ("dates fused", "shortest period carried, m")
    save_chart(folder / "dates.svg", "Only more dates carry more (simulated)", axes, DATES, lines)
    return found


def psf_error(folder: Path) -> list[Figures]:
    """Gain over bicubic where the true PSF is wider or narrower than the one assumed."""
    found = []
    for width in WIDTHS:
        trial = simulate_trial(replace(PLAN, dates=1, psf="gaussian", psf_scale=width))
        triple = _triple(trial, _wiener(trial), "wiener-x4")
        truth = _inner(trial.truth(FACTOR))
        gain = psnr(_inner(triple.sr), truth) - psnr(_inner(interpolated(triple)), truth)
        found.append({"width": width, "gain_db": gain})
    axes = ("true PSF width over the assumed", "PSNR over bicubic, dB")
    lines = {"wiener-x4": [one["gain_db"] for one in found]}
    save_chart(folder / "psf.svg", "A wrong PSF costs gain (simulated)", axes, WIDTHS, lines)
    return found


def _wiener(trial: Trial) -> Image:
    model = find_patch_model("wiener-x4")
    rim = 2 * model.card.halo_px
    patch = np.pad(trial.observations[0], ((0, 0), (rim, rim), (rim, rim)), mode="edge")
    names = tuple(band.name for band in trial.bands)
    return predict_patch(model, patch, names, (), gsd_m=GSD_M).reflectance


def _triple(trial: Trial, image: Image, name: str) -> Triple:
    names = tuple(band.name for band in trial.bands)
    return Triple(name, names, FACTOR, GSD_M, trial.observations[0], image, trial.truth(FACTOR))


def _inner(image: Image) -> Image:
    rim = 8 * FACTOR
    return image[:, rim:-rim, rim:-rim]


if __name__ == "__main__":
    main()
