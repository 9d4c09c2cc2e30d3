"""The measures of opensr-test, by our own code: agreement with the input, and truth added.

Definitions follow opensr-test 1.3.3 (Aybar et al. 2024, "A comprehensive benchmark for optical
remote sensing image super-resolution", IEEE GRSL) with its default settings: distances per
pixel, 16 fine pixels cut from every edge, reflectance L1, spectral angle, phase correlation,
synthesis L1, correctness by the relative difference |a - b| / |a + b| and a softmin.
Improvement, omission and hallucination sum to one: alone, each of them misleads.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacube.errors import InvalidInput
from sr_engine.audit.alignment import Shift, moved, phase_shift
from sr_engine.audit.resampling import enlarged, matched_histogram, reduced

Image = NDArray[np.floating]
Float = NDArray[np.float64]
RGB = ("B04", "B03", "B02")


@dataclass(frozen=True)
class OpensrSettings:
    """Settings of opensr-test 1.3.3, at its defaults.

    `border_px` fine pixels are cut from each edge. Pixels are judged for correctness where one of
    the three distances exceeds the `judged_quantile` of the distance of input to truth.
    `penalty` bends the borders between the three classes, `temperature` is the softmin's.
    """

    border_px: int = 16
    judged_quantile: float = 0.75
    penalty: float = 0.05
    temperature: float = 0.25
    largest_shift_px: float = 5.0


DEFAULTS = OpensrSettings()


@dataclass(frozen=True)
class OpensrMeasures:
    """What opensr-test tells of one image; None where it cannot be known.

    Consistency with the input: `reflectance` (mean absolute difference, reflectance),
    `spectral` (mean angle, degrees), `spatial` (length of the shift, measured pixels; None
    beyond the largest). `synthesis`: mean absolute change against bilinear, reflectance. Against
    truth, sums to one: `improvement`, `omission`, `hallucination`.
    """

    reflectance: float
    spectral: float
    spatial: float | None
    synthesis: float
    improvement: float | None = None
    omission: float | None = None
    hallucination: float | None = None


@dataclass(frozen=True, eq=False)
class Correctness:
    """Shares (y, x) of improvement, omission and hallucination; NaN where nothing is to judge.

    The grid is the fine one without its border of `border_px`.
    """

    improvement: Float
    omission: Float
    hallucination: Float


def measures(
    lr: Image,
    sr: Image,
    hr: Image | None = None,
    *,
    bands: tuple[str, ...],
    factor: int,
    settings: OpensrSettings = DEFAULTS,
) -> OpensrMeasures:
    """All measures of `sr` (band, factor y, factor x) made of `lr` (band, y, x), in reflectance.

    `hr` is the truth on the grid of `sr`, if there is one. Without it, synthesis is of the image
    as it is; with it, of the image harmonised to the truth, as opensr-test has it. Pixels that
    are not finite do not count. Raises InvalidInput where shapes do not belong together, an image
    is too small for the border to be cut, or the input is constant.
    """
    lr, sr, hr = _cut(lr, sr, hr, bands, factor, settings)
    back = reduced(sr, factor)
    visible = _visible(bands)
    shift = phase_shift(lr[visible].mean(axis=0), back[visible].mean(axis=0))
    spatial = shift.length_px if shift.length_px <= settings.largest_shift_px else None
    fine = enlarged(lr, factor)
    if hr is None:
        return OpensrMeasures(_l1(lr, back), _angle(lr, back), spatial, _l1(fine, sr))
    harmonised = _harmonised(sr, hr, settings)
    shares = _shares(fine, harmonised, hr, settings)
    known = (shares.improvement, shares.omission, shares.hallucination)
    means = [float(np.nanmean(one)) if np.isfinite(one).any() else None for one in known]
    return OpensrMeasures(_l1(lr, back), _angle(lr, back), spatial, _l1(fine, harmonised), *means)


def correctness(
    lr: Image,
    sr: Image,
    hr: Image,
    *,
    bands: tuple[str, ...],
    factor: int,
    settings: OpensrSettings = DEFAULTS,
) -> Correctness:
    """The maps whose means `measures` gives; see there."""
    lr, sr, truth = _cut(lr, sr, hr, bands, factor, settings)
    if truth is None:
        raise InvalidInput("need a truth for improvement, omission and hallucination")
    return _shares(enlarged(lr, factor), _harmonised(sr, truth, settings), truth, settings)


def table(rows: Mapping[str, OpensrMeasures]) -> str:
    """Rows as Markdown, the baseline's first.

    Raises InvalidInput without a row whose name begins with `bicubic`: what is not better than
    interpolation must be seen beside it.
    """
    baseline = [name for name in rows if name.startswith("bicubic")]
    if not baseline:
        raise InvalidInput(f"need a row of bicubic in every table, got {', '.join(rows)}")
    names = [*baseline, *(name for name in rows if name not in baseline)]
    fields = list(OpensrMeasures.__dataclass_fields__)
    lines = [
        f"| image | {' | '.join(fields)} |",
        "|---|" + "---:|" * len(fields),
        *(
            f"| {name} | " + " | ".join(_cell(getattr(rows[name], key)) for key in fields) + " |"
            for name in names
        ),
    ]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _cut(
    lr: Image,
    sr: Image,
    hr: Image | None,
    bands: tuple[str, ...],
    factor: int,
    settings: OpensrSettings,
) -> tuple[Float, Float, Float | None]:
    """The images without their border, checked."""
    if lr.ndim != 3 or lr.shape[0] != len(bands):
        raise InvalidInput(f"need an input (band, y, x) of {len(bands)} bands, got {lr.shape}")
    wanted = (len(bands), lr.shape[1] * factor, lr.shape[2] * factor)
    for name, image in (("image", sr), ("truth", hr)):
        if image is not None and image.shape != wanted:
            raise InvalidInput(
                f"need a super-resolved {name} of {wanted} on an input of {lr.shape} at factor "
                f"{factor}, got {image.shape}; bring both to one grid first"
            )
    coarse = settings.border_px // factor
    if min(lr.shape[1:]) < 2 * coarse + 8:
        raise InvalidInput(
            f"need an input of at least {2 * coarse + 8} px a side, of which {coarse} px are cut "
            f"from each edge, got {lr.shape[1:]}"
        )
    lr = _trimmed(lr, coarse)
    if not np.isfinite(lr).all(axis=0).any() or np.nanmax(np.nanstd(lr, axis=(1, 2))) < 1e-9:
        raise InvalidInput("need an input with structure; this one is constant or has no data")
    rim = coarse * factor
    return lr, _trimmed(sr, rim), None if hr is None else _trimmed(hr, rim)


def _trimmed(image: Image, rim_px: int) -> Float:
    height, width = image.shape[1:]
    inner = image[:, rim_px : height - rim_px, rim_px : width - rim_px]
    return inner.astype(np.float64)


def _visible(bands: tuple[str, ...]) -> list[int]:
    """Places of the visible bands, or of the first alone: where shifts are looked for."""
    return [bands.index(name) for name in RGB] if set(RGB) <= set(bands) else [0]


def _l1(a: Float, b: Float) -> float:
    return float(np.nanmean(np.abs(a - b)))


def _angle(a: Float, b: Float) -> float:
    """Mean spectral angle in degrees over pixels that are known in every band of both."""
    size = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.clip((a * b).sum(axis=0) / size, -1, 1)
    return math.degrees(float(np.nanmean(np.arccos(cosine))))


def _harmonised(sr: Float, hr: Float, settings: OpensrSettings) -> Float:
    """Without systematic error: histograms matched band by band, then the shift undone."""
    alike = np.stack([matched_histogram(a, b) for a, b in zip(sr, hr, strict=True)])
    shift = phase_shift(alike.mean(axis=0), hr.mean(axis=0))
    return moved(alike, shift if shift.length_px <= settings.largest_shift_px else Shift(0, 0))


def _shares(fine: Float, sr: Float, hr: Float, settings: OpensrSettings) -> Correctness:
    """Which of the three each pixel is: softmin of three distances in units of `reference`."""
    reference, to_truth, to_input = (
        _difference(*pair) for pair in ((fine, hr), (sr, hr), (sr, fine))
    )
    known = reference[np.isfinite(reference)]
    rank = max(int(settings.judged_quantile * known.size), 1) - 1
    least = np.partition(known, rank)[rank] if known.size else math.inf
    judged = np.logical_or.reduce([one > least for one in (reference, to_truth, to_input)])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        improved, omitted = to_truth / reference, to_input / reference
        bend = 1 - np.exp(-(improved + omitted - 1) * settings.penalty)
        distances = np.stack(
            [
                improved + omitted * bend,
                omitted + improved * bend,
                np.exp(-improved * omitted * settings.penalty),
            ]
        )
        weights = np.exp(-distances / settings.temperature)
        shares = np.where(judged, weights / weights.sum(axis=0), np.nan)
    return Correctness(*shares)


def _difference(a: Float, b: Float) -> Float:
    """Mean over bands of |a - b| / |a + b| (y, x)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(a - b) / np.abs(a + b + 1e-8)
    known = np.isfinite(relative)
    total = np.where(known, relative, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
