"""20 m bands at 10 m: found again wherever they begin, sharpened, and true to what was measured."""

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import Resampling, reproject
from safetensors.torch import save_file

from datacube import Catalog, CubeSpec, ScenePixels, Window, find_bands, open_storage
from datacube.errors import Damaged, InvalidInput
from datacube.scene import dn_from_reflectance
from datacube.sources.plan import Given
from sr_engine.blocks import predict_window
from sr_engine.metrics import psnr
from sr_engine.model import PatchModel, Reflectance
from sr_engine.registry import choose_model, find_patch_model
from sr_engine.scenes.run import super_resolve
from sr_engine.scenes.source import open_file
from sr_engine.sharpen import model as sharpen_model
from sr_engine.sharpen.lattice import REACH_PX, Lattice, coarse_pixels, find_lattice
from sr_engine.sharpen.model import BANDS, RECORD, TENSORS, WEIGHTS, sharpen20
from sr_engine.sharpen.network import GUIDES, SHARPENED, Sharpener, SharpenSettings
from sr_engine.sharpen.places import Image
from sr_engine.sharpen.training import SharpenTask, SharpenTraining
from sr_engine.training.config import build
from sr_engine.weights import ModelRejected
from tests.rasters import grid, write_tif
from tests.scenes import scene, small_grid

NETWORK = Sharpener(SharpenSettings())


def blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)


@cache
def ground(shape: tuple[int, int], seed: int = 1) -> Reflectance:
    """All ten bands at 10 m, (band, y, x): fields with edges, mixed from four materials."""
    random = np.random.default_rng(seed)
    mixed = np.stack([blurred(random.normal(size=shape), 4) for _ in range(4)])
    share = np.eye(4, dtype=np.float32)[mixed.argmax(axis=0)]
    share = np.stack([blurred(plane, 0.6) for plane in share.transpose(2, 0, 1)])
    spectra = random.uniform(0.03, 0.4, (len(BANDS), 4)).astype(np.float32)
    light = 1 + 0.1 * blurred(random.normal(size=shape), 1.5)
    found: Reflectance = np.einsum("bm,myx->byx", spectra, share) * light
    return found.astype(np.float32)


def measured(bands: Reflectance) -> Reflectance:
    """The 20 m bands of the ground as their optics see them, (6, y / 2, x / 2)."""
    fine = torch.from_numpy(bands[[BANDS.index(name) for name in SHARPENED]].copy())[None]
    padded = torch.nn.functional.pad(fine, (4,) * 4, mode="replicate")
    found: Reflectance = NETWORK.degrade(padded)[0].numpy()
    return found


def repeated(coarse: Reflectance) -> Reflectance:
    return coarse.repeat(2, axis=1).repeat(2, axis=2)


def interpolated(coarse: Reflectance, method: Resampling) -> Reflectance:
    """GDAL's resampling, rounded to whole numbers as a cube keeps them: the oracle."""
    numbers = np.rint(coarse * 1e4 + 1000).astype(np.uint16)
    height, width = coarse.shape[1:]
    out = np.zeros((len(coarse), 2 * height, 2 * width), np.uint16)
    reproject(
        numbers, out, src_transform=Affine(20, 0, 600_000, 0, -20, 5_000_000),
        dst_transform=Affine(10, 0, 600_000, 0, -10, 5_000_000), src_crs="EPSG:32632",
        dst_crs="EPSG:32632", resampling=method,
    )  # fmt: skip
    return (out * np.float32(1e-4) - np.float32(0.1)).astype(np.float32)


def stack(shape: tuple[int, int], seed: int = 1) -> tuple[Reflectance, Reflectance, Reflectance]:
    """What a model is given, the truth, and the 20 m pixels."""
    truth = ground(shape, seed)
    coarse = measured(truth)
    given = truth.copy()
    given[[BANDS.index(name) for name in SHARPENED]] = repeated(coarse)
    return given, truth, coarse


def whole(model: PatchModel, image: Reflectance) -> Reflectance:
    halo = model.card.halo_px
    rim = ((0, 0), (halo, halo), (halo, halo))  # even, so that the lattice goes on outside
    return model.predict(np.pad(image, rim, mode="symmetric"), BANDS).reflectance


@settings(max_examples=12)
@given(st.integers(0, 1), st.integers(0, 1), st.integers(60, 75), st.integers(60, 75))
def test_repeated_pixels_are_found_wherever_they_begin(
    row: int, col: int, height: int, width: int
) -> None:
    coarse = measured(ground((96, 104)))
    seen = repeated(coarse)[:, row : row + height, col : col + width]
    lattice = find_lattice(seen)
    assert lattice == Lattice(row, col)  # the first whole pixel of a cut one is the next
    top, left = (row + 1) // 2 + REACH_PX, (col + 1) // 2 + REACH_PX
    found = coarse_pixels(seen, lattice)
    expected = coarse[:, top : top + found.shape[1], left : left + found.shape[2]]
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_pixels_that_gdal_interpolated_are_found_again(row: int, col: int) -> None:
    coarse = measured(ground((140, 120)))
    seen = interpolated(coarse, Resampling.cubic)[:, 20 + row : 121, 20 + col : 101]
    lattice = find_lattice(seen)
    assert lattice == Lattice(row, col, cubic=True)
    found = coarse_pixels(seen, lattice)
    top, left = 10 + (row + 1) // 2 + REACH_PX, 10 + (col + 1) // 2 + REACH_PX
    expected = coarse[:, top : top + found.shape[1], left : left + found.shape[2]]
    assert np.abs(found - expected).max() < 3e-4


