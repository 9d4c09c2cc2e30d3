"""LDSR-S2, the latent diffusion model of the package `opensr-model`, from its checkpoint.

The network is the package's own: `pip install 'srcube[ldsr]'`. `srcube models import --from ldsr
FOLDER` reads the one `.ckpt` there and the `config_10m.yaml` beside it. It takes reflectance of
0 to 1, red first, in windows of 128 px. Diffusion starts from chance: every window starts from
the same, so that a place comes out the same each time.
"""

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datacube.errors import Unavailable
from sr_engine.adapters.windows import RIM_PX, Run, WindowedModel
from sr_engine.card import ModelCard
from sr_engine.imported import ImportFormat, Weights
from sr_engine.model import Model, Reflectance
from sr_engine.weights import ModelRejected, check_finite, check_shapes, read_pickle, read_weights

if TYPE_CHECKING:
    from torch import Tensor

ORDER = ("B04", "B03", "B02", "B08")
MAX_BYTES = 4 * 2**30  # published checkpoints take about a gigabyte
MAX_CONFIG_BYTES = 2**16
SEED = 1
STEPS = 100
ETA = 0.0  # no noise is added on the way


def read_folder(folder: Path) -> Weights:
    """The checkpoint and the configuration of a folder; raises ModelRejected.

    Raises Unavailable where the package, which knows the network's shapes, is not installed.
    """
    folder = folder if folder.is_dir() else folder.parent
    checkpoints = sorted(folder.glob("*.ckpt"))
    if len(checkpoints) != 1:
        raise ModelRejected(f"need one .ckpt in the folder {folder.name!r}, got {len(checkpoints)}")
    config = _config(folder)
    network = _network(config)
    tensors = _state(read_pickle(checkpoints[0], max_bytes=MAX_BYTES), checkpoints[0].name)
    wanted = {name: tuple(value.shape) for name, value in network.model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    check_shapes(found, wanted, checkpoints[0].name)
    check_finite(tensors, checkpoints[0].name)
    return Weights(_card(config), tensors)


def make_model(card: ModelCard, file: Path) -> Model:
    """The model of a card whose weights lie in `file`."""

    @cache
    def load() -> Run:
        network = _network(card.settings["config"])
        tensors = read_weights(file, sha256=card.weights_sha256, max_bytes=MAX_BYTES)
        network.model.load_state_dict(tensors, strict=True)
        return network_of(network, int(card.settings["steps"]))

    return WindowedModel(card, ORDER, load)


def network_of(network: Any, steps: int) -> Run:
    """What runs one window through the package's model, from the same chance each time."""
    import torch  # noqa: PLC0415

    def run(window: Reflectance) -> Reflectance:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(SEED)
            found = network(
                torch.from_numpy(window)[None],
                sampling_eta=ETA,
                sampling_steps=steps,
                sampling_temperature=1.0,
            )
        return np.asarray(found[0].cpu().numpy(), np.float32)

    return run


def _network(config: Mapping[str, Any]) -> Any:
    make, plain = _package("opensr_model").SRLatentDiffusion, _package("omegaconf").OmegaConf
    return make(plain.create(dict(config)), device="cpu")


def _package(name: str) -> Any:
    """A package of the extra `ldsr`; raises Unavailable where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"LDSR-S2 needs the package opensr-model ({error.name} is missing); install it with "
            "pip install 'srcube[ldsr]'"
        ) from error


def _config(folder: Path) -> dict[str, Any]:
    """The configuration as plain values: nothing in it may refer to anything outside it."""
    found = sorted(folder.glob("*.yaml"))
    if len(found) != 1 or found[0].stat().st_size > MAX_CONFIG_BYTES:
        raise ModelRejected(f"need one .yaml (config_10m.yaml) in the folder {folder.name!r}")
    yaml = _package("yaml")
    text = found[0].read_text("utf-8", errors="replace")
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ModelRejected(f"{found[0].name} is no YAML") from error
    if not isinstance(config, dict) or "${" in text:
        raise ModelRejected(f"{found[0].name} is no plain configuration")
    return config


def _state(checkpoint: Any, file: str) -> "dict[str, Tensor]":
    """The network's tensors, without those that only its training needed."""
    import torch  # noqa: PLC0415

    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict):
        raise ModelRejected(f"{file} is no checkpoint with a state_dict")
    tensors = {name: value for name, value in state.items() if "loss" not in str(name)}
    if not all(isinstance(name, str) for name in tensors) or not all(
        isinstance(value, torch.Tensor) for value in tensors.values()
    ):
        raise ModelRejected(f"{file} holds more than tensors in its state_dict")
    return tensors


def _card(config: dict[str, Any]) -> ModelCard:
    return ModelCard(
        id="ldsr-s2-x4",
        title="LDSR-S2 x4 (imported)",
        description="The latent diffusion model of opensr-model for the 10 m bands, from weights "
        "that the user brought.",
        factor=4,
        halo_px=RIM_PX,
        bands=("B02", "B03", "B04", "B08"),
        psf="as learnt by its makers",
        training_data="as stated by its makers (opensr-model)",
        licence="of the weights' makers",
        limits="Generative: its detail is one of many that fit, made from chance that is the same "
        "for each window of 128 px. Histograms are matched window by window. Minutes for each "
        "window on a CPU. No figures of ours.",
        settings={"config": config, "steps": STEPS, "seed": SEED},
    )


LDSR = ImportFormat(read_folder, make_model)
