"""Judging models at places that none of them learnt from, the baseline beside each.

One table serves the record of the weights, the card and the benchmark. A place counts once,
however many images it has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from datacube.bands import find_bands
from sr_engine.audit.opensr import OpensrMeasures, measures
from sr_engine.bicubic import bicubic
from sr_engine.default.acquisition import Histogram, Pair, matched, record
from sr_engine.default.dataset import reference_histogram, shot_of
from sr_engine.default.network import BLUR_RADIUS_PX, blur_kernel
from sr_engine.default.places import Kind, Place, Role, places_of
from sr_engine.default.sources import Plane, Values, read_place
from sr_engine.metrics import psnr
from sr_engine.model import PatchModel

MARGIN_PX = 4.0  # left out at the edges of an image when it is recorded: optics reach so far
RIM_PX = 4  # measured pixels at each edge that are not judged: padding, not ground
IMAGES = 12  # of a place at most, evenly over them


@dataclass(frozen=True, eq=False)
class Sample:
    """One image of a place: `lr` (band, y, x) as recorded, and the truth `hr`."""

    place: str
    kind: Kind
    bands: tuple[str, ...]
    lr: Values
    hr: Values


@dataclass(frozen=True)
class Verdict:
    """One model at one place, means over its images: PSNR in dB, opensr-test's measures.

    `misfit_l1` is the mean absolute difference between the measurement and the result as the
    band's own optics would record it, in reflectance: opensr-test reduces by a triangle instead,
    by which the truth itself disagrees with what was measured of it.
    """

    place: str
    kind: Kind
    images: int
    psnr_db: float
    misfit_l1: float
    opensr: OpensrMeasures


def read_samples(
    role: Role, factor: int, data: Path, reference: Histogram | None = None
) -> list[Sample]:
    """Every place of a role as it would be measured.

    Sharp and simulated ground gets the sensor's noise; Sentinel-2's own pixels, which have
    theirs, get none, as the protocol of Wald has it.
    """
    known = reference or reference_histogram(data)
    return [
        sample
        for place in places_of(role, factor=factor)
        for sample in place_samples(place, factor, read_place(place.id, data), known)
    ]


def place_samples(
    place: Place, factor: int, planes: Sequence[Plane], reference: Histogram
) -> list[Sample]:
    """The images of one place."""
    images: dict[str, list[Pair]] = {}
    for plane in planes:
        shown = matched(plane.rows(place.rows), reference)
        shot = replace(shot_of(place, shown, factor), margin_px=MARGIN_PX)
        images.setdefault(plane.image, []).append(record(shown, shot))
    step = max(-(-len(images) // IMAGES), 1)
    return [_sample(place, pairs) for pairs in list(images.values())[::step]]


def judge(model: PatchModel, samples: Sequence[Sample]) -> list[Verdict]:
    """A verdict for each place among the samples."""
    return _judged(samples, model.card.factor, lambda sample: enlarged(model, sample))


def judge_truth(samples: Sequence[Sample], factor: int) -> list[Verdict]:
    """What a model would get that made the truth itself: where the scales of measures end."""
    return _judged(samples, factor, lambda sample: sample.hr)


def enlarged(model: PatchModel, sample: Sample) -> Values:
    """What the model makes of a sample, its edges continued."""
    fine: Values = model.predict(padded(model, sample), sample.bands).reflectance
    return fine


def padded(model: PatchModel, sample: Sample) -> Values:
    """A sample with the model's halo around it."""
    halo = model.card.halo_px
    return np.pad(sample.lr, ((0, 0), (halo, halo), (halo, halo)), mode="edge")


def figures(
    models: Mapping[int, PatchModel], samples: Mapping[int, Sequence[Sample]]
) -> dict[str, float]:
    """The figures of the default model; `models` and `samples` are by factor.

    Gains are means over places. Reflectance, spectral angle, improvement and hallucination are
    opensr-test's, means over the real places and both factors, with bicubic's and the truth's
    own beside them.
    """
    found: dict[str, float] = {}
    real: list[_Trio] = []
    for factor, model in models.items():
        shown = samples[factor]
        trios = [
            _Trio(*verdicts)
            for verdicts in zip(
                judge(model, shown),
                judge(bicubic(factor), shown),
                judge_truth(shown, factor),
                strict=True,
            )
        ]
        found |= _gains(trios, factor)
        real += [trio for trio in trios if trio.own.kind != "simulated"]
    return found | _opensr_figures(real)


