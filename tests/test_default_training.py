"""What the default model learns from: places apart, records that are true, files that agree."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from datacube.bands import find_bands
from datacube.errors import InvalidInput, NotFound
from server.main import app
from sr_engine.bicubic import bicubic
from sr_engine.default.acquisition import Pair, Shot, histogram_of, matched, record
from sr_engine.default.dataset import ALIKE, DataSettings, PairSet
from sr_engine.default.evaluation import Sample, figures, misfit_l1
from sr_engine.default.network import NetworkSettings
from sr_engine.default.packing import keep
from sr_engine.default.places import BANDS, PLACES, places_of
from sr_engine.default.record import RECORD_SUFFIX, read_record
from sr_engine.default.shipped import WEIGHTS, default_model
from sr_engine.default.sources import Plane, Values, read_place
from sr_engine.default.training import DefaultTask, DefaultTraining
from sr_engine.training.config import LoopSettings, read_config
from sr_engine.training.loop import Run, train

CONFIGS = sorted((WEIGHTS.parent / "configs").glob("*.toml"))
SMALL = NetworkSettings(channels=8, layers=2, scale_channels=8)


def plane(shape: tuple[int, int], band: str = "B04", gsd: tuple[float, float] = (5, 5)) -> Plane:
    """Squares of unlike brightness, five fine pixels wide."""
    random = np.random.default_rng(3).random((shape[0] // 5 + 1, shape[1] // 5 + 1))
    values = 0.05 + 0.2 * np.kron(random, np.ones((5, 5)))[: shape[0], : shape[1]]
    return Plane("somewhere", "once", band, values.astype(np.float32), gsd)


def pairs(factor: int = 2) -> PairSet:
    made: list[Pair] = [
        record(plane((150 * factor // 2, 190 * factor // 2), band), Shot(factor, 5.0 * factor))
        for band in BANDS
    ]
    return PairSet({"sharp": made, "simulated": made, "wald": made})


def test_calibration_and_test_share_no_ground_with_training() -> None:
    """Only Eugene's flight is cut in two, by rows that do not overlap."""
    for a, b in combinations(PLACES, 2):
        shared = a.id == b.id and a.role != b.role and set(a.factors) & set(b.factors)
        if shared:
            assert a.rows[1] <= b.rows[0] or b.rows[1] <= a.rows[0], (a, b)
            assert "test" not in {a.role, b.role}
            assert "calibrate" not in {a.role, b.role} or a.id == "eugene_0p3m"


@pytest.mark.parametrize("factor", [2, 4])
def test_every_role_has_ground_of_every_kind_that_it_needs(factor: int) -> None:
    for role in ("train", "validate", "calibrate", "test"):
        for kind in ("sharp", "wald", "simulated"):
            assert places_of(role, kind=kind, factor=factor), (role, kind)


def test_records_name_the_places_of_the_split() -> None:
    for path in WEIGHTS.glob(f"*{RECORD_SUFFIX}"):
        kept = read_record(path)
        told = {(line["place"], line["role"]) for line in kept.data}
        wanted = {
            (place.id, place.role)
            for place in PLACES
            if place.role != "calibrate" and kept.factor in place.factors
        }
        assert told == wanted
        assert kept.figures["bicubic_reflectance_l1"] > kept.figures["default_reflectance_l1"]


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_shipped_weights_are_of_the_shipped_configuration(path: Path) -> None:
    config = read_config(path, DefaultTraining)
    kept = read_record(WEIGHTS / f"{path.stem}{RECORD_SUFFIX}")
    assert config.network == default_model(kept.factor).settings
    assert kept.config["seed"] == config.seed


@pytest.mark.parametrize("gsd", [(5.0, 5.0), (1.5, 1.2), (0.9, 1.7)])
@pytest.mark.parametrize("factor", [2, 4])
def test_a_record_lies_on_the_ground_of_its_truth(gsd: tuple[float, float], factor: int) -> None:
    """Of a tilted plane, blur and sampling keep the values at every pixel's centre.

    To half a hundredth of a pixel: the optics are sampled 256 times a pixel.
    """
    rows, cols = np.mgrid[0:120, 0:150].astype(np.float32)
    tilted = Plane("p", "i", "B03", 0.1 + 0.001 * rows * gsd[0] - 0.0005 * cols * gsd[1], gsd)
    made = record(tilted, Shot(factor, 10.0, margin_px=4))
    blocks = made.hr.reshape(made.lr.shape[0], factor, made.lr.shape[1], factor)
    np.testing.assert_allclose(blocks.mean(axis=(1, 3)), made.lr, atol=5e-5)
    steps = np.diff(made.lr, axis=0)
    np.testing.assert_allclose(steps, 0.01, atol=5e-5)
    np.testing.assert_allclose(np.diff(made.lr, axis=1), -0.005, atol=5e-5)


def test_truth_at_the_images_own_pixels_is_the_image() -> None:
    made = record(plane((120, 140)), Shot(2, 10.0, margin_px=4))
    np.testing.assert_allclose(made.hr, plane((120, 140)).values[8:-8, 8:-8], atol=1e-6)
    assert misfit_l1(made.hr[None], made.lr[None], ("B04",)) < 2e-6


