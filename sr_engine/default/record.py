"""What is kept beside trained weights: how they came about and what they were found to do."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datacube.errors import Damaged
from sr_engine.card import Score

WEIGHTS_SUFFIX, RECORD_SUFFIX = ".safetensors", ".json"
ONNX_SUFFIX, ONNX_SCALE_SUFFIX = ".onnx", ".scale.onnx"  # without and with the error's scale


@dataclass(frozen=True)
class WeightsRecord:
    """Everything of a training but the weights.

    `config` is the whole configuration, `data` a line for each place with its role and a digest
    of the numbers that were read, `figures` what `evaluate` measured by name, `scores` the
    same as the card tells it. Digests are of the files of weights.
    """

    id: str
    factor: int
    config: Mapping[str, Any]
    data: tuple[Mapping[str, Any], ...]
    figures: Mapping[str, float]
    scores: tuple[Score, ...]
    weights_sha256: str
    onnx_sha256: str
    onnx_scale_sha256: str


def read_record(path: Path) -> WeightsRecord:
    """Read a record; raises Damaged for a file that is none."""
    try:
        document = json.loads(path.read_text("utf-8"))
        scores = tuple(Score(**score) for score in document.pop("scores"))
        return WeightsRecord(**{**document, "data": tuple(document["data"])}, scores=scores)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path.name} is no record of trained weights: {error}"[:300]) from error


def write_record(path: Path, record: WeightsRecord) -> None:
    """Write a record as JSON, readable by people."""
    document = asdict(record) | {"data": list(record.data)}
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
