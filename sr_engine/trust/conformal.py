"""Making a calibration, and judging it where it was not made.

Every place counts the same, however large it is: a new scene is another place, not another
pixel, and pixels of one place err together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from datacube.errors import InvalidInput
from sr_engine.bicubic import bicubic
from sr_engine.default.evaluation import RIM_PX, Sample, padded
from sr_engine.model import PatchModel
from sr_engine.planes import BAND_SCALES, SCALE
from sr_engine.trust.calibration import LEVELS, Calibration, in_domain, scale_plane

Flat = NDArray[np.float32]
WORST = 0.1  # the share of pixels that count as the worst errors
QUINTILES = 5
SMALLEST_SHARE = 0.01  # of a place's pixels, below which a stratum of it says nothing
NDVI_VEGETATION, NDWI_WATER = 0.4, 0.0


@dataclass(frozen=True, eq=False)
class Trial:
    """One image of a place: error and scale (band, pixel), and what pixels may be told apart by.

    `strata` are masks (band, pixel) by name; `controls` are other guesses of where errors are
    large, (pixel,), by name.
    """

    place: str
    bands: tuple[str, ...]
    error: Flat
    scale: Flat
    overall: Flat
    strata: Mapping[str, NDArray[np.bool_]]
    controls: Mapping[str, Flat]


def run_trials(model: PatchModel, samples: Sequence[Sample]) -> list[Trial]:
    """Super-resolve every sample and compare with its truth, in the domain of calibration.

    Raises InvalidInput for a model that tells no scale for each band.
    """
    told = {plane.name for plane in model.planes}
    missing = [name for name in _wanted() if name not in told]
    if missing:
        raise InvalidInput(f"{model.card.id} tells no {missing[0]}; it cannot be calibrated")
    return [_trial(model, sample) for sample in samples]


def calibrate(model: PatchModel, trials: Sequence[Trial]) -> Calibration:
    """Multipliers such that intervals hold their share of the errors, places counting alike."""
    bands = [band for band in BAND_SCALES if any(band in trial.bands for trial in trials)]
    multipliers = {
        level: {band: _quantile(trials, band, float(level)) for band in bands} for level in LEVELS
    }
    return Calibration(
        model=model.card.id,
        weights_sha256=model.card.weights_sha256,
        multipliers=multipliers,
        places=tuple(sorted({trial.place for trial in trials})),
        pixels=sum(trial.error.shape[1] for trial in trials) // model.card.factor**2,
    )


def judged(calibration: Calibration, trials: Sequence[Trial]) -> dict[str, float]:
    """What a calibration holds at the trials' places, and how well errors are foretold.

    Coverages are means over places; a stratum's is over the places that have it. Spearman's
    correlation and the area under the ROC curve are of the scale with the rms error over bands.
    """
    found = {f"coverage_{level[2:]}": _coverage(calibration, trials, level) for level in LEVELS}
    names = sorted({name for trial in trials for name in trial.strata})
    strata = {name: _coverage(calibration, trials, "0.90", name) for name in names}
    known = {name: value for name, value in strata.items() if np.isfinite(value)}
    found["coverage_90_worst_stratum"] = min(known.values())
    found |= {f"coverage_90_{name}": value for name, value in known.items()}
    found["spearman_error"] = _over_places(trials, _spearman)
    found["auroc_worst_decile"] = _over_places(trials, lambda one: _auroc(one, one.overall))
    return found | {
        f"auroc_{name}_control": _over_places(trials, partial(_auroc_control, name=name))
        for name in ("detail_added", "local_gradient")
    }


def _trial(model: PatchModel, sample: Sample) -> Trial:
    factor, rim = model.card.factor, RIM_PX * model.card.factor
    inner = (slice(None), slice(rim, -rim), slice(rim, -rim))
    made = model.predict(padded(model, sample), sample.bands, planes=_wanted())
    baseline = bicubic(factor)
    plain = baseline.predict(padded(baseline, sample), sample.bands).reflectance
    known = in_domain(sample.lr).repeat(factor, axis=0).repeat(factor, axis=1)[inner[1:]]
    scales = np.stack([made.planes[scale_plane(band)] for band in sample.bands])
    gradient = np.stack([np.hypot(*np.gradient(plane)) for plane in plain])
    fine = made.reflectance
    detail = np.sqrt(np.mean((fine - plain) ** 2, axis=0))
    steep = np.sqrt(np.mean(gradient**2, axis=0))
    return Trial(
        place=sample.place,
        bands=sample.bands,
        error=np.abs(fine - sample.hr)[inner][:, known],
        scale=scales[inner][:, known],
        overall=made.planes[SCALE.name][inner[1:]][known],
        strata=_strata(sample.bands, plain[inner][:, known], gradient[inner][:, known]),
        controls={
            "detail_added": detail[inner[1:]][known],
            "local_gradient": steep[inner[1:]][known],
        },
    )


def _wanted() -> list[str]:
    return [SCALE.name, *(plane.name for plane in BAND_SCALES.values())]


def _strata(bands: tuple[str, ...], plain: Flat, gradient: Flat) -> dict[str, NDArray[np.bool_]]:
    """Quintiles of brightness and of local gradient, each of its band and image; land cover."""
    found = {}
    by: dict[str, Flat] = {"brightness": plain, "gradient": gradient}
    for name, values in by.items():
        ranks = np.stack([rankdata(band) / band.size for band in values])
        for fifth in range(QUINTILES):
            lower, upper = fifth / QUINTILES, (fifth + 1) / QUINTILES
            found[f"{name}_{fifth + 1}"] = (ranks > lower) & (ranks <= upper)
    return found | _land_cover(bands, plain)


def _land_cover(bands: tuple[str, ...], plain: Flat) -> dict[str, NDArray[np.bool_]]:
    """Water, vegetation and the rest by two indices, where there is a near infrared to tell."""
    if not {"B03", "B04", "B08"} <= set(bands):
        return {}
    green, red, nir = (plain[bands.index(band)] for band in ("B03", "B04", "B08"))
    with np.errstate(divide="ignore", invalid="ignore"):
        water = np.nan_to_num((green - nir) / (green + nir)) > NDWI_WATER
        vegetation = ~water & (np.nan_to_num((nir - red) / (nir + red)) > NDVI_VEGETATION)
    covers = {"water": water, "vegetation": vegetation, "bare_or_built": ~water & ~vegetation}
    return {name: np.broadcast_to(mask, plain.shape) for name, mask in covers.items()}


def _quantile(trials: Sequence[Trial], band: str, level: float) -> float:
    """The quantile of |error| / scale in one band, every place with the same weight.

    The finite-sample correction of conformal prediction, (n + 1) / n, is far below a thousandth
    here and left out.
    """
    own = [trial for trial in trials if band in trial.bands]
    images = {place: sum(t.place == place for t in own) for place in {t.place for t in own}}
    scores, weights = [], []
    for trial in own:
        row = trial.bands.index(band)
        scores.append(trial.error[row] / trial.scale[row])
        weights.append(np.full(scores[-1].size, 1 / images[trial.place] / scores[-1].size))
    score, weight = np.concatenate(scores), np.concatenate(weights)
    order = np.argsort(score)
    upto = np.cumsum(weight[order]) / weight.sum()
    at = int(np.searchsorted(upto, level))
    return float(score[order][min(at, len(order) - 1)])


def _coverage(
    calibration: Calibration, trials: Sequence[Trial], level: str, stratum: str | None = None
) -> float:
    """Share of (band, pixel) inside their interval, the mean over places that have the stratum.

    NaN where no place has it.
    """
    by_place: dict[str, list[float]] = {}
    for trial in trials:
        everywhere = np.ones(trial.error.shape, np.bool_)
        mask = trial.strata.get(stratum, ~everywhere) if stratum else everywhere
        if mask.mean() >= SMALLEST_SHARE:
            held = _held(calibration, trial, level)[mask]
            by_place.setdefault(trial.place, []).append(float(held.mean()))
    means = [float(np.mean(values)) for values in by_place.values()]
    return float(np.mean(means)) if means else float("nan")


def _held(calibration: Calibration, trial: Trial, level: str) -> NDArray[np.bool_]:
    widths = [
        calibration.half_width(scale, band, level)
        for scale, band in zip(trial.scale, trial.bands, strict=True)
    ]
    return np.asarray(trial.error <= np.stack(widths))


def _over_places(trials: Sequence[Trial], value: Callable[[Trial], float]) -> float:
    places = {trial.place for trial in trials}
    return float(
        np.mean([np.mean([value(t) for t in trials if t.place == place]) for place in places])
    )


def _spearman(trial: Trial) -> float:
    return float(spearmanr(trial.overall, _rms_error(trial)).statistic)


def _auroc(trial: Trial, guess: Flat) -> float:
    """Probability that the guess is larger at one of the worst tenth than elsewhere."""
    error = _rms_error(trial)
    worst = error > np.quantile(error, 1 - WORST)
    ranks, bad = rankdata(guess), int(worst.sum())
    above = ranks[worst].sum() - bad * (bad + 1) / 2
    return float(above / (bad * (worst.size - bad)))


def _auroc_control(trial: Trial, *, name: str) -> float:
    return _auroc(trial, trial.controls[name])


def _rms_error(trial: Trial) -> Flat:
    return np.asarray(np.sqrt(np.mean(trial.error**2, axis=0)), np.float32)
