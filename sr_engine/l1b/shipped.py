"""The weights of CSR and REC that come with srcube, and the records beside them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from datacube.errors import Damaged
from sr_engine.card import ModelCard, Score
from sr_engine.l1b.flow_network import FlowNetwork
from sr_engine.l1b.model import RecModel
from sr_engine.l1b.rec_network import FACTOR, Joint, RecNetwork
from sr_engine.l1b.train_csr import CsrConfig
from sr_engine.l1b.train_rec import RecConfig
from sr_engine.l1b.views import BANDS
from sr_engine.training.config import build
from sr_engine.weights import file_sha256, read_weights

WEIGHTS = Path(__file__).parent / "weights"
CSR, REC = "csr-small", "rec-small"
HALO_PX = 128


@dataclass(frozen=True)
class Record:
    """What stands beside weights: all settings, the data's ids, what was measured, the digest."""

    config: dict[str, Any]
    data: dict[str, Any]
    metrics: tuple[Score, ...]
    weights_sha256: str


def load_csr(folder: Path = WEIGHTS, name: str = CSR) -> FlowNetwork:
    """CSR as trained, in evaluation mode; raises Damaged or ModelRejected for other files."""
    record = read_record(folder, name)
    network = FlowNetwork(build(CsrConfig, record.config).network)
    _fill(network, folder / f"{name}.safetensors", record)
    return network


def load_joint(folder: Path = WEIGHTS, name: str = REC) -> Joint:
    """REC as trained, and the CSR it was trained with if it needs one; see `load_csr`."""
    record = read_record(folder, name)
    network = RecNetwork(build(RecConfig, record.config).network)
    _fill(network, folder / f"{name}.safetensors", record)
    return Joint(network, load_csr() if network.settings.aligned else None).eval()


@cache
def rec_model() -> RecModel:
    """The model `rec-x2` that is listed among all others."""
    record, csr = read_record(WEIGHTS, REC), read_record(WEIGHTS, CSR)
    both = f"{record.weights_sha256} {csr.weights_sha256} halo {HALO_PX}"
    card = ModelCard(
        id="rec-x2",
        title="L1BSR re-created, small: REC x2 for level 1B",
        description="Aligns the bands of a level 1B image to B03 and sharpens them, learnt from "
        "pairs of overlapping detector views alone, without any sharp truth. After the idea of "
        "Nguyen et al., EarthVision 2023.",
        factor=FACTOR,
        halo_px=HALO_PX,
        bands=BANDS,
        psf="Gaussian of the band's MTF at Nyquist, then the 10 m pixel",
        training_data="simulated overlaps of two detectors; no measured pixel",
        limits="5 m is the spacing of its grid, not its resolution. Trained on simulated views "
        "alone. Bands may lie up to about 4 px apart. Flows are found on each padded block: on "
        "simulated ground its pixels differ from those of the whole scene at once by 0.0003 (B02) "
        "to 0.002 (B08) of reflectance in the mean. It rings at very bright roofs: on one of five "
        "real crops about 0.01 % of the pixels fall below zero.",
        weights_sha256=hashlib.sha256(both.encode()).hexdigest(),
        settings={"rec": record.config, "csr": csr.config},
        metrics=record.metrics,
    )
    return RecModel(card, load_joint)


def read_record(folder: Path, name: str) -> Record:
    """The record beside the weights; raises Damaged where it cannot be read."""
    path = folder / f"{name}.json"
    try:
        document = json.loads(path.read_text("utf-8"))
        scores = tuple(Score(**score) for score in document.pop("metrics"))
        return Record(**document, metrics=scores)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Damaged(f"{path.name} is no record of trained weights: {error}"[:300]) from error


def write_weights(network: nn.Module, folder: Path, name: str, record: Record) -> list[Path]:
    """Write weights as safetensors and their record with the digest; returns both files."""
    from safetensors.torch import save_file  # noqa: PLC0415 - only where weights are made

    folder.mkdir(parents=True, exist_ok=True)
    weights, beside = folder / f"{name}.safetensors", folder / f"{name}.json"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, weights)
    document = {
        "config": record.config,
        "data": record.data,
        "metrics": [vars(score) for score in record.metrics],
        "weights_sha256": file_sha256(weights),
    }
    beside.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return [weights, beside]


def _fill(network: nn.Module, path: Path, record: Record) -> None:
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    tensors = read_weights(path, shapes=shapes, sha256=record.weights_sha256)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(requires_grad=False)
