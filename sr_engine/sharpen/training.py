"""Training `sharpen20`: everything twice as coarse, so that the truth is what was measured.

The regression has no weights and is worked out once; a batch is cut from its answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from datacube.errors import InvalidInput
from sr_engine.default.network import BLUR_RADIUS_PX, cropped
from sr_engine.sharpen.network import SHARPENED, Guess, Sharpener, SharpenSettings
from sr_engine.sharpen.places import PLACES, Image
from sr_engine.training.config import LoopSettings
from sr_engine.training.loop import Validation, best_device

ERROR_FLOOR = 5e-4  # reflectance: patches that the regression knows better than this count less
BRIGHTNESS = (0.5, 2.5)  # a scene under other light has the same detail, so many times stronger


@dataclass(frozen=True)
class SharpenTraining:
    """A training's whole configuration; `patch_px` in pixels of the coarser grid."""

    seed: int = 1
    patch_px: int = 24
    batch: int = 4
    loop: LoopSettings = field(default_factory=LoopSettings)
    network: SharpenSettings = field(default_factory=SharpenSettings)


@dataclass(frozen=True, eq=False)
class Sample:
    """An image at the training's scale, (1, band, y, x) each: what goes in, and the `truth`."""

    guides: Tensor
    coarse: Tensor
    truth: Tensor


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A sample with the regression's answer; all but `coarse` are on the finer grid."""

    features: Tensor
    first: Tensor
    coarse: Tensor
    truth: Tensor

    def part(self, row: int, col: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A square of `size` coarse pixels."""
        fine = (..., slice(2 * row, 2 * (row + size)), slice(2 * col, 2 * (col + size)))
        own = (..., slice(row, row + size), slice(col, col + size))
        return self.features[fine], self.first[fine], self.coarse[own], self.truth[fine]


def sample_of(image: Image, network: Sharpener) -> Sample:
    """An image made twice as coarse, as the bands' own optics would see it."""
    height, width = (size // 2 * 2 for size in image.bands.shape[1:])
    bands = torch.from_numpy(image.bands[:, :height, :width].copy())[None]
    guides = torch.from_numpy(image.guides[:, : 2 * height, : 2 * width].copy())[None]
    with torch.inference_mode():
        return Sample(
            network.degrade_guides(_padded(guides, 2 * BLUR_RADIUS_PX)),
            network.degrade(_padded(bands, 2 * BLUR_RADIUS_PX)),
            bands,
        )


def sharpened(network: Sharpener, sample: Sample) -> Tensor:
    """The network's answer over a whole sample, its edge repeated outwards."""
    margin = network.settings.margin_px
    with torch.inference_mode():
        guides, coarse = _padded(sample.guides, 2 * margin), _padded(sample.coarse, margin)
        found: Tensor = network(guides, coarse)
    return found


class SharpenTask:
    """The network in training; a `Task` of the shared loop."""

    def __init__(
        self, config: SharpenTraining, images: Sequence[Image], validated: Sequence[Image]
    ) -> None:
        self._config, self._device = config, best_device()
        torch.manual_seed(config.seed)
        self._module = Sharpener(config.network).to(self._device)
        plain = Sharpener(config.network)
        self._validated = [sample_of(image, plain) for image in validated]
        samples = [sample_of(image, plain) for image in images]
        self._prepared = [self._prepare(sample) for sample in samples]
        room = [min(one.coarse.shape[-2:]) for one in self._prepared]
        if min(room) < self._side:
            raise InvalidInput(
                f"need a patch_px of at most {config.patch_px + min(room) - self._side} for the "
                f"smallest image, got {config.patch_px}"
            )
        share = np.array([one.truth.numel() ** 0.5 for one in self._prepared])
        self._share = share / share.sum()

    @classmethod
    def from_folder(cls, config: SharpenTraining, data: Path) -> "SharpenTask":
        """With the places of the roles train and validate below the folder `data`."""
        train, validate = (
            [image for place in PLACES if place.role == role for image in place.read(data)]
            for role in ("train", "validate")
        )
        return cls(config, train, validate)

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self._module

    def losses(self, rng: np.random.Generator, step: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Mean absolute error over the regression's own error, patch by patch."""
        features, first, coarse, truth = self._batch(rng)
        settings = self._config.network
        refined = self._module.refine(Guess(features, first))
        inner = cropped(coarse, settings.refine_margin_px // 2)
        answer = self._module.project(refined, inner)
        rim = (truth.shape[-1] - answer.shape[-1]) // 2
        wanted, before = cropped(truth, rim), cropped(first, rim)
        usual = (before - wanted).abs().mean(dim=(1, 2, 3), keepdim=True) + ERROR_FLOOR
        return {"loss": ((answer - wanted).abs() / usual).mean()}

    def validate(self, module: nn.Module) -> Validation:
        """Gain over cubic interpolation in dB at places that no batch is of, mean of bands."""
        if not isinstance(module, Sharpener):
            raise TypeError(f"need a Sharpener to validate, got {type(module).__name__}")
        module.to("cpu")
        gains = gains_db(module, self._validated)
        module.to(self._device)
        by_band = {f"gain_db_{name}": gain for name, gain in zip(SHARPENED, gains, strict=True)}
        return Validation(float(np.mean(gains)), {"gain_db": float(np.mean(gains)), **by_band})

    @property
    def _side(self) -> int:
        settings = self._config.network
        projection = BLUR_RADIUS_PX + settings.deconvolution.halo_px
        return self._config.patch_px + settings.refine_margin_px + 2 * projection

    def _prepare(self, sample: Sample) -> _Prepared:
        """With the edge repeated outwards by what refining and projecting take away."""
        settings = self._config.network
        spare = settings.margin_px - settings.guess_margin_px
        with torch.inference_mode():
            guess = Sharpener(settings).guess(
                _padded(sample.guides, 2 * settings.margin_px),
                _padded(sample.coarse, settings.margin_px),
            )
        coarse, truth = _padded(sample.coarse, spare), _padded(sample.truth, 2 * spare)
        return _Prepared(guess.features, guess.reflectance, coarse, truth)

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, ...]:
        parts = []
        for _ in range(self._config.batch):
            one = self._prepared[rng.choice(len(self._prepared), p=self._share)]
            height, width = one.coarse.shape[-2:]
            row, col = (int(rng.integers(0, size - self._side + 1)) for size in (height, width))
            brightness = float(np.exp(rng.uniform(*np.log(BRIGHTNESS))))
            turns, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)
            part = [brightness * values for values in one.part(row, col, self._side)]
            part = [torch.rot90(values, turns, (-2, -1)) for values in part]
            parts.append([values.flip(-1) if mirrored else values for values in part])
        return tuple(torch.cat(values).to(self._device) for values in zip(*parts, strict=True))


def gains_db(network: Sharpener, samples: Sequence[Sample]) -> list[float]:
    """Gain over cubic interpolation by band: errors of all samples of one place together."""
    ours, theirs = (
        torch.stack(errors).mean(dim=0)
        for errors in zip(*(_errors(network, sample) for sample in samples), strict=True)
    )
    return [float(gain) for gain in 10 * torch.log10(theirs / ours)]


def squared_errors(image: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error by band, six pixels at every edge left out."""
    rim = 6
    return ((cropped(image, rim) - cropped(truth, rim)) ** 2).mean(dim=(0, 2, 3))


def _errors(network: Sharpener, sample: Sample) -> tuple[Tensor, Tensor]:
    smooth = network.interpolate(_padded(sample.coarse, 2))
    found = sharpened(network, sample)
    return squared_errors(found, sample.truth), squared_errors(smooth, sample.truth)


def _padded(values: Tensor, rim_px: int) -> Tensor:
    return functional.pad(values, (rim_px,) * 4, mode="replicate")
