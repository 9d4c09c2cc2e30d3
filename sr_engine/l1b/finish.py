"""What is measured of trained weights on places of no training, and written beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from datacube.simulation.detectors import DetectorPair
from sr_engine.card import Score
from sr_engine.l1b.align import WHOLE, band_flows, flow_to
from sr_engine.l1b.flow_network import FlowNetwork, find_flow
from sr_engine.l1b.rec_network import FACTOR, RecNetwork, sharpened
from sr_engine.l1b.shipped import CSR, REC, Record, load_csr, write_weights
from sr_engine.l1b.train_csr import CsrConfig, squared_error
from sr_engine.l1b.train_rec import RIM_PX, RecConfig, judge_of
from sr_engine.l1b.views import BANDS, REFERENCE_INDEX, SimulatedPairs, simulated
from sr_engine.metrics import psnr
from sr_engine.training.config import config_document

Image = NDArray[np.float32]
# Places of neither training nor validation.
TEST = SimulatedPairs(first_seed=3000, places=3, side_px=320, per_place=1)


def finish_csr(network: nn.Module, settings: CsrConfig, data: str, out: Path) -> list[Path]:
    """Measure a trained CSR on the test places, and write weights and record to `out`."""
    if not isinstance(network, FlowNetwork):
        raise TypeError(f"need a FlowNetwork, got {type(network).__name__}")
    pairs = list(simulated(TEST))
    test = "simulated detector overlap, bands up to 3 px apart"
    scores = (
        Score(test, "registration error, polished, px rms", registration_rms_px(network, pairs),
              places=len(pairs)),
        Score(test, "registration error, CSR alone, px rms", csr_rms_px(network, pairs),
              places=len(pairs)),
    )  # fmt: skip
    return write_weights(network, out, CSR, _record(settings, data, scores))


def finish_rec(network: nn.Module, settings: RecConfig, data: str, out: Path) -> list[Path]:
    """Measure a trained REC on the test places, and write weights and record to `out`."""
    if not isinstance(network, RecNetwork):
        raise TypeError(f"need a RecNetwork, got {type(network).__name__}")
    pairs = list(simulated(TEST, truth=True))
    made, bicubic = rec_psnr_db(network, load_csr(), pairs)
    test = "simulated detector overlap, sharp truth at 5 m; bicubic is told the true shifts"
    scores = tuple(
        Score(f"{test}, {band}", "PSNR, dB", float(made[i]), float(bicubic[i]), len(pairs))
        for i, band in enumerate(BANDS)
    )
    mean = Score(test, "PSNR, dB", float(made.mean()), float(bicubic.mean()), len(pairs))
    return write_weights(network, out, REC, _record(settings, data, (mean, *scores)))


def registration_rms_px(network: FlowNetwork, pairs: list[DetectorPair]) -> float:
    """Root mean square error of what `srcube register` finds, over all bands of both views."""
    squares = []
    for pair in pairs:
        views = torch.from_numpy(pair.views)
        with torch.inference_mode():
            own = band_flows(network, views[:1], BANDS)[0]
            anchor = views[:1, [REFERENCE_INDEX]]
            across = [flow_to(network, anchor, 0, views[1:, [i]])[0] for i in range(len(BANDS))]
        for view, flows in ((0, own), (1, across)):
            for i, band in enumerate(BANDS):
                if (view, i) == (0, REFERENCE_INDEX):
                    continue
                truth = pair.flow((0, "B03"), (view, band))  # type: ignore[arg-type]
                squares.append(squared_error(flows[i].numpy(), truth))
    return float(np.sqrt(np.mean(squares)))


def csr_rms_px(network: FlowNetwork, pairs: list[DetectorPair]) -> float:
    """The same of one pass of CSR, dense and without the polish, in the first view."""
    squares = []
    for pair in pairs:
        views = torch.from_numpy(pair.views)
        for i, band in enumerate(BANDS):
            if i == REFERENCE_INDEX:
                continue
            with torch.inference_mode():
                flow = find_flow(network, views[:1, [REFERENCE_INDEX]], views[:1, [i]])[0]
            squares.append(squared_error(flow.numpy(), pair.flow((0, "B03"), (0, band))))
    return float(np.sqrt(np.mean(squares)))


def rec_psnr_db(
    network: RecNetwork, csr: FlowNetwork, pairs: list[DetectorPair]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(band,) mean PSNR over places of REC, and of bicubic interpolation told the true flows."""
    made: list[list[float]] = []
    bicubic: list[list[float]] = []
    inner = (slice(FACTOR * RIM_PX, -FACTOR * RIM_PX),) * 2
    for pair in pairs:
        judge = judge_of(pair)
        if judge.truth is None:
            raise ValueError("need pairs with their truth to judge by")
        views = torch.from_numpy(pair.views[:1])
        with torch.inference_mode():
            fine = sharpened(network, views, band_flows(csr, views, BANDS, settings=WHOLE))[0]
        for image, found in ((fine.numpy(), made), (judge.bicubic, bicubic)):
            bands = zip(image, judge.truth, strict=True)
            found.append([psnr(one[None, *inner], two[None, *inner]) for one, two in bands])
    return np.mean(made, axis=0), np.mean(bicubic, axis=0)


def _record(settings: Any, data: str, scores: tuple[Score, ...]) -> Record:
    places = {
        "trained_on": data,
        "test_seeds": [TEST.first_seed + i for i in range(TEST.places)],
        "validation_seeds": [
            settings.validation.first_seed + i for i in range(settings.validation.places)
        ],
    }
    if data == "simulated":
        places["train_seeds"] = [
            settings.pairs.first_seed + i for i in range(settings.pairs.places)
        ]
    return Record(config_document(settings), places, scores, "")
