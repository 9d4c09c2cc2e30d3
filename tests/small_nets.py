"""Small convolutional models for tests: as nonlinear as the real one, trained in a second."""

from collections.abc import Collection
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from datacube.scene import reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from datacube.store.layout import PlaneSpec
from sr_engine.bicubic import bicubic
from sr_engine.card import ModelCard
from sr_engine.model import Prediction, Reflectance
from tests.scenes import BANDS

HALO_PX = 5
FACTOR = 2


class SmallNet(nn.Module):
    """Bicubic and what a few 3x3 convolutions add to it; sees five pixels around."""

    def __init__(self, channels: int = 12, bands: int = 4) -> None:
        super().__init__()
        sizes = [bands, *[channels] * 4]
        self.body = nn.ModuleList(nn.Conv2d(before, after, 3) for before, after in pairwise(sizes))
        self.tail = nn.Conv2d(channels, bands * FACTOR**2, 3)
        self.base = bicubic(FACTOR).module(BANDS[:bands])

    def forward(self, patch: Tensor) -> Tensor:
        rim = HALO_PX - 2  # bicubic's own halo is 2
        features = (patch - 0.15) * 5
        for layer in self.body:
            features = functional.relu(layer(features))
        detail = functional.pixel_shuffle(self.tail(features), FACTOR) / 5
        base: Tensor = self.base(patch[..., rim:-rim, rim:-rim])
        return base + detail


class NetModel:
    """A module behind the interface of every differentiable model."""

    def __init__(self, net: nn.Module, name: str = "small-net") -> None:
        self.net = net.eval()
        self.card = ModelCard(name, name, "for tests", FACTOR, HALO_PX, bands=BANDS)

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        return ()

    def predict(
        self, patch: Reflectance, bands: tuple[str, ...], *, planes: Collection[str] = ()
    ) -> Prediction:
        assert bands == BANDS
        assert not planes
        with torch.inference_mode():
            fine = self.net(torch.from_numpy(np.ascontiguousarray(patch))[None])
        return Prediction(fine[0].numpy(), {})

    def module(self, bands: tuple[str, ...]) -> nn.Module:
        assert bands == BANDS
        return self.net


class WithoutGradients:
    """What an ONNX file gives: answers, and nothing else."""

    def __init__(self, model: NetModel) -> None:
        self.card = replace(model.card, id="onnx-only")
        self.planes = model.planes
        self.predict = model.predict


def random_net(seed: int = 0) -> SmallNet:
    torch.manual_seed(seed)
    return SmallNet()


@cache
def landscape_pair(seed: int = 5, side: int = 96) -> tuple[Reflectance, Reflectance]:
    """A simulated image and its truth at half the pixel size, without clouds."""
    (summer,) = plan_season(seed, dates=1, truth_dates=1)
    shot = acquire(build_landscape(seed, (side, side + 16)), summer, BANDS)
    assert shot.truth_dn is not None
    truth = reflectance_from_dn(shot.truth_dn)
    bands, height, width = truth.shape
    halved = truth.reshape(bands, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return reflectance_from_dn(shot.dn), halved.astype(np.float32)


class PlainNet(SmallNet):
    """The same without the interpolation: all of its answer is learnt."""

    def forward(self, patch: Tensor) -> Tensor:
        features = (patch - 0.15) * 5
        for layer in self.body:
            features = functional.relu(layer(features))
        return functional.pixel_shuffle(self.tail(features), FACTOR) / 5 + 0.15


def trained_net() -> SmallNet:
    """Bicubic and what is learnt beside it."""
    return trained(SmallNet, 1)


@cache
def trained(kind: type[SmallNet], seed: int, steps: int = 250) -> SmallNet:
    """Trained on simulated ground, enough that its weights matter: a second or two."""
    image, truth = (torch.from_numpy(one)[None] for one in landscape_pair(side=48))
    torch.manual_seed(seed)
    net = kind()
    rim = HALO_PX * FACTOR
    wanted = truth[..., rim:-rim, rim:-rim]
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = (net(image) - wanted).abs().mean()
        loss.backward()
        optimiser.step()
    return net.eval()
