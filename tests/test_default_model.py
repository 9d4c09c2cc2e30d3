"""The default model: its two runtimes agree, its files are looked through, its answer fits."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datacube.bands import find_bands
from datacube.errors import Damaged, InvalidInput
from datacube.scene import reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from datacube.simulation.optics import axis_weights, line_spread
from datacube.simulation.spectra import noise_sigma
from sr_engine.bicubic import bicubic
from sr_engine.default.model import Bandwise, DefaultModel
from sr_engine.default.network import NetworkSettings, Optics, Residual, blur_kernel, restore
from sr_engine.default.shipped import WEIGHTS, default_model
from sr_engine.metrics import psnr
from sr_engine.model import DifferentiableModel, PatchModel, Reflectance
from sr_engine.weights import ModelRejected
from tests.scenes import BANDS

FACTORS = sorted(int(path.stem[-1]) for path in WEIGHTS.glob("default-x*.json"))
SIZE_LIMIT = 2_500_000  # bytes of all files of weights


@pytest.fixture(scope="module", params=FACTORS, ids=lambda factor: f"x{factor}")
def model(request: pytest.FixtureRequest) -> DefaultModel:
    return default_model(request.param)


def ground(shape: tuple[int, int], seed: int = 5) -> Reflectance:
    """Four unlike bands with edges in them."""
    random = np.random.default_rng(seed).random((len(BANDS), *shape)).astype(np.float32)
    patches = [np.round(3 * cv2.GaussianBlur(plane, (0, 0), 2.0)) for plane in random]
    return (0.04 + 0.05 * np.stack(patches) + 0.01 * random).astype(np.float32)


def padded(image: Reflectance, halo_px: int) -> Reflectance:
    return np.pad(image, ((0, 0), (halo_px, halo_px), (halo_px, halo_px)), mode="edge")


def test_what_is_shipped_keeps_within_its_size() -> None:
    assert FACTORS == [2, 4]
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= SIZE_LIMIT


def test_it_is_what_the_registry_asks_for(model: DefaultModel) -> None:
    assert isinstance(model, PatchModel)
    assert isinstance(model, DifferentiableModel)
    assert model.card.weights_sha256 == model.record.weights_sha256
    assert {score.bicubic is not None for score in model.card.metrics} == {True}


@pytest.mark.parametrize("shape", [(1, 1), (37, 64), (90, 41)])
def test_onnxruntime_and_torch_agree_at_any_size(
    model: DefaultModel, shape: tuple[int, int]
) -> None:
    patch = padded(ground(shape), model.card.halo_px)
    ours = model.predict(patch, BANDS).reflectance
    with torch.inference_mode():
        theirs = model.module(BANDS)(torch.from_numpy(patch)[None])[0].numpy()
    factor = model.card.factor
    assert ours.shape == (len(BANDS), factor * shape[0], factor * shape[1])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_scale_is_torchs_and_does_not_change_the_answer(model: DefaultModel) -> None:
    patch = padded(ground((33, 52)), model.card.halo_px)
    told = model.predict(patch, BANDS, planes=("scale",))
    np.testing.assert_array_equal(told.reflectance, model.predict(patch, BANDS).reflectance)
    module = model.module(("B03",))
    assert isinstance(module, Bandwise)
    scales = []
    with torch.inference_mode():
        for band, plane in zip(BANDS, patch, strict=True):
            values = torch.from_numpy(plane)[None, None]
            optics = Optics(band, module.settings)
            scales.append(restore(module.residual, optics, values, module.settings).scale[0, 0])
    expected = torch.stack(scales).square().mean(dim=0).sqrt().numpy()
    np.testing.assert_allclose(told.planes["scale"], expected, rtol=1e-3)
    assert told.planes["scale"].min() > 0


def test_any_bands_will_do_and_none_depends_on_the_others(model: DefaultModel) -> None:
    patch = padded(ground((20, 31)), model.card.halo_px)
    whole = model.predict(patch, BANDS).reflectance
    for size in (1, 2, 3):
        for chosen in combinations(range(4), size):
            bands = tuple(BANDS[number] for number in chosen)
            part = model.predict(patch[list(chosen)], bands).reflectance
            np.testing.assert_array_equal(part, whole[list(chosen)])


def test_its_halo_is_its_receptive_field(model: DefaultModel) -> None:
    """A pixel as far as the halo matters, one further does not."""
    halo = model.card.halo_px
    patch = padded(ground((41, 37)), halo)[:1]
    module = model.module(("B04",))
    values = torch.from_numpy(patch)[None].requires_grad_()
    fine = module(values)[0, 0]
    row, col = 20 * model.card.factor, 18 * model.card.factor
    fine[row, col].backward()
    assert values.grad is not None
    touched = np.argwhere(values.grad[0, 0].numpy() != 0) - halo
    assert touched.min(axis=0).tolist() >= [20 - halo, 18 - halo]
    assert touched.max(axis=0).tolist() <= [20 + halo, 18 + halo]
    assert np.abs(touched - [20, 18]).max() == halo


def test_the_result_seen_through_the_optics_is_the_measurement(model: DefaultModel) -> None:
    """Degraded by the blur that the simulator integrates, within the sensor's noise."""
    (summer,) = plan_season(6, dates=1, truth_dates=1)
    shot = acquire(build_landscape(6, (88, 72)), replace(summer, shift_px=(0.0, 0.0)), BANDS)
    image = reflectance_from_dn(shot.dn)
    factor = model.card.factor
    fine = model.predict(padded(image, model.card.halo_px), BANDS).reflectance
    base = bicubic(factor).predict(padded(image, 2), BANDS).reflectance
    rim = 12
    inner = (slice(rim, -rim), slice(rim, -rim))
    for number, band in enumerate(find_bands(BANDS)):
        weights = torch.from_numpy(blur_kernel(band, factor))[None, None]
        noise = noise_sigma(image[number], band.name)[inner]

        def misfit(made: Reflectance, *, n: int = number, w: torch.Tensor = weights) -> Reflectance:
            values = torch.from_numpy(made[n])[None, None]
            seen = torch.nn.functional.conv2d(values, w, stride=factor)[0, 0].numpy()
            return np.asarray(seen[rim - 2 : 2 - rim, rim - 2 : 2 - rim] - image[n][inner])

        ours = np.sqrt(np.mean((misfit(fine) / noise) ** 2))
        assert ours < 1.2  # 0.5 to 1.04 when written: B08 has the strongest contrast
        assert ours < 0.25 * np.sqrt(np.mean((misfit(base) / noise) ** 2))