@dataclass(frozen=True)
class _Trio:
    """A model, bicubic and the truth at one place."""

    own: Verdict
    base: Verdict
    truth: Verdict


def _gains(trios: Sequence[_Trio], factor: int) -> dict[str, float]:
    found = {}
    for kind in ("sharp", "wald", "simulated"):
        gains = [t.own.psnr_db - t.base.psnr_db for t in trios if t.own.kind == kind]
        if gains:
            found[f"default_x{factor}_{kind}_gain_db"] = float(np.mean(gains))
    return found


def _opensr_figures(trios: Sequence[_Trio]) -> dict[str, float]:
    own, base, truth = ([getattr(t, who) for t in trios] for who in ("own", "base", "truth"))
    found = {}
    for who, verdicts in (("default", own), ("bicubic", base), ("truth", truth)):
        found[f"{who}_reflectance_l1"] = _mean_of([v.opensr.reflectance for v in verdicts])
        found[f"{who}_spectral_deg"] = _mean_of([v.opensr.spectral for v in verdicts])
        found[f"{who}_misfit_l1"] = _mean_of([v.misfit_l1 for v in verdicts])
    for name in ("hallucination", "improvement"):
        ours, theirs = ([getattr(v.opensr, name) for v in side] for side in (own, base))
        found[f"default_{name}_minus_bicubic"] = _mean_of(ours) - _mean_of(theirs)
    return found


def _judged(
    samples: Sequence[Sample], factor: int, made: Callable[[Sample], Values]
) -> list[Verdict]:
    places: dict[str, list[Sample]] = {}
    for sample in samples:
        places.setdefault(sample.place, []).append(sample)
    return [_verdict(there, factor, made) for there in places.values()]


def _verdict(samples: Sequence[Sample], factor: int, made: Callable[[Sample], Values]) -> Verdict:
    ratios, misfits, told = [], [], []
    for sample in samples:
        fine = made(sample)
        misfits.append(misfit_l1(fine, sample.lr, sample.bands))
        rim = RIM_PX * factor
        ratios.append(psnr(_inner(fine, rim), _inner(sample.hr, rim)))
        # which cuts 16 fine pixels from every edge itself
        told.append(measures(sample.lr, fine, sample.hr, bands=sample.bands, factor=factor))
    first = samples[0]
    return Verdict(
        first.place, first.kind, len(samples), _mean_of(ratios), _mean_of(misfits), _mean(told)
    )


def misfit_l1(fine: Values, lr: Values, bands: Sequence[str]) -> float:
    """Mean |D fine - lr| over bands, D being each band's own optics; without the rim."""
    factor = fine.shape[1] // lr.shape[1]
    errors = []
    for band, sr, measured in zip(find_bands(bands), fine, lr, strict=True):
        blur = torch.from_numpy(blur_kernel(band, factor))[None, None]
        values = torch.from_numpy(np.ascontiguousarray(sr, np.float32))[None, None]
        seen = functional.conv2d(values, blur, stride=factor)[0, 0].numpy()
        rim = RIM_PX - BLUR_RADIUS_PX
        inner = measured[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
        errors.append(np.abs(seen[rim:-rim, rim:-rim] - inner).mean())
    return float(np.mean(errors))


def _mean(told: Sequence[OpensrMeasures]) -> OpensrMeasures:
    def mean(name: str) -> float | None:
        known = [value for one in told if (value := getattr(one, name)) is not None]
        return _mean_of(known) if known else None

    optional = {
        name: mean(name) for name in ("spatial", "improvement", "omission", "hallucination")
    }
    return OpensrMeasures(
        reflectance=_mean_of([one.reflectance for one in told]),
        spectral=_mean_of([one.spectral for one in told]),
        synthesis=_mean_of([one.synthesis for one in told]),
        **optional,
    )


def _mean_of(values: Sequence[float | None]) -> float:
    """Mean of those that are known."""
    return float(np.mean([value for value in values if value is not None]))


def _sample(place: Place, pairs: Sequence[Pair]) -> Sample:
    rng = np.random.default_rng(7)
    records = [pair.lr if place.kind == "wald" else pair.noisy(rng) for pair in pairs]
    bands = tuple(pair.band for pair in pairs)
    return Sample(place.id, place.kind, bands, np.stack(records), np.stack([p.hr for p in pairs]))


def _inner(image: Values, rim: int) -> NDArray[np.float32]:
    return image[:, rim:-rim, rim:-rim]
