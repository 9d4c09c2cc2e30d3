"""Checkpoints that the authors of L1BSR published, under our modules' names.

Names and shapes of their parameters are facts about a file; the modules they fill are ours. The
flow network is listed under `state_dictCSR` of its file, the super-resolving one is the file.
Published figures belong to their weights: nothing is measured here when a file is imported.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr_engine.card import ModelCard
from sr_engine.imported import ImportFormat, Weights
from sr_engine.l1b.flow_network import REFERENCE as CSR_REFERENCE
from sr_engine.l1b.flow_network import FlowNetwork
from sr_engine.l1b.model import RecModel
from sr_engine.l1b.rec_network import FACTOR, Joint, RecNetwork
from sr_engine.l1b.rec_network import REFERENCE as REC_REFERENCE
from sr_engine.l1b.views import BANDS
from sr_engine.weights import ModelRejected, check_finite, check_shapes, read_pickle, read_weights

CSR_KEY = "state_dictCSR"
HALO_PX = 64
ORIGIN = "L1BSR (Nguyen et al., EarthVision 2023), weights as published by its authors"


def read_published(path: Path) -> Weights:
    """A published REC under our names; raises ModelRejected for any other file."""
    tensors = renamed(path, rec_names(), RecNetwork(REC_REFERENCE))
    card = ModelCard(
        id="l1bsr-rec-x2",
        title="L1BSR's REC as published (imported)",
        description="Joint alignment and super-resolution of level 1B bands by the published "
        "weights of 10 groups of 20 blocks.",
        factor=FACTOR,
        halo_px=HALO_PX,
        bands=BANDS,
        psf="learnt",
        training_data=ORIGIN,
        licence="as its authors state (their code is GPL-3.0)",
        limits="Attention averages over the padded block, so that adjoining blocks need not agree "
        "to the last digit; about 470 times the small model's work per pixel is heavy on CPUs.",
        settings={"rec": REC_REFERENCE.document()},
    )
    return Weights(card, tensors)


def make_published(card: ModelCard, path: Path) -> RecModel:
    """The model of an imported card; weights are read when first needed."""

    def load() -> Joint:
        network = RecNetwork(REC_REFERENCE)
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        network.load_state_dict(read_weights(path, shapes=shapes, sha256=card.weights_sha256))
        return Joint(network.eval().requires_grad_(requires_grad=False), None).eval()

    return RecModel(card, load)


def load_published_csr(path: Path) -> FlowNetwork:
    """A published CSR as our module, for `srcube register --csr`; see `read_published`."""
    network = FlowNetwork(CSR_REFERENCE)
    network.load_state_dict(renamed(path, csr_names(), network))
    return network.eval().requires_grad_(requires_grad=False)


def renamed(path: Path, names: Mapping[str, str], network: nn.Module) -> dict[str, Tensor]:
    """The tensors of a checkpoint under the names of `network`, every one of them and no more.

    `names` are ours by theirs, without `.weight` and `.bias`.
    """
    found = _state(read_pickle(path), path.name)
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    parts = ("weight", "bias")
    pairs = {f"{theirs}.{part}": f"{names[theirs]}.{part}" for theirs in names for part in parts}
    wanted = {theirs: own[ours] for theirs, ours in pairs.items()}
    check_shapes({name: tuple(value.shape) for name, value in found.items()}, wanted, path.name)
    check_finite(found, path.name)
    return {pairs[name]: value.to(torch.float32) for name, value in found.items()}


def rec_names() -> dict[str, str]:
    """Our layer for each of theirs: RCAN's usual nesting of `body`s, each ending in a layer."""
    names = {"head.0": "entry", "tail.0.0": "widen", "tail.1": "exit"}
    groups, blocks = REC_REFERENCE.groups, REC_REFERENCE.blocks
    names[f"body.{groups}"] = "joint"
    for group in range(groups):
        names[f"body.{group}.body.{blocks}"] = f"groups.{group}.joint"
        for block in range(blocks):
            theirs, ours = f"body.{group}.body.{block}.body", f"groups.{group}.blocks.{block}"
            names[f"{theirs}.0"], names[f"{theirs}.2"] = f"{ours}.first", f"{ours}.second"
            names[f"{theirs}.3.conv_du.0"] = f"{ours}.squeeze"
            names[f"{theirs}.3.conv_du.2"] = f"{ours}.excite"
    return names


def csr_names() -> dict[str, str]:
    """Our layer for each of theirs: four levels down, four up, two layers behind."""
    names = {"conv1": "inner", "conv2": "last"}
    for part, ours in (("convPool", "encoder"), ("convBinl", "decoder")):
        for level in range(4):
            for number, layer in ((1, "first"), (2, "second")):
                theirs = f"{part}{level + 1}.convleaky.conv{number}"
                names[theirs] = f"{ours}.{level}.{layer}"
    return names


def _state(document: Any, file: str) -> dict[str, Tensor]:
    """The tensors by name, be the file a state or a dictionary that holds one."""
    state = document.get(CSR_KEY, document) if isinstance(document, dict) else None
    if not isinstance(state, dict) or not state:
        raise ModelRejected(f"{file} holds no weights by name; need a published CSR or REC")
    plain = {str(name).removeprefix("module."): value for name, value in state.items()}
    if not all(isinstance(value, Tensor) for value in plain.values()):
        raise ModelRejected(f"{file} holds more than tensors by name; need a published CSR or REC")
    return plain


L1BSR = ImportFormat(read_published, make_published)