def test_it_beats_bicubic_on_a_landscape_it_never_saw(model: DefaultModel) -> None:
    (summer,) = plan_season(9, dates=1, truth_dates=1)
    shot = acquire(build_landscape(9, (120, 96)), replace(summer, shift_px=(0.0, 0.0)), BANDS)
    assert shot.truth_dn is not None
    image, truth = reflectance_from_dn(shot.dn), reflectance_from_dn(shot.truth_dn)
    factor, ratio = model.card.factor, 4 // model.card.factor
    height, width = (size // ratio for size in truth.shape[1:])
    truth = truth.reshape(4, height, ratio, width, ratio).mean(axis=(2, 4))
    rim = 8 * factor

    def ratio_db(one: PatchModel) -> float:
        fine = one.predict(padded(image, one.card.halo_px), BANDS).reflectance
        return psnr(fine[:, rim:-rim, rim:-rim], truth[:, rim:-rim, rim:-rim])

    assert ratio_db(model) - ratio_db(bicubic(factor)) > (2.0 if factor == 2 else 1.2)


@pytest.mark.parametrize("factor", [2, 4])
def test_planes_pass_whatever_the_weights(factor: int) -> None:
    """Random weights and biases, a tilted plane: nothing is added and nothing is shifted."""
    settings = NetworkSettings(factor=factor, layers=2)
    torch.manual_seed(3)
    residual = Residual(settings)
    for weight in residual.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    halo = settings.halo_px
    rows, cols = np.mgrid[-halo : 12 + halo, -halo : 17 + halo].astype(np.float32)
    plane = torch.from_numpy(0.2 + 0.003 * rows - 0.002 * cols)[None, None]
    with torch.inference_mode():
        fine = restore(residual, Optics("B08", settings), plane, settings).reflectance[0, 0]
    at = (np.arange(17 * factor) + 0.5) / factor - 0.5
    expected = 0.2 + 0.003 * at[: 12 * factor, None] - 0.002 * at[None, :]
    np.testing.assert_allclose(fine.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".scale.onnx"])
def test_changed_weights_are_refused(tmp_path: Path, suffix: str) -> None:
    folder = shutil.copytree(WEIGHTS, tmp_path / "weights")
    path = folder / f"default-x2{suffix}"
    numbers = bytearray(path.read_bytes())
    numbers[len(numbers) // 2] ^= 1
    path.write_bytes(numbers)
    changed = default_model(2, folder)
    patch = padded(ground((8, 9)), changed.card.halo_px)
    uses: dict[str, Callable[[], object]] = {
        ".safetensors": lambda: changed.module(BANDS),
        ".onnx": lambda: changed.predict(patch, BANDS),
        ".scale.onnx": lambda: changed.predict(patch, BANDS, planes=("scale",)),
    }
    with pytest.raises(ModelRejected, match="sha256"):
        uses[suffix]()


def test_a_record_that_is_none_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"default-x2\.json"):
        default_model(2, tmp_path)
    (tmp_path / "default-x2.json").write_text('{"id": "default-x2", "scores": []}')
    with pytest.raises(Damaged, match="no record"):
        default_model(2, tmp_path)


def test_wrong_input_is_refused_in_one_line(model: DefaultModel) -> None:
    side = 2 * model.card.halo_px
    with pytest.raises(InvalidInput, match="B11"):
        model.predict(np.zeros((1, 80, 80), np.float32), ("B11",))
    with pytest.raises(InvalidInput, match="none"):
        model.module(())
    with pytest.raises(InvalidInput, match="2 bands"):
        model.predict(np.zeros((1, 80, 80), np.float32), ("B03", "B04"))
    with pytest.raises(InvalidInput, match="halo"):
        model.predict(np.zeros((1, side, 80), np.float32), ("B03",))


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", BANDS)
def test_the_blur_is_the_one_that_the_simulator_integrates(name: str, factor: int) -> None:
    (band,) = find_bands((name,))
    radius = 5
    axis = axis_weights(
        line_spread(band, "gaussian", "y"),
        out_px=1,
        fine_per_px=factor,
        fine_px=(2 * radius + 1) * factor,
        margin_fine=radius * factor,
        shift_px=0.0,
    ).toarray()[0]
    cut = (radius - 2) * factor
    assert axis[:cut].sum() < 2e-5
    ours = blur_kernel(band, factor)
    np.testing.assert_allclose(ours, np.outer(axis[cut:-cut], axis[cut:-cut]), atol=2e-5)
