"""REC as a model among the others: the ground it answers for, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

from datacube.errors import InvalidInput
from datacube.simulation import build_landscape
from datacube.simulation.detectors import DetectorPair, OverlapPlan, simulate_overlap
from sr_engine.l1b.indices import run
from sr_engine.l1b.shipped import WEIGHTS, load_csr, read_record, rec_model, write_weights
from sr_engine.l1b.train_rec import gain_db, judge_of
from sr_engine.registry import choose_model
from sr_engine.weights import ModelRejected

BANDS = ("B02", "B03", "B04", "B08")


@pytest.fixture(scope="module")
def pair() -> DetectorPair:
    plan = OverlapPlan(71, max_shift_px=2.0, truth=True)
    return simulate_overlap(build_landscape(71, (120, 104)), plan)


def padded(image: np.ndarray) -> np.ndarray:
    """Continued beyond its edges; mirrored ground would seem to move the other way."""
    rim = rec_model().card.halo_px
    return np.pad(image, ((0, 0), (rim, rim), (rim, rim)), mode="edge")


def test_rec_is_listed_and_sharpens_what_it_never_saw_sharp(pair: DetectorPair) -> None:
    assert choose_model("rec") is choose_model("rec-x2", 2)
    judge = judge_of(pair)
    assert judge.truth is not None
    made = rec_model().predict(padded(pair.views[0]), BANDS).reflectance
    assert made.shape == judge.truth.shape
    visible = slice(0, 3)
    assert gain_db(made[visible], judge.bicubic[visible], judge.truth[visible]) > 0.5


def test_bands_in_another_order_give_the_same_image(pair: DetectorPair) -> None:
    image = padded(pair.views[0][:, :20, :24])
    one = rec_model().predict(image, BANDS).reflectance
    other = rec_model().predict(image[::-1].copy(), BANDS[::-1]).reflectance
    np.testing.assert_allclose(other[::-1], one, atol=1e-5)


def test_a_constant_image_stays_what_it_is() -> None:
    image = np.full((4, 20, 24), 0.23, np.float32)
    made = rec_model().predict(padded(image), BANDS).reflectance
    np.testing.assert_allclose(made, 0.23, atol=1e-4)


def test_a_model_of_four_bands_refuses_three(pair: DetectorPair) -> None:
    with pytest.raises(InvalidInput, match="together, as level 1B"):
        rec_model().predict(padded(pair.views[0, :3]), BANDS[:3])


def test_weights_that_are_not_the_recorded_ones_are_refused(tmp_path: Path) -> None:
    record = read_record(WEIGHTS, "csr-small")
    weights, _ = write_weights(load_csr(), tmp_path, "csr-small", record)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ModelRejected, match="not the file that was recorded"):
        load_csr(tmp_path)


def test_aligning_bands_brings_indices_nearer_to_the_truth_at_edges(tmp_path: Path) -> None:
    rows = run(tmp_path, 128, 73, lambda _line: None)
    error = {(row.index, row.image): row.at_edges for row in rows}
    for index in ("NDVI", "NDWI"):
        assert error[index, "aligned by CSR"] < error[index, "as recorded"]
    assert (tmp_path / "indices.csv").read_text().count("\n") == 9
    assert (tmp_path / "ndvi.png").stat().st_size > 1000
