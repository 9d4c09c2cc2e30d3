"""Calibrated intervals: they hold what they say, are told only where they may be, and of whom."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datacube.errors import Damaged, InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.bicubic import bicubic
from sr_engine.card import ModelCard
from sr_engine.default.evaluation import Sample
from sr_engine.default.places import places_of
from sr_engine.model import Prediction, Reflectance
from sr_engine.planes import BAND_SCALES, SCALE
from sr_engine.registry import find_patch_model
from sr_engine.scenes.companions import MadeBlock, find_extras
from sr_engine.trust.calibration import (
    Calibration,
    calibration_of,
    in_domain,
    write_calibration,
)
from sr_engine.trust.companion import IntervalCompanion
from sr_engine.trust.conformal import calibrate, judged, run_trials

BANDS = ("B02", "B03", "B04", "B08")
CARD = replace(bicubic(2).card, id="told-x2")


class Told:
    """Bicubic that tells a scale of its error in each band."""

    def __init__(self) -> None:
        self._plain = bicubic(2)
        self.card: ModelCard = CARD
        self.planes: tuple[PlaneSpec, ...] = (SCALE, *BAND_SCALES.values())

    def predict(
        self, patch: Reflectance, bands: tuple[str, ...], *, planes: Collection[str] = ()
    ) -> Prediction:
        """The scale of each band is a tenth of its own bicubic: bright pixels err more."""
        fine = self._plain.predict(patch, bands).reflectance
        told = {BAND_SCALES[band].name: fine[row] / 10 for row, band in enumerate(bands)} | {
            SCALE.name: np.sqrt((fine**2).mean(axis=0)) / 10
        }
        return Prediction(fine, {name: told[name] for name in planes if name in told})


def sample(place: str, seed: int, spread: float) -> Sample:
    """Truth that differs from bicubic by `spread` scales of Laplace's distribution."""
    rng = np.random.default_rng(seed)
    base = np.linspace(0.05, 0.4, 4 * 30 * 40, dtype=np.float32).reshape(4, 30, 40)
    lr = base + rng.normal(0, 0.002, base.shape).astype(np.float32)
    model = bicubic(2)
    halo = model.card.halo_px
    pad = np.pad(lr, ((0, 0), (halo, halo), (halo, halo)), mode="edge")
    fine = model.predict(pad, BANDS).reflectance
    error = spread * rng.laplace(0, 1, fine.shape) * fine / 10
    return Sample(place, "sharp", BANDS, lr, (fine + error).astype(np.float32))


def test_intervals_hold_their_share_where_errors_are_spread_alike() -> None:
    model = Told()
    made = calibrate(model, run_trials(model, [sample("a", 1, 1.0), sample("b", 2, 1.0)]))
    # Of Laplace's distribution with scale 1, -ln(1 - p) holds the share p of |error|.
    for level in ("0.80", "0.90", "0.95"):
        wanted = -np.log(1 - float(level))
        np.testing.assert_allclose(list(made.multipliers[level].values()), wanted, rtol=0.06)
    found = judged(made, run_trials(model, [sample("c", 3, 1.0)]))
    assert 0.885 < found["coverage_90"] < 0.915
    assert 0.86 < found["coverage_90_worst_stratum"] <= found["coverage_90"]
    assert found["coverage_80"] < found["coverage_90"] < found["coverage_95"]


def test_errors_larger_than_at_calibration_are_found_out() -> None:
    model = Told()
    made = calibrate(model, run_trials(model, [sample("a", 1, 1.0)]))
    found = judged(made, run_trials(model, [sample("c", 3, 2.0)]))
    assert found["coverage_90"] < 0.72  # 1 - 0.1 ** 0.5 = 0.684 by Laplace's distribution


def test_a_place_counts_once_however_many_images_it_has() -> None:
    model = Told()
    calm, wild = sample("calm", 1, 0.5), sample("wild", 2, 2.0)
    once = calibrate(model, run_trials(model, [calm, wild]))
    often = calibrate(model, run_trials(model, [calm, *[wild] * 5]))
    for level, bands in once.multipliers.items():
        assert bands == pytest.approx(often.multipliers[level])
    assert often.places == ("calm", "wild")


