"""After the last step: weights, their ONNX twin and the record, measured on the test places."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import nn

from sr_engine.card import Score
from sr_engine.default.evaluation import figures, read_samples
from sr_engine.default.network import Residual
from sr_engine.default.onnx_graph import onnx_bytes
from sr_engine.default.places import PLACES, places_of
from sr_engine.default.record import (
    ONNX_SCALE_SUFFIX,
    ONNX_SUFFIX,
    RECORD_SUFFIX,
    WEIGHTS_SUFFIX,
    WeightsRecord,
    write_record,
)
from sr_engine.default.shipped import default_model
from sr_engine.default.sources import read_place
from sr_engine.default.training import DefaultTraining
from sr_engine.training.config import config_document
from sr_engine.weights import file_sha256


def finish(module: nn.Module, config: DefaultTraining, data: Path, folder: Path) -> list[Path]:
    """Write the four files of a trained network to `folder`; return their paths.

    The figures in the record are of the files as written, at the places of the role test.
    """
    if not isinstance(module, Residual):
        raise TypeError(f"need a Residual to keep, got {type(module).__name__}")
    stem = folder / f"default-x{config.network.factor}"
    ends = (WEIGHTS_SUFFIX, ONNX_SUFFIX, ONNX_SCALE_SUFFIX, RECORD_SUFFIX)
    paths = [stem.with_suffix(end) for end in ends]
    tensors = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(tensors, paths[0])
    paths[0].chmod(0o644)  # safetensors keeps them from everybody else
    paths[1].write_bytes(onnx_bytes(module.cpu(), config.network, scale=False))
    paths[2].write_bytes(onnx_bytes(module, config.network, scale=True))
    record = WeightsRecord(
        id=stem.name,
        factor=config.network.factor,
        config=config_document(config),
        data=_data_lines(data, config.network.factor),
        figures={},
        scores=(),
        weights_sha256=file_sha256(paths[0]),
        onnx_sha256=file_sha256(paths[1]),
        onnx_scale_sha256=file_sha256(paths[2]),
    )
    write_record(paths[3], record)
    measured = measure(folder, config.network.factor, data)
    write_record(paths[3], with_figures(record, measured))
    return paths


def measure(folder: Path, factor: int, data: Path) -> dict[str, float]:
    """Figures of the files in `folder` at one magnification."""
    samples = {factor: read_samples("test", factor, data)}
    return figures({factor: default_model(factor, folder)}, samples)


def with_figures(record: WeightsRecord, measured: Mapping[str, float]) -> WeightsRecord:
    """The record with what was measured, as figures and as lines of the card."""
    return WeightsRecord(
        **{
            **record.__dict__,
            "figures": {name: float(f"{value:.4g}") for name, value in measured.items()},
            "scores": _scores(measured, record.factor),
        }
    )


def _scores(measured: Mapping[str, float], factor: int) -> tuple[Score, ...]:
    named = {
        "sharp": "aerial images at 10 m, sensor noise simulated",
        "wald": "Sentinel-2 degraded (Wald)",
        "simulated": "simulated landscape",
    }
    scores = []
    for kind, test in named.items():
        value = measured.get(f"default_x{factor}_{kind}_gain_db")
        if value is not None:
            count = len({p.id for p in places_of("test") if p.kind == kind})
            scores.append(Score(test, "PSNR over bicubic, dB", round(value, 2), 0.0, count))
    places = len({p.id for p in PLACES if p.role == "test" and p.kind != "simulated"})
    for name, figure in (
        ("reflectance_l1", "opensr-test reflectance, L1"),
        ("spectral_deg", "opensr-test spectral angle, degrees"),
    ):
        value, baseline = (
            float(f"{measured[f'{who}_{name}']:.3g}") for who in ("default", "bicubic")
        )
        scores.append(Score("all real test places", figure, value, baseline, places))
    for name in ("hallucination", "improvement"):
        value = round(measured[f"default_{name}_minus_bicubic"], 3)
        figure = f"opensr-test {name}, over bicubic"
        scores.append(Score("all real test places", figure, value, 0.0, places))
    return tuple(scores)


def _data_lines(data: Path, factor: int) -> tuple[Mapping[str, Any], ...]:
    """Every place that was used, by role, with a digest of the numbers read."""
    lines = []
    for place in PLACES:
        if place.role == "calibrate" or factor not in place.factors:
            continue
        digest = hashlib.sha256()
        for plane in read_place(place.id, data):
            digest.update(np.ascontiguousarray(plane.rows(place.rows).values).tobytes())
        lines.append(
            {
                "place": place.id,
                "role": place.role,
                "kind": place.kind,
                "rows": list(place.rows),
                "sha256": digest.hexdigest(),
            }
        )
    return tuple(lines)
