"""The whole audit of one super-resolved image: against its input, and against truth if there is.

Bicubic of the same input is audited with it, always. Every figure is of one common window, and
the document says which, what was assumed, and what could not be told.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.provenance import software_record
from sr_engine import metrics
from sr_engine.audit.beside import audited
from sr_engine.audit.consistency import RIM_PX
from sr_engine.audit.opensr import Correctness, correctness, measures
from sr_engine.audit.pairs import Triple
from sr_engine.audit.quality import LARGEST_NEAR_PX, Input, shares
from sr_engine.audit.resolution import (
    detail_added,
    entropy_gain,
    resolution_against,
    resolution_possible,
)
from sr_engine.bicubic import HALO_PX, bicubic
from sr_engine.blocks import predict_patch
from sr_engine.model import Prediction

Image = NDArray[np.float32]
Document = dict[str, Any]

ASSUMED = {
    "opensr": "definitions and defaults of opensr-test 1.3.3: distances per pixel, 16 fine pixels "
    "cut from each edge, L1, spectral angle, phase correlation, softmin of relative differences",
    "noise": "30 % of variance constant, 70 % shot noise, at the mission's required SNR",
    "psf": "Gaussian of each band's MTF at Nyquist, then the square pixel",
    "resolution": "shortest period at which ring correlation with truth is one half; possible: "
    "the same of the best linear estimate of ground of power |f|^-3",
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The audit's document, and the images that a page shows."""

    document: Document
    triple: Triple
    bicubic: Image
    consistency: Image
    correctness: Correctness | None


def evaluate(triple: Triple, record: Mapping[str, Any] | None = None) -> Evaluation:
    """Audit an image; `record` is its provenance, where it carries one.

    Raises InvalidInput for images that cannot be compared: see `measures`.
    """
    baseline = interpolated(triple)
    names = {f"bicubic-x{triple.factor}": baseline, triple.name: triple.sr}
    rows = {name: _row(triple, image) for name, image in names.items()}
    differences, masks = _beside(triple, triple.sr)
    maps = None
    if triple.hr is not None:
        maps = correctness(
            triple.lr, triple.sr, triple.hr, bands=triple.bands, factor=triple.factor
        )
    document: Document = {
        **software_record(),
        "image": triple.name,
        "bands": list(triple.bands),
        "factor": triple.factor,
        "pixels": list(triple.sr.shape[1:]),
        "whole": triple.whole,
        "grid_spacing_m": triple.gsd_m / triple.factor,
        "truth": triple.hr is not None,
        "rows": rows,
        "information": _information(triple, baseline),
        "quality": shares(masks),
        "quality_not_tested": ["input_cloudy", "interval_wider_than_gain"],
        "possible_resolution": _possible(triple),
        "provenance": None if record is None else dict(record),
        "assumed": ASSUMED,
    }
    return Evaluation(document, triple, baseline, differences, maps)


def interpolated(triple: Triple) -> Image:
    """Bicubic of the input, edges continued."""
    rim = 2 * HALO_PX
    patch = np.pad(triple.lr, ((0, 0), (rim, rim), (rim, rim)), mode="edge")
    model = bicubic(triple.factor)
    return predict_patch(model, patch, triple.bands, (), gsd_m=triple.gsd_m).reflectance


def _row(triple: Triple, image: Image) -> Document:
    """All figures of one image; None for what needs a truth, or is not finite."""
    lr, hr, bands, factor = triple.lr, triple.hr, triple.bands, triple.factor
    found: Document = asdict(measures(lr, image, hr, bands=bands, factor=factor))
    differences, _ = _beside(triple, image)
    known = differences[np.isfinite(differences)]
    found["consistency_rms"] = float(np.sqrt(np.mean(known**2))) if known.size else None
    found["inconsistent_share"] = float((known > 3).mean()) if known.size else None
    if hr is not None:
        rim = factor * HALO_PX
        inner, truth = (one[:, rim:-rim, rim:-rim] for one in (image, hr))
        found |= {
            "psnr_db": metrics.psnr(inner, truth),
            "ssim": metrics.ssim(inner, truth),
            "sam_deg": metrics.sam(inner, truth),
            "ergas": metrics.ergas(inner, truth, factor=factor),
            "rmse": metrics.rmse(inner, truth),
            **_resolution(inner, truth, triple.gsd_m / factor),
        }
    return {key: _finite(value) for key, value in found.items()}


def _resolution(image: Image, truth: Image, gsd_m: float) -> Document:
    found = resolution_against(image, truth, gsd_m)
    return {
        "effective_period_m": found.period_m,
        "effective_pixel_m": found.equivalent_pixel_m,
    }


def _information(triple: Triple, baseline: Image) -> Document:
    added = detail_added(triple.sr, baseline)
    gained = entropy_gain(triple.sr, baseline)
    return {
        "detail_added_rms": _finite(float(np.sqrt(np.nanmean(added**2)))),
        "entropy_gain_bits": _finite(float(np.nanmean(gained))) if gained.size else None,
    }


def _possible(triple: Triple) -> Document:
    """What PSF, sampling and noise allow, per band, with one date and with eight."""
    return {
        band.name: {
            f"period_m_{dates}_dates": resolution_possible(band, triple.gsd_m, dates=dates).period_m
            for dates in (1, 8)
        }
        for band in find_bands(triple.bands)
    }


def _beside(triple: Triple, image: Image) -> tuple[Image, NDArray[np.uint16]]:
    """Consistency and flags; what lies beyond the image is not known."""
    rim, near = RIM_PX * triple.factor, LARGEST_NEAR_PX
    around = Prediction(np.pad(image, ((0, 0), (rim, rim), (rim, rim)), constant_values=np.nan), {})
    lr = np.pad(triple.lr, ((0, 0), (near, near), (near, near)), constant_values=np.nan)
    return audited(Input(lr, None, near), None, (triple.bands, triple.gsd_m), around)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
