"""The trained network in the registry's interface: onnxruntime on CPUs, torch on a GPU.

One band after the other, with weights that all bands share, so that any bands will do and none
depends on which others are there.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from datacube.errors import InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.card import ModelCard
from sr_engine.default.network import NetworkSettings, Optics, Residual, restore
from sr_engine.default.places import BANDS
from sr_engine.default.record import ONNX_SCALE_SUFFIX, ONNX_SUFFIX, WEIGHTS_SUFFIX, WeightsRecord
from sr_engine.model import Prediction, Reflectance
from sr_engine.planes import BAND_SCALES, SCALE
from sr_engine.weights import ModelRejected, file_sha256, read_weights

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class DefaultModel:
    """A trained network; `stem` is the path of its files without their suffixes."""

    def __init__(
        self, card: ModelCard, record: WeightsRecord, settings: NetworkSettings, stem: Path
    ) -> None:
        self._card, self._record, self._settings, self._stem = card, record, settings, stem
        self._lock = threading.Lock()
        self._sessions: dict[bool, InferenceSession] = {}  # without and with the scale

    @property
    def card(self) -> ModelCard:
        """What the model is."""
        return self._card

    @property
    def record(self) -> WeightsRecord:
        """How the weights came about."""
        return self._record

    @property
    def settings(self) -> NetworkSettings:
        """Size of the network."""
        return self._settings

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """The scale of the error, over all bands and of each."""
        return (SCALE, *BAND_SCALES.values())

    def predict(
        self, patch: Reflectance, bands: tuple[str, ...], *, planes: Collection[str] = ()
    ) -> Prediction:
        """Super-resolve band by band; see `PatchModel.predict`.

        The scale is the root mean square of the bands' scales; that of a band which is not there
        is NaN. Raises InvalidInput for bands
        other than B02, B03, B04 and B08, ModelRejected where the files were changed.
        """
        self._check(patch, bands)
        with_scale = not {plane.name for plane in self.planes}.isdisjoint(planes)
        run = self._on_gpu if torch.cuda.is_available() else self._on_cpu
        answers = [run(plane, band, with_scale) for plane, band in zip(patch, bands, strict=True)]
        fine = np.stack([reflectance for reflectance, _ in answers])
        if not with_scale:
            return Prediction(fine, {})
        scales = {
            band: scale
            for band, (_, scale) in zip(bands, answers, strict=True)
            if scale is not None
        }
        return Prediction(fine, _told(scales, planes))

    def module(self, bands: tuple[str, ...]) -> nn.Module:
        """The same as torch has it; see `DifferentiableModel.module`."""
        _check_bands(bands)
        with torch.inference_mode(mode=False):  # whoever asks first, others may want gradients
            return Bandwise(self._residual, bands, self._settings).eval()

    @cached_property
    def _residual(self) -> Residual:
        residual = Residual(self._settings)
        shapes = {name: tuple(value.shape) for name, value in residual.state_dict().items()}
        path = self._stem.with_suffix(WEIGHTS_SUFFIX)
        tensors = read_weights(path, shapes=shapes, sha256=self._record.weights_sha256)
        residual.load_state_dict(tensors)
        return residual.requires_grad_(requires_grad=False).eval()

    def _check(self, patch: Reflectance, bands: tuple[str, ...]) -> None:
        _check_bands(bands)
        halo = self._card.halo_px
        if patch.ndim != 3 or patch.shape[0] != len(bands):
            raise InvalidInput(
                f"need a patch (band, y, x) of {len(bands)} bands, got {patch.shape}"
            )
        if min(patch.shape[1:]) <= 2 * halo:
            raise InvalidInput(f"need a patch larger than twice the halo of {halo} px")

    def _on_cpu(
        self, plane: Reflectance, band: str, with_scale: bool
    ) -> tuple[Reflectance, Reflectance | None]:
        blur, inverse = _kernels(band, self._settings)
        feed = {
            "patch": np.ascontiguousarray(plane, np.float32)[None, None],
            "blur": blur,
            "inverse": inverse,
        }
        made = self._opened(with_scale).run(None, feed)
        return made[0][0, 0], made[1][0, 0] if with_scale else None

    def _on_gpu(
        self, plane: Reflectance, band: str, with_scale: bool
    ) -> tuple[Reflectance, Reflectance | None]:
        with self._lock, torch.no_grad():
            residual = self._residual.to("cuda")
            optics = Optics(band, self._settings).to("cuda")
            patch = torch.from_numpy(np.ascontiguousarray(plane))[None, None].to("cuda")
            answer = restore(residual, optics, patch, self._settings)
            fine = answer.reflectance[0, 0].cpu().numpy()
            return fine, answer.scale[0, 0].cpu().numpy() if with_scale else None

    def _opened(self, with_scale: bool) -> "InferenceSession":
        """A session, made when first needed, with as many threads as torch may take."""
        suffix = ONNX_SCALE_SUFFIX if with_scale else ONNX_SUFFIX
        sha256 = self._record.onnx_scale_sha256 if with_scale else self._record.onnx_sha256
        with self._lock:
            if with_scale not in self._sessions:
                path = self._stem.with_suffix(suffix)
                self._sessions[with_scale] = _open_session(path, sha256)
            return self._sessions[with_scale]


class Bandwise(nn.Module):
    """The network on every band with that band's optics."""

    def __init__(self, residual: Residual, bands: Iterable[str], settings: NetworkSettings) -> None:
        super().__init__()
        self.residual = residual
        self.optics = nn.ModuleList(Optics(band, settings) for band in bands)
        self.settings = settings

    def forward(self, patch: Tensor) -> Tensor:
        """(n, band, y + 2 halo, x + 2 halo) to (n, band, factor y, factor x)."""
        made = [
            restore(self.residual, optics, patch[:, number : number + 1], self.settings).reflectance
            for number, optics in enumerate(self.optics)
            if isinstance(optics, Optics)
        ]
        return torch.cat(made, dim=1)


def _told(scales: Mapping[str, Reflectance], planes: Collection[str]) -> dict[str, Reflectance]:
    """Those planes of scales (y, x) that were asked for, from the scales by band."""
    shape = next(iter(scales.values())).shape
    nothing = np.full(shape, np.nan, np.float32)
    told = {plane.name: scales.get(band, nothing) for band, plane in BAND_SCALES.items()}
    squares = [scale**2 for scale in scales.values()]
    told[SCALE.name] = np.sqrt(np.mean(squares, axis=0), dtype=np.float32)
    return {name: values for name, values in told.items() if name in planes}


def _check_bands(bands: tuple[str, ...]) -> None:
    unknown = [band for band in bands if band not in BANDS]
    if unknown or not bands:
        raise InvalidInput(
            f"need some of the bands {', '.join(BANDS)}, got {', '.join(bands) or 'none'}"
        )


@cache
def _kernels(band: str, settings: NetworkSettings) -> tuple[Reflectance, Reflectance]:
    """Blur and inverse of a band as the graph takes them."""
    optics = Optics(band, settings)
    return optics.get_buffer("blur").numpy(), optics.get_buffer("inverse").numpy()


def _open_session(path: Path, sha256: str) -> "InferenceSession":
    from onnxruntime import InferenceSession, SessionOptions  # noqa: PLC0415 - when first used

    if file_sha256(path) != sha256:
        raise ModelRejected(
            f"{path.name} is not the file that was recorded (its sha256 differs); install anew"
        )
    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    return InferenceSession(path, options, providers=["CPUExecutionProvider"])
