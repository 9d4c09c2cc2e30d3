"""Everything that competes in a use case: the input enlarged in every way, and the truth.

All are brought to 2.5 m by repeating their pixels, so that one method serves all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.demo import BANDS
from sr_engine.audit.quality import INTERVAL_90
from sr_engine.blocks import predict_patch
from sr_engine.explain.case import differentiable
from sr_engine.explain.saliency import View, sensitivity
from sr_engine.fusion import FusionSettings, fuse
from sr_engine.model import PatchModel
from sr_engine.planes import BAND_SCALES, INFLUENCE
from sr_engine.registry import find_patch_model
from sr_engine.trust.calibration import calibration_or_none
from sr_engine.usecases.site import RIM_PX, SHARE, Site

Image = NDArray[np.float32]

PATCH_MODELS = ("bicubic", "wiener", "default")
FACTORS = (2, 4)
TRUTH = "truth at 2.5 m"
BICUBIC = "bicubic-x4"


@dataclass(frozen=True, eq=False)
class Rival:
    """One image of a site, (band, y, x) at 2.5 m, whatever its own pixels.

    `half_width` is of the 90 % interval, of the same shape, None for what tells none; `flagged`
    (y, x) where it is wider than what was added to bicubic, the quality flag of that name.
    `hints` are planes (y, x) that might foretell errors: see `hints_of`.
    """

    name: str
    factor: int
    image: Image
    half_width: Image | None = None
    hints: Mapping[str, Image] = field(default_factory=dict)
    flagged: NDArray[np.bool_] | None = None


def all_rivals(site: Site, *, series: bool = True) -> tuple[Rival, ...]:
    """The measurement itself, every model at both factors, and the truth at 5 and at 2.5 m.

    Fusion needs the site's other dates; `series` False leaves it out.
    """
    base = Rival("nearest", 1, to_fine(_inner(site.lr, 1), 1))
    alone = [of_model(site, f"{kind}-x{f}") for kind in PATCH_MODELS for f in FACTORS]
    fused = [of_fusion(site, factor) for factor in FACTORS] if series else []
    coarse = Rival("truth at 5 m", 2, to_fine(halved(site.truth), 2))
    made = (base, *alone, *fused)
    plain = next(one.image for one in alone if one.name == BICUBIC)
    told = [replace(one, hints=hints_of(one, plain), flagged=_flag(one, plain)) for one in made]
    return (*told, coarse, Rival(TRUTH, SHARE, site.truth))


def of_model(site: Site, model_id: str) -> Rival:
    """What a model of one date makes of the date that counts."""
    model = find_patch_model(model_id)
    factor, halo = model.card.factor, 2 * model.card.halo_px
    patch = np.pad(site.lr, ((0, 0), (halo, halo), (halo, halo)), mode="edge")
    names = [plane.name for plane in model.planes]
    made = predict_patch(model, patch, BANDS, names, gsd_m=10)
    hints = {"attribution": _attribution(model, site, made.planes)}
    width = _half_width(model, made.planes)
    return Rival(
        model_id,
        factor,
        _shown(made.reflectance, factor),
        None if width is None else _shown(width, factor),
        hints,
    )


def of_fusion(site: Site, factor: int) -> Rival:
    """Fusion of the site's dates, on the grid and the ground of the one that counts.

    Its interval is that of a Gaussian posterior and not calibrated.
    """
    settings = FusionSettings(reference=site.shown)
    made = fuse(site.observations, find_bands(BANDS), factor, settings)
    image, sigma = (_shown(one, factor) for one in (made.reflectance, made.sigma))
    return Rival(f"fusion-x{factor}", factor, image, np.float32(INTERVAL_90) * sigma)


def hints_of(rival: Rival, plain: Image) -> dict[str, Image]:
    """Planes (y, x) that might foretell errors of a rival, larger meaning doubt.

    `interval` is the width over bands where there is one; `attribution` how much a linear model
    took from the neighbours, and for a trained one how strongly its detail hangs on a pixel; and
    two controls that cost nothing: `detail`, what was added to bicubic (`plain`), and `gradient`,
    the steepness of bicubic itself.
    """
    slopes = [np.hypot(*np.gradient(band)) for band in plain]
    found = {**rival.hints, "gradient": _rms(np.stack(slopes).astype(np.float32))}
    if rival.factor > 1:
        found["detail"] = _rms(rival.image - plain)
    if rival.half_width is not None:
        found["interval"] = _rms(rival.half_width)
    return found


def to_fine(image: Image, factor: int) -> Image:
    """An image (band, y, x), `factor` times finer than measured, its pixels repeated to 2.5 m."""
    again = SHARE // factor
    return image.repeat(again, axis=1).repeat(again, axis=2)


def halved(truth: Image) -> Image:
    """Mean of 2 x 2 pixels."""
    bands, height, width = truth.shape
    mean: Image = truth.reshape(bands, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return mean


def _attribution(model: PatchModel, site: Site, planes: Mapping[str, Image]) -> Image:
    if INFLUENCE.name in planes:
        return np.asarray(_shown(planes[INFLUENCE.name][None], model.card.factor)[0])
    rim, halo = RIM_PX, model.card.halo_px
    cut = max(rim - halo, 0)
    patch = site.lr[:, cut : site.lr.shape[1] - cut, cut : site.lr.shape[2] - cut]
    around = max(halo - rim, 0)
    patch = np.pad(patch, ((0, 0), (around, around), (around, around)), mode="edge")
    shown = np.ones((len(BANDS), site.window.height, site.window.width), np.bool_)
    view = View(np.ascontiguousarray(patch), shown, model.card.factor)
    found = sensitivity(differentiable(model).module(BANDS), view)
    return np.asarray(to_fine(found[None], 1)[0])


def _flag(rival: Rival, plain: Image) -> NDArray[np.bool_] | None:
    if rival.half_width is None:
        return None
    gain = np.abs(rival.image - plain).mean(axis=0)
    return np.asarray(_rms(rival.half_width) > gain)


def _half_width(model: PatchModel, planes: Mapping[str, Image]) -> Image | None:
    calibration = calibration_or_none(model.card)
    if calibration is None:
        return None
    widths = [calibration.half_width(planes[BAND_SCALES[band].name], band) for band in BANDS]
    return np.stack(widths)


def _inner(image: Image, factor: int) -> Image:
    rim = RIM_PX * factor
    return image[:, rim:-rim, rim:-rim]


def _shown(image: Image, factor: int) -> Image:
    return to_fine(_inner(image, factor), factor)


def _rms(planes: Image) -> Image:
    return np.asarray(np.sqrt(np.mean(planes**2, axis=0)), np.float32)
