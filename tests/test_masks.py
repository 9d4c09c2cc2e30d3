"""What counts as clear, and that counting in strips counts every pixel once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from datacube import Grid, ScenePixels, Window
from datacube.masks import (
    CLOUD,
    DETECTOR_BANDS,
    UNCLASSIFIED,
    MaskSummary,
    can_detect,
    clear_mask,
    detect_clouds,
    detector_grid,
    dilated,
    pixel_clear_fraction,
    summarise,
)
from tests.rasters import grid
from tests.scenes import SHAPE, new_cube, pixels, scene


@dataclass
class InMemory:
    """A scene of classes and one band."""

    grid: Grid
    values: NDArray[np.uint8]
    dn: NDArray[np.uint16]
    with_scl: bool = True
    bands: tuple[str, ...] = ("B04",)

    def classes(self, window: Window) -> NDArray[np.uint8]:
        return self.values[window.slices]

    def band(self, _name: str, window: Window) -> NDArray[np.uint16]:
        return self.dn[window.slices]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_dilation_is_that_of_a_disk(seed: int, radius: int) -> None:
    mask = np.random.default_rng(seed).random((31, 23)) < 0.02
    distance = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, 99.0)
    np.testing.assert_array_equal(dilated(mask, radius), distance <= radius)


def test_cloud_and_shadow_hide_the_pixels_around_them_and_no_data_does_not() -> None:
    classes = np.full((21, 33), 4, np.uint8)
    classes[10, 6], classes[10, 20], classes[3, 30] = 9, 3, 0
    clear = clear_mask(classes, dilation_px=2)
    assert not clear[10, 8]
    assert not clear[12, 20]
    assert clear[10, 9]
    assert not clear[3, 30]
    assert clear[3, 29]


def test_a_summary_does_not_depend_on_the_strips() -> None:
    shape = (1100, 90)
    classes = np.random.default_rng(3).integers(0, 12, shape, dtype=np.uint8)
    classes = np.where(np.random.default_rng(4).random(shape) < 0.97, 4, classes).astype(np.uint8)
    found = summarise(InMemory(grid(shape), classes, np.ones(shape, np.uint16)))
    clear = int(clear_mask(classes).sum())
    valid, cloud = int((classes != 0).sum()), int(np.isin(classes, (8, 9, 10)).sum())
    assert found == MaskSummary(classes.size, valid, clear, cloud)


def test_without_classes_only_the_data_is_counted() -> None:
    dn = np.ones((90, 70), np.uint16)
    dn[:9] = 0
    summary = summarise(InMemory(grid(), np.zeros((90, 70), np.uint8), dn, with_scl=False))
    assert summary.properties() == {"srcube:valid_percent": 90.0}


def test_cloud_cover_is_of_what_was_seen_and_a_cloudy_scene_says_so() -> None:
    found = MaskSummary(pixels=200, valid=100, clear=30, cloud=60).properties()
    assert found["eo:cloud_cover"] == 60
    assert found["srcube:clear_percent"] == 15
    assert found["srcube:cloudy"] is True
    assert MaskSummary(10, 0, 0, 0).properties()["eo:cloud_cover"] == 0


def test_the_clear_fraction_of_a_pixel_is_over_all_dates(tmp_path: Path) -> None:
    cube = new_cube(tmp_path)
    stack = []
    for day in (3, 4, 6):
        classes = np.full(SHAPE, 4, np.uint8)
        classes[day * 10 :, : day * 7] = 9
        cube = cube.append(scene(day), ScenePixels(pixels(day).dn, classes))
        stack.append(clear_mask(classes))
    window = Window(20, 10, 60, 50)
    found = pixel_clear_fraction(cube, window)
    np.testing.assert_allclose(found, np.mean(stack, axis=0)[window.slices], atol=1e-6)


def test_the_detector_tells_a_white_cloud_from_dark_ground() -> None:
    assert can_detect(dict.fromkeys(DETECTOR_BANDS))
    assert not can_detect(dict.fromkeys(DETECTOR_BANDS[1:]))
    ground = {
        "B01": 0.11, "B02": 0.08, "B04": 0.05, "B05": 0.09, "B08": 0.30, "B8A": 0.32,
        "B09": 0.10, "B10": 0.001, "B11": 0.15, "B12": 0.08,
    }  # fmt: skip
    reflectance = np.empty((10, 40, 60))
    for index, name in enumerate(DETECTOR_BANDS):
        reflectance[index] = ground[name]
        reflectance[index, :, 35:] = 0.03 if name == "B10" else 0.75
    dn = np.rint((reflectance + 0.1) * 10_000).astype(np.uint16)
    dn[:, :5, :5] = 0
    classes = detect_clouds(dn)
    assert (classes[:5, :5] == 0).all()
    assert (classes[8:, :28] == UNCLASSIFIED).all()
    assert (classes[:, 40:] == CLOUD).all()


def test_clouds_are_looked_for_on_coarser_pixels() -> None:
    assert detector_grid(grid((90, 70))).gsd_m == 20
    assert detector_grid(grid((3000, 70))).gsd_m == 60
    assert detector_grid(grid((90, 70), gsd_m=60)).gsd_m == 60
