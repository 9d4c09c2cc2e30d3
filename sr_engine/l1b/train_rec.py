"""Training of REC from pairs of views alone: what it makes of one must explain the other.

The first view is super-resolved, warped by CSR's flow to each band of the second as that band
saw the ground, degraded by the band's blur and pixel, and compared. The second view has its own
noise and its own sampling, so neither copying noise nor keeping aliases pays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from datacube.simulation.detectors import DetectorPair
from sr_engine.l1b.degrade import degraded
from sr_engine.l1b.flow_network import FlowNetwork, find_flow
from sr_engine.l1b.losses import charbonnier, inside
from sr_engine.l1b.pictures import row_of
from sr_engine.l1b.rec_network import FACTOR, Joint, RecNetwork, RecSettings
from sr_engine.l1b.views import BANDS, REFERENCE_INDEX, PairPatches, SimulatedPairs
from sr_engine.l1b.warp import finer_flow, warp, warp_finer
from sr_engine.metrics import psnr
from sr_engine.training.config import LoopSettings
from sr_engine.training.loop import Validation

RIM_PX = 10  # of a patch, where flows and the network's borders are not to be trusted
LEAST_SPREAD = 2e-3  # of reflectance: below it a patch is mostly noise and counts less


@dataclass(frozen=True)
class RecConfig:
    """All of a training of REC; `csr` names the folder of CSR's weights, empty for ours.

    `checker` weighs the only pattern that no measurement sees: rows and columns alternating.
    """

    seed: int = 1
    batch: int = 6
    patch_px: int = 64
    checker: float = 0.02
    passes: int = 2
    csr: str = ""
    network: RecSettings = field(default_factory=RecSettings)
    pairs: SimulatedPairs = field(default_factory=SimulatedPairs)
    validation: SimulatedPairs = field(
        default_factory=lambda: SimulatedPairs(first_seed=2000, places=2, per_place=1)
    )
    loop: LoopSettings = field(default_factory=LoopSettings)


class RecTask:
    """What the loop trains: a REC on patches of pairs, CSR being given."""

    def __init__(
        self,
        config: RecConfig,
        csr: FlowNetwork,
        patches: PairPatches,
        validation: list[DetectorPair],
    ) -> None:
        self._config, self._patches, self._validation = config, patches, validation
        self._csr = csr.eval().requires_grad_(requires_grad=False)
        rec = RecNetwork(config.network)
        # Begin as bicubic interpolation of aligned bands, which is not far off.
        if config.network.aligned:
            torch.nn.init.zeros_(rec.exit.weight)
            torch.nn.init.zeros_(rec.exit.bias)  # type: ignore[arg-type]
        self._joint = Joint(rec, self._csr if config.network.aligned else None)

    @property
    def module(self) -> Joint:
        """The network; CSR within it stays as it is."""
        return self._joint

    def losses(self, rng: np.random.Generator, step: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """How badly what is made of the first views explains the second ones."""
        pairs = self._patches.draw(rng, self._config.batch, self._config.patch_px)
        made = self._joint(pairs[:, 0])
        unlike = explained(self._csr, made, pairs[:, 0], pairs[:, 1], self._config.passes)
        spread = deviation(pairs[:, 1])
        checks = made[..., 1:, 1:] - made[..., 1:, :-1] - made[..., :-1, 1:] + made[..., :-1, :-1]
        checker = (checks / spread).abs().mean()
        return {
            "loss": unlike + self._config.checker * checker,
            "unlike": unlike,
            "checker": checker,
        }

    def validate(self, module: Joint) -> Validation:
        """Score by the loss itself; the gain over bicubic on simulated truth is only told."""
        lost, gains = [], []
        pictures = {}
        for number, pair in enumerate(self._validation):
            views = torch.from_numpy(pair.views)[:, None]
            made = module(views[0])
            lost.append(float(explained(self._csr, made, views[0], views[1], self._config.passes)))
            if pair.truth is None:
                continue
            registered = bicubic_told(pair)
            gains.append(gain_db(made[0].numpy(), registered, pair.truth))
            if not number:
                shown = (made[0].numpy(), registered, pair.truth)
                pictures["rec"] = row_of([image[[2, 1, 0], :192, :192] for image in shown[::-1]])
        metrics = {"unlike": float(np.mean(lost))}
        if gains:
            metrics["gain_db"] = float(np.mean(gains))
        return Validation(-metrics["unlike"], metrics, pictures)


def explained(
    csr: FlowNetwork, made: Tensor, own: Tensor, other: Tensor, passes: int = 1
) -> Tensor:
    """How unlike the other view (n, 4, y, x) is what `made` (n, 4, 2 y, 2 x) foretells of it.

    `made` lies where B03 of the view `own` saw the ground.
    """
    foretold, valid = foreseen(csr, made, own, other, passes)
    inner = slice(RIM_PX, -RIM_PX)
    difference = ((foretold - other) / deviation(other))[..., inner, inner]
    return charbonnier(difference, valid[..., inner, inner])


def foreseen(
    csr: FlowNetwork, made: Tensor, own: Tensor, other: Tensor, passes: int = 1
) -> tuple[Tensor, Tensor]:
    """What the other view's bands would record of `made`, and where that can be said."""
    height, width = other.shape[-2:]
    anchor = own[:, [REFERENCE_INDEX] * len(BANDS)].reshape(-1, 1, height, width)
    seen = other.reshape(-1, 1, height, width)
    with torch.no_grad():
        flow = find_flow(csr, seen, anchor, passes)
    fine = made.reshape(-1, 1, FACTOR * height, FACTOR * width)
    warped = warp(fine, FACTOR * finer_flow(flow, FACTOR), "bicubic").reshape(made.shape)
    return degraded(warped, BANDS, FACTOR), inside(flow).reshape(other.shape)


def deviation(images: Tensor) -> Tensor:
    """(n, band, 1, 1) of each image, not below that of a patch without texture."""
    return images.std(dim=(-2, -1), keepdim=True) + LEAST_SPREAD


def bicubic_told(pair: DetectorPair) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The baseline: the first view's bands, interpolated where their true flows point.

    It is told what REC has to find out: without that, bicubic images are shifted by pixels.
    """
    bands = torch.from_numpy(pair.views[0])[:, None]
    flows = np.stack([pair.flow((0, "B03"), (0, band)) for band in pair.bands])
    fine = warp_finer(bands, torch.from_numpy(flows), FACTOR, "bicubic")
    return fine[:, 0].numpy()


def gain_db(
    made: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    baseline: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    truth: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> float:
    """PSNR over the baseline's, mean of bands, off a rim of `FACTOR * RIM_PX`."""
    inner = slice(FACTOR * RIM_PX, -FACTOR * RIM_PX)
    one, two, sharp = (image[:, inner, inner] for image in (made, baseline, truth))
    return psnr(one, sharp) - psnr(two, sharp)
