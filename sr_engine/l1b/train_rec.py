"""Training of REC from pairs of views alone: what it makes of one must explain the other.

The first view is super-resolved, warped by CSR's flow to each band of the second as that band
saw the ground, degraded by the band's blur and pixel, and compared. The second view has its own
noise and its own sampling, so neither copying noise nor keeping aliases pays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datacube.simulation.detectors import DetectorPair
from sr_engine.l1b.degrade import degraded
from sr_engine.l1b.flowing import Example, ExamplePatches
from sr_engine.l1b.losses import charbonnier, inside
from sr_engine.l1b.pictures import row_of
from sr_engine.l1b.rec_network import FACTOR, RecNetwork, RecSettings, sharpened
from sr_engine.l1b.views import BANDS, SimulatedPairs
from sr_engine.l1b.warp import finer_flow, warp, warp_finer
from sr_engine.metrics import psnr
from sr_engine.training.config import LoopSettings
from sr_engine.training.loop import Validation

Image = NDArray[np.float32]
RIM_PX = 10  # of a patch, where flows and the network's borders are not to be trusted
LEAST_SPREAD = 2e-3  # of reflectance: below it a patch is mostly noise and counts less


@dataclass(frozen=True, eq=False)
class Judge:
    """What a validation tells of a simulated pair and no training sees: truth, and bicubic."""

    truth: Image | None
    bicubic: Image


@dataclass(frozen=True)
class RecConfig:
    """All of a training of REC; `csr` names the folder of CSR's weights, empty for ours.

    `checker` weighs the only pattern that no measurement sees: rows and columns alternating.
    """

    seed: int = 1
    batch: int = 6
    patch_px: int = 64
    checker: float = 0.02
    csr: str = ""
    network: RecSettings = field(default_factory=RecSettings)
    pairs: SimulatedPairs = field(default_factory=SimulatedPairs)
    validation: SimulatedPairs = field(
        default_factory=lambda: SimulatedPairs(first_seed=2000, places=2, per_place=1)
    )
    loop: LoopSettings = field(default_factory=LoopSettings)


class RecTask:
    """What the loop trains: a REC on patches of pairs whose flows CSR has found."""

    def __init__(
        self, config: RecConfig, patches: ExamplePatches, validation: list[tuple[Example, Judge]]
    ) -> None:
        self._config, self._patches, self._validation = config, patches, validation
        self._network = RecNetwork(config.network)
        if config.network.aligned:  # begin as bicubic interpolation, which is not far off
            torch.nn.init.zeros_(self._network.exit.weight)
            torch.nn.init.zeros_(self._network.exit.bias)  # type: ignore[arg-type]

    @property
    def module(self) -> RecNetwork:
        """The network."""
        return self._network

    def losses(self, rng: np.random.Generator, step: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """How badly what is made of the own views explains the other ones."""
        example = self._patches.draw(rng, self._config.batch, self._config.patch_px)
        made = made_of(self._network, example)
        unlike = unexplained(made, example)
        checks = made[..., 1:, 1:] - made[..., 1:, :-1] - made[..., :-1, 1:] + made[..., :-1, :-1]
        checker = (checks / deviation(example.other)).abs().mean()
        loss = unlike + self._config.checker * checker
        return {"loss": loss, "unlike": unlike, "checker": checker}

    def validate(self, module: nn.Module) -> Validation:
        """Score by the loss itself; the gain over bicubic on simulated truth is only told."""
        if not isinstance(module, RecNetwork):
            raise TypeError(f"need a RecNetwork, got {type(module).__name__}")
        lost, gains, pictures = [], [], {}
        for example, judge in self._validation:
            made = made_of(module, example)
            lost.append(float(unexplained(made, example)))
            if judge.truth is None:
                continue
            shown = made[0].numpy()
            gains.append(gain_db(shown, judge.bicubic, judge.truth))
            rows = [image[[2, 1, 0], :192, :192] for image in (judge.truth, judge.bicubic, shown)]
            pictures["truth_bicubic_rec"] = row_of(rows)
        metrics = {"unlike": float(np.mean(lost))}
        if gains:
            metrics["gain_db"] = float(np.mean(gains))
        return Validation(-metrics["unlike"], metrics, pictures)


def made_of(network: RecNetwork, example: Example) -> Tensor:
    """What a network makes of the own views; the flows are given, where it takes any."""
    if network.settings.aligned:
        return sharpened(network, example.own, example.aligning)
    gain = network.settings.gain
    made: Tensor = network(example.own * gain) / gain
    return made


def unexplained(made: Tensor, example: Example) -> Tensor:
    """How unlike the other views is what `made` (n, 4, 2 y, 2 x) foretells of them."""
    foretold = foreseen(made, example.foretelling)
    inner = slice(RIM_PX, -RIM_PX)
    difference = (foretold - example.other) / deviation(example.other)
    flows = example.foretelling.flatten(0, 1)
    valid = inside(flows).reshape(difference.shape)
    return charbonnier(difference[..., inner, inner], valid[..., inner, inner])


def foreseen(made: Tensor, foretelling: Tensor) -> Tensor:
    """What the other view's bands (n, 4, y, x) would record of `made`."""
    flow = foretelling.flatten(0, 1)
    fine = made.flatten(0, 1)[:, None]
    warped = warp(fine, FACTOR * finer_flow(flow, FACTOR), "bicubic").reshape(made.shape)
    return degraded(warped, BANDS, FACTOR)


def deviation(images: Tensor) -> Tensor:
    """(n, band, 1, 1) of each image, not below that of a patch without texture."""
    return images.std(dim=(-2, -1), keepdim=True) + LEAST_SPREAD


def judge_of(pair: DetectorPair) -> Judge:
    """Truth and baseline of the first view.

    Bicubic interpolation is told the true flows, which REC has to find out: without that its
    bands lie pixels away from the truth.
    """
    bands = torch.from_numpy(pair.views[0])[:, None]
    flows = np.stack([pair.flow((0, "B03"), (0, band)) for band in pair.bands])
    fine = warp_finer(bands, torch.from_numpy(flows), FACTOR, "bicubic")
    return Judge(pair.truth, fine[:, 0].numpy())


def gain_db(made: Image, baseline: Image, truth: Image) -> float:
    """PSNR over the baseline's, mean of bands, off a rim of `FACTOR * RIM_PX`."""
    inner = slice(FACTOR * RIM_PX, -FACTOR * RIM_PX)
    one, two, sharp = (image[:, inner, inner] for image in (made, baseline, truth))
    return psnr(one, sharp) - psnr(two, sharp)
