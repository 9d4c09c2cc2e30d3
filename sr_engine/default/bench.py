"""Figures of `srcube bench sr`: gains at places never seen, and what they cost on this machine.

Core-seconds are of one thread. Without the real images the figures that the weights were recorded
with stand in their place, under names that say so.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from datacube.benchmark import Figures, core_seconds
from sr_engine.default.evaluation import figures, read_samples
from sr_engine.default.model import DefaultModel
from sr_engine.default.network import NetworkSettings
from sr_engine.default.places import BANDS
from sr_engine.default.shipped import default_model

FACTORS = (2, 4)
PATCH_PX = (256, 256)
VIEW_PX = (400, 600)
RECORDED = "recorded_"


def sr_figures(data: Path | None) -> Figures:
    """The whole benchmark: the default model, band alignment of L1B, memory of a whole scene.

    The last writes 12 GB where temporary files go, for some minutes.
    """
    from sr_engine.l1b.bench import l1b_figures, reference_operations_per_px  # noqa: PLC0415
    from sr_engine.scenes.peak import full_scene_peak_mb  # noqa: PLC0415

    found = dict(default_figures(data))
    ours = operations_per_px(default_model(2).settings)
    found["rec_operations_ratio"] = reference_operations_per_px() / ours
    return found | l1b_figures(data) | {"full_scene_peak_mb": full_scene_peak_mb()}


def default_figures(data: Path | None) -> Figures:
    """Figures of the default model alone; `data` is the folder of real images, if there is one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for one another count as work done
    try:
        models = {factor: default_model(factor) for factor in FACTORS}
        return {**_quality(models, data), **_times(models)}
    finally:
        torch.set_num_threads(threads)


def operations_per_px(settings: NetworkSettings) -> float:
    """Multiplications and additions per measured pixel of four bands, without the scale."""
    channels, phases = settings.channels, settings.factor**2
    taps = 2 * settings.deconvolution.halo_px + 1
    products = (
        channels * settings.first_taps**2
        + settings.layers * 9 * channels**2
        + 9 * channels * phases
        + 25 * phases  # the blur
        + phases * taps**2
    )
    return 2.0 * products * len(BANDS)


def _quality(models: Mapping[int, DefaultModel], data: Path | None) -> dict[str, float]:
    if data is not None and (data / "hr").is_dir():
        samples = {factor: read_samples("test", factor, data) for factor in models}
        return figures(models, samples)
    return {
        f"{RECORDED}x{factor}_{name}": value
        for factor, model in models.items()
        for name, value in model.record.figures.items()
    }


def _times(models: Mapping[int, DefaultModel]) -> dict[str, float]:
    return {
        "default_256_core_s": _seconds(models[2], PATCH_PX),
        "default_x4_256_core_s": _seconds(models[4], PATCH_PX),
        "default_view_core_s": _seconds(models[2], VIEW_PX),
        "default_x4_view_core_s": _seconds(models[4], VIEW_PX),
    }


def _seconds(model: DefaultModel, shape: tuple[int, int]) -> float:
    """Core-seconds for four bands of so many measured pixels; the halo comes on top."""
    halo = model.card.halo_px
    sides = (len(BANDS), shape[0] + 2 * halo, shape[1] + 2 * halo)
    patch = np.random.default_rng(1).uniform(0.02, 0.4, sides).astype(np.float32)
    return core_seconds(lambda: model.predict(patch, BANDS))