def test_pixels_resampled_otherwise_are_refused() -> None:
    seen = interpolated(measured(ground((140, 120))), Resampling.lanczos)[:, 10:130, 10:110]
    with pytest.raises(InvalidInput, match="nearest or cubic"):
        find_lattice(seen)
    with pytest.raises(InvalidInput, match="nearest or cubic"):
        find_lattice(ground((96, 104))[:6])


def test_linear_interpolation_is_cubic_interpolation_of_other_pixels() -> None:
    """Why it cannot be refused: both give the same image, of coarse pixels that differ."""
    coarse = measured(ground((140, 120)))
    seen = interpolated(coarse, Resampling.bilinear)[:, 10:130, 10:110]
    found = coarse_pixels(seen, find_lattice(seen))
    again = interpolated(found, Resampling.cubic)[:, 4:-4, 4:-4]
    top = 2 * REACH_PX + 4
    same = seen[:, top : top + again.shape[1], top : top + again.shape[2]]
    assert np.abs(again - same).max() < 3e-4
    true = coarse[:, 10:, 10:][:, : found.shape[1], : found.shape[2]]
    assert np.abs(found - true).max() > 1e-2


def test_flat_ground_stays_flat_and_10_m_bands_stay_as_they_are() -> None:
    given_, _, _ = stack((70, 92))
    flat = np.broadcast_to(given_.mean(axis=(1, 2), keepdims=True), given_.shape).copy()
    np.testing.assert_allclose(whole(sharpen20(), flat), flat, atol=2e-6)
    fine = whole(sharpen20(), given_)
    guides = [BANDS.index(name) for name in GUIDES]
    np.testing.assert_array_equal(fine[guides], given_[guides])
    assert fine.shape == given_.shape


def test_the_result_seen_by_the_bands_optics_is_what_was_measured() -> None:
    given_, truth, coarse = stack((120, 136))
    fine = whole(sharpen20(), given_)
    rim = 8
    error = (measured(fine) - coarse)[:, rim:-rim, rim:-rim]
    assert np.sqrt(np.mean(error**2)) < 1e-3  # the noise that the projection allows for
    smooth = np.abs(measured(truth) - coarse)
    assert smooth.max() < 1e-6


def test_detail_comes_back_and_bicubic_is_beaten_on_made_up_ground() -> None:
    given_, truth, coarse = stack((160, 184), seed=4)
    fine = whole(sharpen20(), given_)
    bands = [BANDS.index(name) for name in SHARPENED]
    padded = torch.nn.functional.pad(torch.from_numpy(coarse)[None], (2,) * 4, mode="replicate")
    rough = NETWORK.interpolate(padded)[0].numpy()
    rim = 10
    inner = (slice(None), slice(rim, -rim), slice(rim, -rim))
    gain = psnr(fine[bands][inner], truth[bands][inner]) - psnr(rough[inner], truth[bands][inner])
    assert gain > 5


@settings(max_examples=6)
@given(st.integers(1, 60), st.integers(1, 80), st.sampled_from([0, 1]))
def test_parts_of_a_scene_are_the_scene_wherever_they_are_cut(row: int, col: int, odd: int) -> None:
    model = sharpen20()
    halo = model.card.halo_px
    given_, _, _ = stack((170, 190), seed=2)
    seen = given_[:, odd:, odd:]
    at_once = model.predict(seen, BANDS).reflectance
    rows, cols = at_once.shape[1:]
    height, width = min(17, rows - row), min(11, cols - col)
    part = seen[:, row : row + height + 2 * halo, col : col + width + 2 * halo]
    found = model.predict(part, BANDS).reflectance
    np.testing.assert_allclose(found, at_once[:, row : row + height, col : col + width], atol=2e-5)


def test_cubic_and_repeated_bands_give_the_same_picture() -> None:
    given_, _, coarse = stack((150, 170), seed=3)
    bands = [BANDS.index(name) for name in SHARPENED]
    cubic = given_.copy()
    cubic[bands] = interpolated(coarse, Resampling.cubic)
    apart = (whole(sharpen20(), cubic) - whole(sharpen20(), given_))[bands]
    rim = 16  # GDAL interpolates the rim of a raster by other weights
    assert np.abs(apart[:, rim:-rim, rim:-rim]).max() < 1.5e-3


