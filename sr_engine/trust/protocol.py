"""Which places a model is calibrated with and judged at, and the figures of the benchmark.

Calibrated with places whose truth is finer than the sensor (aerial images, simulated ground),
as in use; not with degraded Sentinel-2, whose errors are smaller and would make it too narrow.
"""

from dataclasses import replace
from pathlib import Path

from sr_engine.default.evaluation import read_samples
from sr_engine.default.places import places_of
from sr_engine.model import PatchModel
from sr_engine.registry import find_patch_model
from sr_engine.trust.calibration import Calibration, calibration_of
from sr_engine.trust.conformal import calibrate, judged, run_trials

FINE = ("sharp", "simulated")  # kinds of truth that are finer than the sensor


def calibrated(model: PatchModel, data: Path) -> Calibration:
    """Calibrate at the places kept for it, and judge at those of the test."""
    samples = read_samples("calibrate", model.card.factor, data)
    made = calibrate(model, run_trials(model, [one for one in samples if one.kind in FINE]))
    places = {place.id for place in places_of("test", factor=model.card.factor)}
    return replace(made, tested=tuple(sorted(places)), figures=tested(made, model, data))


def trust_figures(data: Path | None = None, model_id: str = "default-x2") -> dict[str, float]:
    """What the calibration holds: measured again where the data are, else as it was recorded."""
    model = find_patch_model(model_id)
    calibration = calibration_of(model.card)
    return dict(calibration.figures or {}) if data is None else tested(calibration, model, data)


def tested(calibration: Calibration, model: PatchModel, data: Path) -> dict[str, float]:
    """All figures over every place of the test, and the coverage by kind of truth.

    Kinds differ: Sentinel-2's own pixels, degraded, are easier than what is finer than them.
    """
    samples = read_samples("test", model.card.factor, data)
    trials = run_trials(model, samples)
    found = judged(calibration, trials)
    for kind in (*FINE, "wald"):
        own = [trial for trial, one in zip(trials, samples, strict=True) if one.kind == kind]
        found[f"coverage_90_{kind}"] = judged(calibration, own)["coverage_90"]
    return found