def test_a_scale_that_knows_errors_stands_above_one_that_does_not() -> None:
    """The scale is right by construction; the detail added is nothing here, as good as a coin."""
    model = Told()
    trials = run_trials(model, [sample("a", 1, 1.0)])
    found = judged(calibrate(model, trials), trials)
    assert found["auroc_worst_decile"] > 0.55
    assert found["auroc_detail_added_control"] == pytest.approx(0.5, abs=0.01)
    assert found["spearman_error"] > 0.1


def test_a_model_without_scales_cannot_be_calibrated() -> None:
    with pytest.raises(InvalidInput, match="tells no scale; it cannot be calibrated"):
        run_trials(bicubic(2), [sample("a", 1, 1.0)])


def test_places_of_calibration_and_test_and_training_are_apart() -> None:
    """Eugene's one flight is the stated exception: a strip of it is kept from training."""
    train, calibrated, tested = (
        {place.id for place in places_of(role)} for role in ("train", "calibrate", "test")
    )
    assert not tested & (train | calibrated)
    assert train & calibrated == {"eugene_0p3m"}
    rows = {
        place.role: place.rows
        for role in ("train", "calibrate")
        for place in places_of(role)
        if place.id == "eugene_0p3m"
    }
    assert rows["train"][1] <= rows["calibrate"][0]


@pytest.mark.parametrize("model_id", ["default-x2", "default-x4"])
def test_the_default_models_come_calibrated_at_other_places_than_they_were_judged(
    model_id: str,
) -> None:
    found = calibration_of(find_patch_model(model_id).card)
    assert not set(found.places) & set(found.tested)
    assert set(found.places) <= {place.id for place in places_of("calibrate")}
    for band in BANDS:
        widths = [found.multipliers[level][band] for level in ("0.80", "0.90", "0.95")]
        assert 0 < widths[0] < widths[1] < widths[2]


def test_a_calibration_is_of_one_set_of_weights(tmp_path: Path) -> None:
    model = Told()
    made = calibrate(model, run_trials(model, [sample("a", 1, 1.0)]))
    write_calibration(made, tmp_path)
    assert calibration_of(CARD, tmp_path) == made
    with pytest.raises(InvalidInput, match="is of other weights"):
        calibration_of(replace(CARD, weights_sha256="0" * 64), tmp_path)
    with pytest.raises(InvalidInput, match="no calibrated interval"):
        calibration_of(bicubic(4).card, tmp_path)
    (tmp_path / "bicubic-x4.json").write_text("{}")
    with pytest.raises(Damaged, match="is no calibration"):
        calibration_of(bicubic(4).card, tmp_path)


def test_a_level_that_was_not_calibrated_is_refused() -> None:
    made = Calibration("m", "0", {"0.80": {"B02": 1.0}}, ("a",), 1)
    with pytest.raises(InvalidInput, match=r"got 0\.99 of B02"):
        made.half_width(np.ones((2, 3), np.float32), "B02", "0.99")


def test_there_is_no_interval_outside_the_domain() -> None:
    measured = np.full((4, 3, 5), 0.2, np.float32)
    measured[0, 0, 1], measured[3, 1, 2], measured[2, 2, 4] = np.nan, 1.4, -0.2
    known = in_domain(measured)
    assert [tuple(at) for at in np.argwhere(~known)] == [(0, 1), (1, 2), (2, 4)]
    levels = {level: dict.fromkeys(BANDS, 2.0) for level in ("0.80", "0.90", "0.95")}
    scales: dict[str, NDArray[np.float32]] = {
        plane.name: np.full((6, 10), 0.01, np.float32) for plane in BAND_SCALES.values()
    }
    fine = np.zeros((4, 6, 10), np.float32)
    block = MadeBlock(BANDS, 2, 0, measured, Prediction(fine, scales))
    told = IntervalCompanion(Calibration("m", "0", levels, ("a",), 1)).tell(block)
    assert sorted(told) == [f"90_{band}" for band in BANDS]
    expected = np.where(known.repeat(2, axis=0).repeat(2, axis=1), np.float32(0.02), np.nan)
    for plane in told.values():
        np.testing.assert_array_equal(plane, expected)


def test_an_interval_beside_a_model_that_is_not_calibrated_is_refused() -> None:
    with pytest.raises(InvalidInput, match="wiener-x2 has no calibrated interval"):
        find_extras(("interval",), find_patch_model("wiener-x2"))