def test_other_bands_and_too_small_patches_are_refused() -> None:
    given_, _, _ = stack((120, 136))
    with pytest.raises(InvalidInput, match="was made for B02"):
        sharpen20().predict(given_[:4], ("B02", "B03", "B04", "B08"))
    with pytest.raises(InvalidInput, match="halo"):
        sharpen20().predict(given_[:, :80, :80], BANDS)
    turned = tuple(reversed(BANDS))
    straight = sharpen20().predict(given_, BANDS).reflectance
    np.testing.assert_array_equal(
        sharpen20().predict(given_[::-1].copy(), turned).reflectance[::-1], straight
    )


def test_the_shipped_record_belongs_to_the_weights_and_beats_bicubic_everywhere() -> None:
    record = json.loads((WEIGHTS / RECORD).read_text())
    assert len(record["rmse"]) >= 2
    for rows in record["rmse"].values():
        for ours, theirs in zip(rows["sharpen20"], rows["bicubic"], strict=True):
            assert ours < 0.5 * theirs
        assert len(rows["sharpen20"]) == len(SHARPENED)
    card = sharpen20().card
    assert {score.test for score in card.metrics} >= set(record["rmse"])
    assert not any(place in card.training_data for place in record["rmse"])
    assert sharpen20().network.settings == SharpenSettings()
    assert (WEIGHTS / TENSORS).stat().st_size < 500_000


def test_files_that_are_not_the_model_are_refused(tmp_path: Path) -> None:
    given_, _, _ = stack((120, 136))
    (tmp_path / RECORD).write_text((WEIGHTS / RECORD).read_text())
    save_file(Sharpener(SharpenSettings()).state_dict(), tmp_path / TENSORS)
    with pytest.raises(ModelRejected, match="sha256"):
        sharpen20(tmp_path).predict(given_, BANDS)
    for broken in ("{}", "no json", '{"settings": {"x": 1}}'):
        (tmp_path / RECORD).write_text(broken)
        with pytest.raises(Damaged, match="no record"):
            sharpen20(tmp_path)


def test_a_file_of_ten_bands_is_sharpened_by_the_command_s_path(tmp_path: Path) -> None:
    given_, _, _ = stack((120, 136))
    source = write_tif(tmp_path / "in.tif", given_, grid((120, 136)), BANDS, nodata=None)
    with open_file(source, Given()) as opened:
        (out,) = super_resolve(opened, choose_model("sharpen20"), tmp_path / "out.tif")
    with rasterio.open(out) as file:
        assert file.descriptions == BANDS
        assert file.transform == grid((120, 136)).transform
        found = file.read()
    inner = (slice(None), slice(48, -48), slice(48, -48))  # at the edge it is filled, not mirrored
    expected = dn_from_reflectance(whole(sharpen20(), given_))[inner]
    assert np.abs(found[inner].astype(int) - expected).max() <= 1


def test_a_cube_of_ten_bands_has_the_model_s_layer(tmp_path: Path) -> None:
    given_, _, _ = stack((120, 136))
    catalog = Catalog(open_storage(tmp_path))
    catalog.create("ten", CubeSpec("Ten bands", small_grid((120, 136)), find_bands(BANDS)))
    cube = catalog.open("ten")
    cube = cube.append(
        scene(3), ScenePixels(dn_from_reflectance(given_), np.full((120, 136), 4, np.uint8))
    )
    model = find_patch_model("sharpen20")
    made = predict_window(cube, model, 0, Window(50, 50, 20, 30)).reflectance
    expected = whole(model, given_)[:, 50:70, 50:80]
    assert np.abs(made - expected).max() < 1e-3  # the cube's numbers are rounded


def test_training_draws_patches_and_validates_at_another_place() -> None:
    images = [
        Image(truth[[BANDS.index(name) for name in GUIDES]].copy(), measured(truth))
        for truth in (ground((192, 208), 7), ground((96, 112), 8))
    ]
    document = {"patch_px": 12, "batch": 1, "network": {"channels": 8, "layers": 2}}
    task = SharpenTask(build(SharpenTraining, document), images[:1], images[1:])
    found = task.validate(task.module)
    assert found.score > 3  # the regression alone
    assert {f"gain_db_{name}" for name in SHARPENED} < set(found.metrics)
    loss = task.losses(np.random.default_rng(0), 0)["loss"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert np.isfinite(float(loss.detach()))
    assert all(weight.grad is not None for weight in task.module.parameters())
    again = task.losses(np.random.default_rng(0), 0)["loss"]
    assert float(again.detach()) == float(loss.detach())
    with pytest.raises(InvalidInput, match="patch_px"):
        SharpenTask(build(SharpenTraining, {"patch_px": 64}), images[:1], images[1:])


def test_a_record_s_settings_are_read_back() -> None:
    document = json.loads((WEIGHTS / RECORD).read_text())["settings"]
    assert sharpen_model.settings_from(document) == SharpenSettings()
    with pytest.raises(TypeError):
        sharpen_model.settings_from({**document, "more": 1})
