"""Fusion where the ground changes between dates: a simulated season, and real composites.

Everything is compared on the grid of one date, with that date enlarged by bicubic.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.masks import clear_mask
from datacube.scene import reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from datacube.simulation.exposure import TRUTH_FACTOR
from sr_engine.audit.consistency import RIM_PX, degraded
from sr_engine.fusion.fuse import fuse
from sr_engine.fusion.settings import FusionSettings
from sr_engine.fusion.trial import enlarged
from sr_engine.images import super_resolve_image
from sr_engine.metrics import psnr
from sr_engine.registry import find_patch_model
from sr_engine.sharpen.network import GUIDES
from sr_engine.sharpen.places import read_tervuren

Image = NDArray[np.float32]
SEEDS = (7, 8, 9)  # landscapes
SHAPE = (240, 300)
SMALL = (96, 112)  # ground of few fields, which change alike
DATES, WANTED = 12, 5  # of a season; the one of midsummer
USABLE = 0.3  # of a date has to be clear
MOST_DATES = 8  # that are fused, the nearest in time, as the model `fusion` does
FACTOR = 2
WITHIN = 1.645  # standard deviations, of nine tenths of a normal distribution


@dataclass(frozen=True, eq=False)
class Season:
    """`dates` (date, band, y, x), the one asked for first, NaN in cloud; `truth` of that one.

    The truth (band, 2 y, 2 x) is the mean reflectance of each pixel twice as fine.
    """

    dates: Image
    truth: Image


def simulate_season(seed: int, shape: tuple[int, int] = SHAPE, most: int = MOST_DATES) -> Season:
    """Twelve dates of a simulated year, of which at most so many usable ones nearest midsummer.

    Midsummer's own is not shifted: it lies on the truth's grid.
    """
    landscape, passes = build_landscape(seed, shape), plan_season(seed, dates=DATES, truth_dates=1)
    still = replace(passes[WANTED], shift_px=(0.0, 0.0))
    dates = []
    for number in sorted(range(DATES), key=lambda number: abs(number - WANTED)):
        shot = acquire(landscape, still if number == WANTED else passes[number], GUIDES)
        values = reflectance_from_dn(shot.dn)
        values[:, ~clear_mask(shot.scl, dilation_px=2)] = np.nan
        if number == WANTED:
            truth_dn = shot.truth_dn
        if np.isfinite(values).mean() > USABLE:
            dates.append(values)
    if truth_dn is None:
        raise RuntimeError("midsummer of a simulated season has no truth")
    count, height, width = truth_dn.shape
    step = TRUTH_FACTOR // FACTOR
    parts = reflectance_from_dn(truth_dn).reshape(count, height // step, step, width // step, step)
    return Season(np.stack(dates[:most]), np.asarray(parts.mean(axis=(2, 4)), dtype=np.float32))


def halved_seasons(composites: Image) -> Iterator[Season]:
    """Each of many real dates (date, band, y, x) as truth of itself at half of its pixels (Wald).

    With each come those nearest in time, halved as well.
    """
    bands, rim = find_bands(GUIDES), RIM_PX * FACTOR
    height, width = (size // FACTOR - 2 * RIM_PX for size in composites.shape[2:])
    fine = composites[:, :, : FACTOR * (height + 2 * RIM_PX), : FACTOR * (width + 2 * RIM_PX)]
    coarse = np.stack([degraded(one, bands, (height, width), bands[0].gsd_m) for one in fine])
    for wanted in range(len(fine)):
        order = sorted(range(len(fine)), key=lambda number: abs(number - wanted))
        yield Season(coarse[order[:MOST_DATES]], fine[wanted, :, rim:-rim, rim:-rim])


def season_figures(data: Path | None = None) -> dict[str, float]:
    """Gains over bicubic of the date itself, in dB, dates used, and what intervals of 90 % hold.

    Medians over landscapes or dates, and the least gain of fusion. `data` is the folder of real
    data sets; without it the real composites are left out.
    """
    found = _over_all("season", [_tried(simulate_season(seed)) for seed in SEEDS])
    small = [_tried(simulate_season(seed, SMALL)) for seed in SEEDS]
    found |= _over_all("small_season", small)
    if data is None or not (data / "sentinel2/tervuren_l2a_stack").is_dir():
        return found
    composites = np.stack([image.guides for image in read_tervuren(data)])
    return found | _over_all("composites", [_tried(one) for one in halved_seasons(composites)])


def _tried(season: Season) -> dict[str, float]:
    wanted, bands = season.dates[:1], find_bands(GUIDES)
    settings = FusionSettings(reference=0)
    fused, alone = (fuse(dates, bands, FACTOR, settings) for dates in (season.dates, wanted))
    linear = super_resolve_image(find_patch_model(f"wiener-x{FACTOR}"), wanted[0], GUIDES)
    bicubic = psnr(enlarged(wanted[0], FACTOR), season.truth)
    made = {
        "fusion": fused.reflectance,
        "one_date": alone.reflectance,
        "wiener": linear.reflectance,
    }
    gains = {f"{name}_gain_db": psnr(one, season.truth) - bicubic for name, one in made.items()}
    held = np.abs(fused.reflectance - season.truth) < WITHIN * fused.sigma
    used = float(fused.used.sum())
    return gains | {"dates_used": used, "interval_90_coverage": float(held.mean())}


def _over_all(what: str, seasons: list[dict[str, float]]) -> dict[str, float]:
    values = {name: [one[name] for one in seasons] for name in seasons[0]}
    medians = {f"{what}_{name}": statistics.median(those) for name, those in values.items()}
    return medians | {f"{what}_fusion_gain_least_db": min(values["fusion_gain_db"])}
