"""Training the default model: its settings, its loss, and what a validation looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sr_engine.default.acquisition import Pair
from sr_engine.default.dataset import DataSettings, PairSet, read_pairs
from sr_engine.default.network import NetworkSettings, Optics, Residual, cropped, restore
from sr_engine.default.places import BANDS
from sr_engine.default.scoring import bicubic_of, gain_db, picture
from sr_engine.training.config import LoopSettings
from sr_engine.training.loop import Picture, Validation, best_device

ERROR_FLOOR = 1e-3  # reflectance: patches that the deconvolution knows better than this count less
VALIDATED_PAIRS = 12  # of each kind


@dataclass(frozen=True)
class DefaultTraining:
    """A training's whole configuration."""

    seed: int = 1
    scale_weight: float = 0.05
    loop: LoopSettings = field(default_factory=LoopSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    data: DataSettings = field(default_factory=DataSettings)


class DefaultTask:
    """The residual network in training; a `Task` of the shared loop."""

    def __init__(self, config: DefaultTraining, train: PairSet, validate: PairSet) -> None:
        self._config, self._settings = config, config.network
        self._halo = config.network.halo_px
        self._train = train.fitting(config.data.patch_px + 2 * self._halo)
        self._validate = validate
        self._device = best_device()
        torch.manual_seed(config.seed)
        self._module = Residual(self._settings)
        self._module.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # a seventh faster
        self._optics = {band: Optics(band, self._settings).to(self._device) for band in BANDS}

    @classmethod
    def from_folder(cls, config: DefaultTraining, data: Path) -> "DefaultTask":
        """With the places of the roles train and validate below the folder `data`."""
        factor = config.network.factor
        train = read_pairs(data, "train", factor, recorded_m=config.data.recorded_m)
        return cls(config, train, read_pairs(data, "validate", factor))

    @property
    def module(self) -> nn.Module:
        """The residual network."""
        return self._module

    def losses(self, rng: np.random.Generator, step: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Squared error over that of the deconvolution alone, patch by patch, and the scale's.

        Without the division the few patches of strong contrast would be all that counts. The
        scale is that of a Laplace distribution, by its likelihood, on features that it does not
        train.
        """
        batch = self._train.draw(rng, self._halo, self._config.data)
        lr, hr = (torch.from_numpy(one).to(self._device) for one in (batch.lr, batch.hr))
        optics = self._optics[batch.band]
        answer = restore(self._module, optics, lr, self._settings)
        with torch.no_grad():
            near = cropped(lr, self._halo - self._settings.deconvolution.halo_px)
            linear = _squared(optics.deconvolve(near) - hr) + ERROR_FLOOR**2
        error = answer.reflectance - hr
        fidelity = (_squared(error) / linear).mean()
        misfit = (error.detach().abs() / answer.scale + answer.scale.log()).mean()
        return {
            "loss": fidelity + self._config.scale_weight * misfit,
            "fidelity": fidelity,
            "misfit": misfit,
        }

    def validate(self, module: nn.Module) -> Validation:
        """Gain over bicubic in dB, the mean over pairs of each kind; the score is their mean."""
        metrics: dict[str, float] = {}
        pictures: dict[str, Picture] = {}
        for kind, pairs in self._validate.pairs.items():
            step = max(len(pairs) // VALIDATED_PAIRS, 1)
            gains = []
            for number, pair in enumerate(pairs[::step]):
                lr = pair.lr if kind == "wald" else pair.noisy(np.random.default_rng(number))
                fine = self._restored(module, lr, pair.band)
                rough = bicubic_of(lr, self._settings.factor)
                gains.append(gain_db(fine, rough, pair.hr, self._settings.factor))
                if number == 0:
                    pictures[kind] = self._picture(lr, fine, pair)
            metrics[kind] = float(np.mean(gains))
        return Validation(float(np.mean(list(metrics.values()))), metrics, pictures)

    def _restored(self, module: nn.Module, lr: np.ndarray, band: str) -> np.ndarray:
        padded = np.pad(lr, self._halo, mode="edge")
        patch = torch.from_numpy(padded)[None, None].to(self._device)
        if not isinstance(module, Residual):
            raise TypeError(f"need a Residual to validate, got {type(module).__name__}")
        answer = restore(module, self._optics[band], patch, self._settings)
        return np.asarray(answer.reflectance[0, 0].cpu().numpy())

    def _picture(self, lr: np.ndarray, fine: np.ndarray, pair: Pair) -> Picture:
        return picture([bicubic_of(lr, self._settings.factor), fine, pair.hr])


def _squared(error: Tensor) -> Tensor:
    return (error**2).mean(dim=(1, 2, 3))