def test_an_image_too_small_to_record_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too small"):
        record(plane((12, 80)), Shot(2))


def test_matching_gives_counts_the_reference_distribution_in_order() -> None:
    counts = plane((300, 260))
    counts = Plane("a", "i", "B04", counts.values**0.5, (5, 5), counts=True)
    reference = histogram_of([plane((200, 250), gsd=(10, 10))])
    seen = matched(counts, reference)
    order = np.argsort(counts.values.ravel(), kind="stable")
    assert np.all(np.diff(seen.values.ravel()[order]) >= 0)
    blocks = seen.values.reshape(150, 2, 130, 2).mean(axis=(1, 3))
    found = histogram_of([Plane("a", "i", "B04", blocks, (10, 10))])
    np.testing.assert_allclose(found["B04"][1:-1], reference["B04"][1:-1], atol=0.01)
    reflectance = plane((40, 40))
    assert matched(reflectance, reference) is reflectance


def test_batches_follow_from_the_generator_alone() -> None:
    settings = DataSettings(patch_px=20, batch=5)
    drawn = pairs().fitting(20 + 2 * 7)
    first, again, other = (
        drawn.draw(np.random.default_rng(seed), 7, settings) for seed in (1, 1, 2)
    )
    assert first.lr.shape == (5, 1, 34, 34)
    assert first.hr.shape == (5, 1, 40, 40)
    np.testing.assert_array_equal(first.lr, again.lr)
    assert not np.array_equal(first.lr, other.lr)
    inner = first.lr[:, 0, 7:-7, 7:-7]
    coarse = first.hr[:, 0].reshape(5, 20, 2, 20, 2).mean(axis=(2, 4))
    assert np.corrcoef(inner.ravel(), coarse.ravel())[0, 1] > 0.9  # turned and cut together
    with pytest.raises(InvalidInput, match="smaller patch"):
        pairs().fitting(500)


def test_bands_drawn_together_share_their_blur() -> None:
    for alike in ALIKE:
        assert len({band.psf_sigma_px for band in find_bands(alike)}) == 1
    assert sorted(band for alike in ALIKE for band in alike) == sorted(BANDS)


def test_a_short_training_learns_and_its_files_agree_with_it(tmp_path: Path) -> None:
    loop = LoopSettings(
        steps=60, learning_rate=5e-3, warmup_steps=5, average=0.8, validate_every=20
    )
    config = DefaultTraining(loop=loop, network=SMALL, data=DataSettings(patch_px=16, batch=4))
    task = DefaultTask(config, pairs(), pairs())
    with torch.inference_mode():
        before = task.validate(task.module.eval()).score
    module = train(task, Run(tmp_path, 1, loop, "f", lambda _line: None))
    with torch.inference_mode():
        assert task.validate(module).score > before + 0.1
    keep(module, config, [{"place": "somewhere", "role": "train"}], tmp_path)
    model = default_model(2, tmp_path)
    patch = np.random.default_rng(5).uniform(0.0, 0.3, (2, 45, 52)).astype(np.float32)
    ours = model.predict(patch, ("B03", "B08")).reflectance
    with torch.inference_mode():
        theirs = model.module(("B03", "B08"))(torch.from_numpy(patch)[None])[0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert model.settings == SMALL


def test_figures_put_bicubic_and_the_truth_beside_the_model() -> None:
    made = [record(plane((300, 340), band), Shot(2, 10.0, margin_px=4)) for band in BANDS]
    lr, hr = np.stack([one.lr for one in made]), np.stack([one.hr for one in made])
    samples = [Sample("somewhere", "sharp", BANDS, lr, hr)]
    found = figures({2: bicubic(2)}, {2: samples})
    assert found["default_x2_sharp_gain_db"] == 0.0
    assert found["default_improvement_minus_bicubic"] == 0.0
    assert found["truth_misfit_l1"] < 1e-5 < found["bicubic_misfit_l1"]
    assert found["default_reflectance_l1"] == found["bicubic_reflectance_l1"]


def test_places_that_are_not_there_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="bolzano"):
        read_place("bolzano_l2a", tmp_path)
    with pytest.raises(NotFound, match="naip_5m"):
        read_place("naip_5m", tmp_path)
    with pytest.raises(NotFound, match="no place"):
        read_place("atlantis", tmp_path)


def test_simulated_ground_is_the_same_each_time() -> None:
    first, again = (read_place("simulated_7", Path("/nowhere")) for _ in range(2))
    assert [one.band for one in first[:4]] == list(BANDS)
    values: Values = first[0].values
    np.testing.assert_array_equal(values, again[0].values)
    assert 0 < values.mean() < 0.3


def test_the_command_refuses_a_configuration_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("seeds = 3\n")
    arguments = ["--config", str(path), "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(app, ["train", "default", *arguments])
    assert isinstance(answer.exception, InvalidInput)
    assert "seeds" in str(answer.exception)
