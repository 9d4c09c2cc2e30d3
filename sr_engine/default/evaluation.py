"""Judging models at places that none of them learnt from, the baseline beside each.

One table serves the record of the weights, the card and the benchmark. A place counts once,
however many images it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_engine.audit.opensr import OpensrMeasures, measures
from sr_engine.bicubic import bicubic
from sr_engine.default.acquisition import Histogram, Pair, matched, record
from sr_engine.default.dataset import reference_histogram, shot_of
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
    """One model at one place, means over its images: PSNR in dB, opensr-test's measures."""

    place: str
    kind: Kind
    images: int
    psnr_db: float
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
    places = list(dict.fromkeys(sample.place for sample in samples))
    return [_judged(model, [one for one in samples if one.place == place]) for place in places]


def enlarged(model: PatchModel, sample: Sample) -> Values:
    """What the model makes of a sample, its edges continued."""
    halo = model.card.halo_px
    padded = np.pad(sample.lr, ((0, 0), (halo, halo), (halo, halo)), mode="edge")
    fine: Values = model.predict(padded, sample.bands).reflectance
    return fine


def figures(
    models: Mapping[int, PatchModel], samples: Mapping[int, Sequence[Sample]]
) -> dict[str, float]:
    """The figures of the default model; `models` and `samples` are by factor.

    Gains are means over places. Reflectance, spectral angle, improvement and hallucination are
    opensr-test's, means over the places and both factors.
    """
    own = {factor: judge(model, samples[factor]) for factor, model in models.items()}
    base = {factor: judge(bicubic(factor), samples[factor]) for factor in models}
    found: dict[str, float] = {}
    for factor in models:
        for kind in ("sharp", "wald", "simulated"):
            pairs = _pairs(own[factor], base[factor], kind)
            if pairs:
                gains = [a.psnr_db - b.psnr_db for a, b in pairs]
                found[f"default_x{factor}_{kind}_gain_db"] = float(np.mean(gains))
    real = [
        pair for f in models for kind in ("sharp", "wald") for pair in _pairs(own[f], base[f], kind)
    ]
    return found | _opensr_figures(real)


def _opensr_figures(pairs: Sequence[tuple[Verdict, Verdict]]) -> dict[str, float]:
    ours, theirs = ([pair[i].opensr for pair in pairs] for i in (0, 1))
    return {
        "default_reflectance_l1": float(np.mean([one.reflectance for one in ours])),
        "bicubic_reflectance_l1": float(np.mean([one.reflectance for one in theirs])),
        "default_spectral_deg": float(np.mean([one.spectral for one in ours])),
        "bicubic_spectral_deg": float(np.mean([one.spectral for one in theirs])),
        "default_hallucination_minus_bicubic": _more(ours, theirs, "hallucination"),
        "default_improvement_minus_bicubic": _more(ours, theirs, "improvement"),
    }


def _more(ours: Sequence[OpensrMeasures], theirs: Sequence[OpensrMeasures], name: str) -> float:
    known = [(getattr(a, name), getattr(b, name)) for a, b in zip(ours, theirs, strict=True)]
    return float(np.mean([a - b for a, b in known if a is not None and b is not None]))


def _pairs(
    own: Sequence[Verdict], base: Sequence[Verdict], kind: str
) -> list[tuple[Verdict, Verdict]]:
    return [(a, b) for a, b in zip(own, base, strict=True) if a.kind == kind]


def _judged(model: PatchModel, samples: Sequence[Sample]) -> Verdict:
    ratios, told = [], []
    factor = model.card.factor
    for sample in samples:
        fine = enlarged(model, sample)
        rim = RIM_PX * factor
        ratios.append(psnr(_inner(fine, rim), _inner(sample.hr, rim)))
        lr, sr, hr = _inner(sample.lr, RIM_PX), _inner(fine, rim), _inner(sample.hr, rim)
        told.append(measures(lr, sr, hr, bands=sample.bands, factor=factor))
    return Verdict(
        samples[0].place, samples[0].kind, len(samples), float(np.mean(ratios)), _mean(told)
    )


def _mean(told: Sequence[OpensrMeasures]) -> OpensrMeasures:
    def mean(name: str) -> float | None:
        known = [value for one in told if (value := getattr(one, name)) is not None]
        return float(np.mean(known)) if known else None

    names = ("spatial", "improvement", "omission", "hallucination")
    optional = {name: mean(name) for name in names}
    return OpensrMeasures(
        reflectance=mean("reflectance") or 0.0,
        spectral=mean("spectral") or 0.0,
        synthesis=mean("synthesis") or 0.0,
        **optional,
    )


def _sample(place: Place, pairs: Sequence[Pair]) -> Sample:
    rng = np.random.default_rng(7)
    records = [pair.lr if place.kind == "wald" else pair.noisy(rng) for pair in pairs]
    bands = tuple(pair.band for pair in pairs)
    return Sample(place.id, place.kind, bands, np.stack(records), np.stack([p.hr for p in pairs]))


def _inner(image: Values, rim: int) -> NDArray[np.float32]:
    return image[:, rim:-rim, rim:-rim]
