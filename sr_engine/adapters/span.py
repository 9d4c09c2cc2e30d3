"""The network of SEN2SRLite: SPAN (Wan et al., CVPR workshops 2024) in the variant it ships.

A convolution there is stored as three (1x1, 3x3, 1x1) and a skip; in use they are one 3x3
convolution, which is what is computed here. As published, every block is given the first
features rather than the block before, so that only the first and the last block count; weights
were trained so, hence it stays.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr_engine.weights import ModelRejected, Shapes

GAIN = 2  # channels between the three convolutions, per channel around them
FORM = re.compile(r"blocks\.(\d+)\.c1_r\.sk\.weight")


class Span(nn.Module):
    """Inference from the published tensors, which stay in `state_dict` under their own names."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        last = max(_blocks(tensors))
        self.first = _fused(tensors, "conv_1")
        self.blocks = nn.ModuleList(_Block(tensors, f"blocks.{index}") for index in (0, last))
        self.second = _fused(tensors, "conv_2")
        self.joined = _convolution(tensors["conv_cat.weight"], tensors["conv_cat.bias"])
        self.last = _convolution(tensors["upsampler.0.weight"], tensors["upsampler.0.bias"])
        self.factor = round((tensors["upsampler.0.bias"].numel() / _bands(tensors)) ** 0.5)

    def forward(self, image: Tensor) -> Tensor:
        """(n, band, y, x) to (n, band, factor y, factor x)."""
        features = self.first(image)
        (early, _), (late, within) = (block(features) for block in self.blocks)
        joined = self.joined(torch.cat([features, self.second(late), early, within], dim=1))
        return functional.pixel_shuffle(self.last(joined), self.factor)


class _Block(nn.Module):
    """Three convolutions, whose result weighs itself."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_fused(tensors, f"{name}.c{step}_r") for step in (1, 2, 3))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The block's answer, and what it had after its first convolution."""
        first, second, third = self.layers
        within = functional.silu(first(features))
        found = third(functional.silu(second(within)))
        return (found + features) * (torch.sigmoid(found) - 0.5), within


def span_shapes(found: Shapes) -> Shapes:
    """Names and shapes of the network whose size `found` hints at; raises ModelRejected."""
    try:
        width, bands = found["conv_1.sk.weight"][:2]
        phases = found["upsampler.0.weight"][0]
        count = max(_blocks(found)) + 1
    except (KeyError, ValueError) as error:
        raise ModelRejected(
            "these are no weights of SEN2SRLite (CNN, RGBN x4); its other variants, with Mamba or "
            "20 m bands, are not supported"
        ) from error
    if phases % bands or round((phases / bands) ** 0.5) ** 2 * bands != phases:
        raise ModelRejected(f"{phases} phases are no whole magnification of {bands} bands")
    shapes = {"conv_cat.weight": (width, 4 * width, 1, 1), "conv_cat.bias": (width,)}
    shapes |= {"upsampler.0.weight": (phases, width, 3, 3), "upsampler.0.bias": (phases,)}
    shapes |= _triple("conv_1", bands, width) | _triple("conv_2", width, width)
    for index in range(count):
        for step in (1, 2, 3):
            shapes |= _triple(f"blocks.{index}.c{step}_r", width, width)
    return shapes


def fuse(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Weight (out, in, 3, 3) and bias of the one convolution that three and a skip make."""
    one, two, three = (tensors[f"{name}.conv.{step}.weight"] for step in range(3))
    weight = torch.einsum("oa,abyx,bi->oiyx", three[:, :, 0, 0], two, one[:, :, 0, 0]).clone()
    weight[:, :, 1, 1] += tensors[f"{name}.sk.weight"][:, :, 0, 0]
    inner = two.sum(dim=(2, 3)) @ tensors[f"{name}.conv.0.bias"] + tensors[f"{name}.conv.1.bias"]
    outer = three[:, :, 0, 0] @ inner + tensors[f"{name}.conv.2.bias"]
    return weight, outer + tensors[f"{name}.sk.bias"]


def _fused(tensors: Mapping[str, Tensor], name: str) -> nn.Conv2d:
    return _convolution(*fuse(tensors, name))


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    out, into, size, _ = weight.shape
    layer = nn.Conv2d(into, out, size, padding=size // 2)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _triple(name: str, into: int, out: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for part, channels, size in (
        ("sk", (into, out), 1),
        ("conv.0", (into, GAIN * into), 1),
        ("conv.1", (GAIN * into, GAIN * out), 3),
        ("conv.2", (GAIN * out, out), 1),
        ("eval_conv", (into, out), 3),
    ):
        shapes[f"{name}.{part}.weight"] = (channels[1], channels[0], size, size)
        shapes[f"{name}.{part}.bias"] = (channels[1],)
    return shapes


def _blocks(names: Iterable[str]) -> list[int]:
    return [int(found[1]) for name in names if (found := FORM.fullmatch(name))]


def _bands(tensors: Mapping[str, Tensor]) -> int:
    return int(tensors["conv_1.sk.weight"].shape[1])
