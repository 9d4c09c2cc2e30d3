"""What `sharpen20` reaches on places it never saw, beside bicubic and beside its own parts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sr_engine.card import Score
from sr_engine.sharpen.network import SHARPENED, Sharpener, SharpenSettings
from sr_engine.sharpen.places import PLACES
from sr_engine.sharpen.training import Sample, sample_of, sharpened, squared_errors

Method = Callable[[Sharpener, Sample], Tensor]
Table = Mapping[str, Mapping[str, list[float]]]  # place, method, rmse by band


def measure(network: Sharpener, data: Path) -> dict[str, dict[str, list[float]]]:
    """Root mean square error by place, method and band: 40 m made 20 m, against the measured.

    The methods are bicubic, the bands' deconvolution without guides, the regression and its
    projection without the network, and all of it.
    """
    plain = _without_network(network.settings)
    table = {}
    for place in PLACES:
        if place.role == "test":
            samples = [sample_of(image, network) for image in place.read(data)]
            table[place.name] = {
                "bicubic": _rmse(samples, network, _bicubic),
                "deconvolution": _rmse(samples, network, _deconvolved),
                "regression": _rmse(samples, plain, sharpened),
                "sharpen20": _rmse(samples, network, sharpened),
            }
    return table


def scores(table: Table) -> tuple[Score, ...]:
    """The table as lines of a card: each band on all places, and each place over all bands."""
    found = []
    for index, band in enumerate(SHARPENED):
        ours, theirs = (
            float(np.sqrt(np.mean([np.square(rows[method][index]) for rows in table.values()])))
            for method in ("sharpen20", "bicubic")
        )
        found.append(
            Score(
                "Sentinel-2 at 40 m made 20 m, truth measured",
                f"{band} RMSE, reflectance",
                float(f"{ours:.3g}"),
                float(f"{theirs:.3g}"),
                len(table),
            )
        )
    for place, rows in table.items():
        gain = 20 * np.log10(np.array(rows["bicubic"]) / np.array(rows["sharpen20"]))
        found.append(
            Score(place, "gain in PSNR, mean of bands, dB", round(float(gain.mean()), 2), 0.0)
        )
    return tuple(found)


def _rmse(samples: list[Sample], network: Sharpener, method: Method) -> list[float]:
    errors = [squared_errors(method(network, sample), sample.truth) for sample in samples]
    return [float(f"{value:.4g}") for value in torch.stack(errors).mean(dim=0).sqrt().tolist()]


def _bicubic(network: Sharpener, sample: Sample) -> Tensor:
    return network.interpolate(functional.pad(sample.coarse, (2,) * 4, mode="replicate"))


def _deconvolved(network: Sharpener, sample: Sample) -> Tensor:
    rim = network.settings.deconvolution.halo_px
    return network.deconvolve(functional.pad(sample.coarse, (rim,) * 4, mode="replicate"))


def _without_network(settings: SharpenSettings) -> Sharpener:
    plain = Sharpener(settings)
    torch.nn.init.zeros_(plain.last.weight)
    return plain
