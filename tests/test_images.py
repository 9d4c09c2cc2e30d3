"""Whole images in memory: super-resolved, shown side by side, by a torch module of one's own."""

from pathlib import Path

import numpy as np
import pytest

from datacube import Window
from datacube.errors import InvalidInput
from datacube.scene import reflectance_from_dn
from sr_engine.adapters.torch_module import TorchModel, module_sha256
from sr_engine.blocks import predict_window
from sr_engine.card import ModelCard
from sr_engine.images import super_resolve_image
from sr_engine.model import DifferentiableModel
from sr_engine.pictures import CAPTION_PX, MARGIN_PX, maps_side_by_side, side_by_side
from sr_engine.wiener import wiener
from tests.scenes import BANDS, new_cube, pixels, scene
from tests.small_nets import FACTOR, HALO_PX, random_net

CARD = ModelCard("tiny-x2", "Tiny", "for tests", FACTOR, HALO_PX, bands=BANDS)


def test_an_image_in_memory_becomes_what_the_same_scene_of_a_cube_does(tmp_path: Path) -> None:
    cube = new_cube(tmp_path, (70, 50)).append(scene(1), pixels(1, (70, 50)))
    whole = Window(0, 0, 70, 50)
    slot = cube.scenes[0].slot
    image = reflectance_from_dn(cube.window_dn(slot, BANDS, whole))
    expected = predict_window(cube, wiener(2), slot, whole).reflectance
    found = super_resolve_image(wiener(2), image, BANDS).reflectance
    np.testing.assert_array_equal(found, expected)


def test_an_image_of_other_bands_than_named_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"of 4 bands, got \(3, 9, 8\)"):
        super_resolve_image(wiener(2), np.zeros((3, 9, 8), np.float32), BANDS)


def test_a_torch_module_is_a_model_whose_gradients_can_be_had() -> None:
    net = random_net(3)
    model = TorchModel(CARD, net)
    assert isinstance(model, DifferentiableModel)
    image = np.random.default_rng(1).uniform(0, 0.4, (4, 24, 31)).astype(np.float32)
    made = super_resolve_image(model, image, BANDS).reflectance
    assert made.shape == (4, 48, 62)
    assert np.isfinite(made).all()
    with pytest.raises(InvalidInput, match="takes B02, B03, B04, B08, got B08"):
        model.module(BANDS[::-1])
    with pytest.raises(InvalidInput, match="bands of tiny-x2"):
        TorchModel(ModelCard("tiny-x2", "Tiny", "", FACTOR, HALO_PX), net)


def test_other_weights_are_another_model() -> None:
    assert module_sha256(random_net(3)) == module_sha256(random_net(3))
    assert module_sha256(random_net(3)) != module_sha256(random_net(4))


def test_images_stand_side_by_side_under_the_stretch_of_the_first() -> None:
    first = np.random.default_rng(2).uniform(0, 0.3, (4, 20, 30)).astype(np.float32)
    brighter = first.repeat(2, axis=1).repeat(2, axis=2) + np.float32(0.1)
    shown = side_by_side({"first": first, "brighter": brighter}, BANDS, panel_px=60)
    assert shown.size == (2 * (60 + MARGIN_PX) + MARGIN_PX, 40 + CAPTION_PX + MARGIN_PX)
    panels = np.asarray(shown)[CAPTION_PX : CAPTION_PX + 40]
    left, right = (panels[:, x : x + 60] for x in (MARGIN_PX, 60 + 2 * MARGIN_PX))
    assert right.mean() > left.mean() + 20
    twice = side_by_side({"first": first, "again": first}, BANDS, panel_px=60)
    panels = np.asarray(twice)[CAPTION_PX : CAPTION_PX + 40]
    np.testing.assert_array_equal(
        panels[:, MARGIN_PX : MARGIN_PX + 60], panels[:, 60 + 2 * MARGIN_PX : 120 + 2 * MARGIN_PX]
    )


def test_pictures_of_nothing_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got none"):
        side_by_side({}, BANDS)
    with pytest.raises(InvalidInput, match="above 0"):
        maps_side_by_side({"a": np.ones((3, 4))}, highest=0)
