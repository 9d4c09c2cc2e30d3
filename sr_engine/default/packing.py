"""After the last step: weights, their ONNX twin and the record, measured on the test places."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
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

SUFFIXES = (WEIGHTS_SUFFIX, ONNX_SUFFIX, ONNX_SCALE_SUFFIX, RECORD_SUFFIX)


def finish(module: nn.Module, config: DefaultTraining, data: Path, folder: Path) -> list[Path]:
    """Write the four files of a trained network to `folder`; return their paths.

    The figures in the record are of the files as written, at the places of the role test.
    """
    factor = config.network.factor
    record = keep(module, config, _data_lines(data, factor), folder)
    stem = folder / record.id
    write_record(
        stem.with_suffix(RECORD_SUFFIX), with_figures(record, measure(folder, factor, data))
    )
    return [stem.with_suffix(suffix) for suffix in SUFFIXES]


def keep(
    module: nn.Module, config: DefaultTraining, data: Sequence[Mapping[str, Any]], folder: Path
) -> WeightsRecord:
    """Write weights, both graphs and a record without figures; return the record."""
    if not isinstance(module, Residual):
        raise TypeError(f"need a Residual to keep, got {type(module).__name__}")
    residual = module.cpu()
    stem = folder / f"default-x{config.network.factor}"
    weights, plain, scaled, told = (stem.with_suffix(suffix) for suffix in SUFFIXES)
    tensors = {name: value.contiguous() for name, value in residual.state_dict().items()}
    save_file(tensors, weights)
    weights.chmod(0o644)  # safetensors keeps them from everybody else
    plain.write_bytes(onnx_bytes(residual, config.network, scale=False))
    scaled.write_bytes(onnx_bytes(residual, config.network, scale=True))
    record = WeightsRecord(
        id=stem.name,
        factor=config.network.factor,
        config=config_document(config),
        data=tuple(data),
        figures={},
        scores=(),
        weights_sha256=file_sha256(weights),
        onnx_sha256=file_sha256(plain),
        onnx_scale_sha256=file_sha256(scaled),
    )
    write_record(told, record)
    return record


def measure(folder: Path, factor: int, data: Path) -> dict[str, float]:
    """Figures of the files in `folder` at one magnification."""
    samples = {factor: read_samples("test", factor, data)}
    return figures({factor: default_model(factor, folder)}, samples)


def with_figures(record: WeightsRecord, measured: Mapping[str, float]) -> WeightsRecord:
    """The record with what was measured, as figures and as lines of the card."""
    kept = {name: float(f"{value:.4g}") for name, value in measured.items()}
    return replace(record, figures=kept, scores=_scores(measured, record.factor))


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
