"""Training of CSR on pairs of views, without being told any true flow.

Three bands make a triangle: the reference band i and another band j of one view, and band j
seen by the other detector. The two images of band j look alike, so that their flow is found by
plain difference; the flows between different bands are judged by correlation in windows, and
must agree with the way around over the anchor j. A fourth flow is known by construction: an
image warped by ourselves, its tones changed at random.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datacube.simulation.detectors import DetectorPair
from sr_engine.l1b.flow_network import FlowNetwork, FlowSettings, find_flow, standardised
from sr_engine.l1b.losses import charbonnier, decorrelation, inside, roughness, steepness
from sr_engine.l1b.pictures import before_and_after
from sr_engine.l1b.views import BANDS, PairPatches, SimulatedPairs
from sr_engine.l1b.warp import composed, warp
from sr_engine.training.config import LoopSettings
from sr_engine.training.loop import Validation

RIM_PX = 8  # left out of what is measured: there the other band may show nothing of the ground


@dataclass(frozen=True)
class CsrWeights:
    """How much each part of the loss counts."""

    same_band: float = 1.0
    cross_band: float = 1.0
    around: float = 0.3
    constructed: float = 0.5
    rough: float = 0.3
    steep: float = 0.02


@dataclass(frozen=True)
class CsrConfig:
    """All of a training of CSR; `pairs` is left aside where a folder of real pairs is given."""

    seed: int = 1
    batch: int = 8
    patch_px: int = 80
    largest_px: float = 4.0
    network: FlowSettings = field(default_factory=FlowSettings)
    weights: CsrWeights = field(default_factory=CsrWeights)
    pairs: SimulatedPairs = field(default_factory=SimulatedPairs)
    validation: SimulatedPairs = field(
        default_factory=lambda: SimulatedPairs(first_seed=2000, places=2, per_place=1)
    )
    loop: LoopSettings = field(default_factory=LoopSettings)


class CsrTask:
    """What the loop trains: a flow network on patches of pairs."""

    def __init__(
        self, config: CsrConfig, patches: PairPatches, validation: list[DetectorPair]
    ) -> None:
        self._config, self._patches, self._validation = config, patches, validation
        self._network = FlowNetwork(config.network)

    @property
    def module(self) -> FlowNetwork:
        """The network."""
        return self._network

    def losses(self, rng: np.random.Generator, step: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """The parts of the loss for one batch, and their weighted sum."""
        config = self._config
        pairs = self._patches.draw(rng, config.batch, config.patch_px)
        one, other = _bands_drawn(rng, config.batch)
        every = torch.arange(config.batch)
        reference = pairs[every, 0, one][:, None]
        near = pairs[every, 0, other][:, None]
        far = pairs[every, 1, other][:, None]
        made, known = constructed(reference, rng, config.largest_px)
        flows = self._flows([reference, near, reference, made], [near, far, far, reference])
        first, then, direct, found = flows
        parts = {
            "same_band": self._alike(near, far, then),
            "cross_band": 0.5 * self._coincide(reference, near, first)
            + 0.5 * self._coincide(reference, far, direct),
            "around": charbonnier(direct - composed(first, then), inside(first)),
            "constructed": charbonnier(found - known, inside(known)),
            "rough": roughness(torch.cat(flows)),
            "steep": steepness(torch.cat(flows)),
        }
        weights = vars(config.weights)
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return {"loss": total, **parts}

    def validate(self, module: nn.Module) -> Validation:
        """Score by what needs no truth; the error against the simulated truth is only told."""
        if not isinstance(module, FlowNetwork):
            raise TypeError(f"need a FlowNetwork, got {type(module).__name__}")
        lost, squares = [], []
        for pair in self._validation:
            views = torch.from_numpy(pair.views)
            for view, band in _others():
                moving = views[view, band][None, None]
                reference = views[0, BANDS.index("B03")][None, None]
                flow = find_flow(module, reference, moving)
                lost.append(float(self._coincide(reference, moving, flow)))
                truth = pair.flow((0, "B03"), (view, BANDS[band]))  # type: ignore[arg-type]
                squares.append(squared_error(flow[0].numpy(), truth))
        metrics = {
            "rms_px": float(np.sqrt(np.mean(squares))),
            "decorrelation": float(np.mean(lost)),
        }
        pictures = {"bands": before_and_after(module, self._validation[0])}
        return Validation(-float(np.mean(lost)), metrics, pictures)

    def _flows(self, references: list[Tensor], moving: list[Tensor]) -> tuple[Tensor, ...]:
        """One run of the network for all of them."""
        found = find_flow(self._network, torch.cat(references), torch.cat(moving))
        return found.chunk(len(references))

    def _alike(self, reference: Tensor, moving: Tensor, flow: Tensor) -> Tensor:
        settings = self._config.network
        moved = warp(standardised(moving, settings), flow, "bicubic")
        return charbonnier(standardised(reference, settings) - moved, inside(flow))

    def _coincide(self, reference: Tensor, moving: Tensor, flow: Tensor) -> Tensor:
        settings = self._config.network
        moved = warp(standardised(moving, settings), flow, "bicubic")
        return decorrelation(standardised(reference, settings), moved, inside(flow))


def constructed(
    images: Tensor, rng: np.random.Generator, largest_px: float
) -> tuple[Tensor, Tensor]:
    """`images` (n, 1, y, x) warped by a smooth random flow, tones and noise changed; the flow.

    Where the answer shows pixel p, the image has it at p + flow(p).
    """
    count, _, height, width = images.shape
    coarse = rng.normal(0, 1, (count, 2, 3, 3)) * rng.uniform(0.0, 0.3, (count, 1, 1, 1))
    coarse += rng.uniform(-0.8, 0.8, (count, 2, 1, 1))
    nodes = torch.from_numpy(coarse.astype(np.float32)) * largest_px
    flow = torch.nn.functional.interpolate(
        nodes, size=(height, width), mode="bicubic", align_corners=True
    ).clamp(-largest_px, largest_px)
    return _other_tones(warp(images, flow, "bicubic"), rng), flow


def _other_tones(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Each image through a random curve, rising, falling or neither, and some noise."""
    mean = images.mean(dim=(-2, -1), keepdim=True)
    spread = images.std(dim=(-2, -1), keepdim=True) + 1e-6
    z = (images - mean) / spread
    shape = (len(images), 4, 1, 1)
    drawn = torch.from_numpy(rng.normal(0, 1, shape).astype(np.float32))
    a, b, c, noise = (drawn[:, [index]] for index in range(4))
    curved: Tensor = (1 + a) * z + 0.7 * b * torch.tanh(2 * z) + 0.3 * c * (z.clamp(-3, 3) ** 2 - 1)
    grain = torch.from_numpy(rng.normal(0, 1, images.shape).astype(np.float32))
    return curved + 0.05 * noise.abs() * grain


def _bands_drawn(rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Indices of a reference band and of another one, for each sample."""
    one = rng.integers(len(BANDS), size=count)
    other = (one + rng.integers(1, len(BANDS), size=count)) % len(BANDS)
    return torch.from_numpy(one), torch.from_numpy(other)


def _others() -> list[tuple[int, int]]:
    """View and band of all images of a pair but the reference."""
    return [at for at in np.ndindex(2, len(BANDS)) if at != (0, BANDS.index("B03"))]


def squared_error(flow: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Mean over pixels, off the rim, of the squared length of the difference (2, y, x)."""
    inner = slice(RIM_PX, -RIM_PX)
    return float(((flow - truth)[:, inner, inner] ** 2).sum(axis=0).mean())
