"""SEN2SRLite for the 10 m bands at x4, from the folder that `mlstac.download` leaves.

`srcube models import --from sen2sr FOLDER` reads `model.safetensor` and
`hard_constraint.safetensor`; the `load.py` beside them is code of somebody else's and is never
run. The network takes reflectance of 0 to 1, red first, in windows of 128 px, and is held to its
input at low frequencies by a Fourier filter of that size.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_engine.adapters.windows import RIM_PX, WINDOW_PX, Run, WindowedModel
from sr_engine.card import ModelCard
from sr_engine.imported import ImportFormat, Weights
from sr_engine.model import Model, Reflectance
from sr_engine.weights import ModelRejected, check_shapes, read_weights, safetensors_shapes

if TYPE_CHECKING:
    from torch import Tensor

ORDER = ("B04", "B03", "B02", "B08")
FACTOR = 4
NETWORK_FILES = ("model.safetensor", "sr_model.safetensor", "model.safetensors")
CONSTRAINT_FILES = (
    "hard_constraint.safetensor", "sr_hard_constraint.safetensor", "hard_constraint.safetensors",
)  # fmt: skip
MASK = "hard_constraint.low_pass_mask"


def read_folder(folder: Path) -> Weights:
    """The two files of a folder; raises ModelRejected for anything but SEN2SRLite RGBN x4."""
    from sr_engine.adapters.span import span_shapes  # noqa: PLC0415 - torch

    folder = folder if folder.is_dir() else folder.parent
    network = _one_of(folder, NETWORK_FILES)
    found = safetensors_shapes(network)
    wanted = span_shapes(found)
    check_shapes(found, wanted, network.name)
    if found["conv_1.sk.weight"][1] != len(ORDER) or found["upsampler.0.bias"] != (64,):
        raise ModelRejected(f"{network.name} is not of four bands and x{FACTOR}")
    tensors = read_weights(network, shapes=wanted)
    return Weights(_card(), {**tensors, MASK: _mask(_one_of(folder, CONSTRAINT_FILES))})


def make_model(card: ModelCard, file: Path) -> Model:
    """The model of a card whose weights lie in `file`."""

    @cache
    def load() -> Run:
        return network_of(read_weights(file, sha256=card.weights_sha256))

    return WindowedModel(card, ORDER, load)


def network_of(tensors: "Mapping[str, Tensor]") -> Run:
    """What runs one window: the network, never below zero, then the constraint."""
    import torch  # noqa: PLC0415
    from torch.nn import functional  # noqa: PLC0415

    from sr_engine.adapters.span import Span  # noqa: PLC0415

    network = Span(tensors).eval()
    mask = tensors[MASK]

    def run(window: Reflectance) -> Reflectance:
        with torch.inference_mode():
            coarse = torch.from_numpy(window)[None]
            fine = network(coarse).clamp(min=0)
            rough = functional.interpolate(
                coarse, size=fine.shape[-2:], mode="bicubic", antialias=True
            )
            spectra = (
                torch.fft.fftshift(torch.fft.fft2(one), dim=(-2, -1)) for one in (rough, fine)
            )
            low, high = spectra
            both = torch.fft.ifftshift(low * mask + high * (1 - mask), dim=(-2, -1))
            found = torch.fft.ifft2(both).real
        return np.asarray(found[0].numpy(), np.float32)

    return run


def _mask(path: Path) -> "Tensor":
    """The filter: one tensor of the size of a window's result, between 0 and 1."""
    side = WINDOW_PX * FACTOR
    tensors = read_weights(path)
    found = [one for one in tensors.values() if one.numel() == side**2 and one.ndim >= 2]
    if len(tensors) != 1 or len(found) != 1 or found[0].shape[-2:] != (side, side):
        raise ModelRejected(f"{path.name} holds no one filter of {side} x {side}")
    mask = found[0].reshape(side, side).float()
    if float(mask.min()) < 0 or float(mask.max()) > 1:
        raise ModelRejected(f"{path.name} holds a filter beyond 0 to 1")
    return mask


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ModelRejected(
        f"need {names[0]} in the folder {folder.name!r}, as mlstac.download leaves it"
    )


def _card() -> ModelCard:
    return ModelCard(
        id="sen2sr-lite-x4",
        title="SEN2SRLite x4 (imported)",
        description="The light network of SEN2SR for the 10 m bands, from weights that the user "
        "brought, with its low frequencies taken from its input.",
        factor=FACTOR,
        halo_px=RIM_PX,
        bands=("B02", "B03", "B04", "B08"),
        psf="as learnt by its makers",
        training_data="as stated by its makers (SEN2SR)",
        licence="of the weights' makers",
        limits="Works in windows of 128 px, of which the middle 64 are kept: what it makes of a "
        "pixel depends on its window. No figures of ours.",
    )


SEN2SR = ImportFormat(read_folder, make_model)
