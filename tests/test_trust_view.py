"""Figures of trust of a view, against a direct read of the product."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from datacube import Catalog, Cube, Product, ScenePixels, Window, open_storage
from datacube.layer import product_window
from datacube.settings import Settings
from server.trust_figures import UNTOLD
from sr_engine.blocks import compute_block, product_spec
from sr_engine.planes import BAND_SCALES, Quality
from sr_engine.registry import find_model
from sr_engine.trust.calibration import calibration_of
from tests.conftest import serving
from tests.opensr_cases import noise, smooth
from tests.scenes import BANDS, new_cube, scene

SHAPE = (170, 210)  # four blocks
MODEL = "default-x2"
BLOCKS = ((0, 0), (0, 1), (1, 0))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene with clouds and some pixels brighter than any calibration; one block is missing."""
    folder = tmp_path_factory.mktemp("catalog")
    field = 0.05 + 0.3 * smooth(noise((len(BANDS), *SHAPE), 1), 2)
    field[:, 30:45, 60:70] = 1.4
    scl = np.full(SHAPE, 4, np.uint8)
    scl[:20, :50] = 9
    dn = np.rint((field + 0.1) * 1e4).astype(np.uint16)
    cube = new_cube(folder, SHAPE).append(scene(1), ScenePixels(dn, scl))
    for name in (MODEL, "bicubic-x2"):
        model = find_model(name)
        product = Product.ensure(cube, product_spec(cube, model))
        cube = product.cube
        for block in BLOCKS:
            compute_block(product, model, 0, block)
    return folder


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    with serving(Settings(data=str(root), port=0)) as address:
        yield f"{address}/collections/field/layers/sr/trust"


@pytest.fixture(scope="module")
def cube(root: Path) -> Cube:
    return Catalog(open_storage(root)).open("field")


def told(url: str, **query: Any) -> dict[str, Any]:
    answer = httpx.get(url, params={"model": MODEL, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def box(cube: Cube, window: Window) -> str:
    west, south, east, north = cube.grid.cropped(window).lonlat_bounds()
    return f"{west},{south},{east},{north}"


def plane(cube: Cube, name: str, found: dict[str, Any]) -> np.ndarray:
    """A plane's stored numbers over the view that the server says it looked at."""
    product = Product.open(cube, f"sr/{find_model(MODEL).card.key}")
    window = Window(*found["window"]).scaled(2)
    return np.asarray(product_window(product, 0, window, variable=name)[0])


def test_figures_of_a_view_are_those_of_its_pixels(url: str, cube: Cube) -> None:
    found = told(url, bbox=box(cube, Window(12, 37, 140, 101)))
    assert found["blocks"] == {"total": 4, "computed": 3, "limit": 64}
    masks = plane(cube, "quality", found)
    there = masks > 0
    assert found["pixels"] == there.sum() < masks.size
    for flag in Quality:
        if flag is not Quality.COMPUTED:
            share = (masks & int(flag) > 0).sum() / there.sum()
            assert found["flags"][str(flag.name).lower()] == pytest.approx(share)
    assert found["flags"]["clean"] == pytest.approx((masks == 1).sum() / there.sum())
    assert 0 < found["flags"]["input_cloudy"] < 1
    assert 0 < found["flags"]["out_of_domain"] < 1
    numbers = plane(cube, "consistency", found)
    sigmas = (numbers[numbers > 0].astype(float) - 1) * 0.05
    assert found["consistency"]["median"] == pytest.approx(np.median(sigmas))
    assert found["consistency"]["within_noise"] == pytest.approx((sigmas < 3.0 + 1e-6).mean())


def test_half_widths_are_calibrated_and_told_only_inside_the_domain(url: str, cube: Cube) -> None:
    found = told(url, bbox=box(cube, Window(5, 40, 60, 70)))
    masks = plane(cube, "quality", found)
    inside = (masks > 0) & (masks & UNTOLD == 0)
    calibration = calibration_of(find_model(MODEL).card)
    assert found["interval"]["told"] == pytest.approx(inside.sum() / (masks > 0).sum())
    assert 0 < found["interval"]["told"] < 1
    for band, spec in BAND_SCALES.items():
        numbers = plane(cube, spec.name, found)[inside].astype(float)
        half = (np.median(numbers) - 1) * 1e-5 * calibration.multipliers["0.90"][band]
        assert found["interval"]["half_width"][band] == pytest.approx(half)
    figures = found["calibration"]["figures"]
    assert figures["coverage_90"] == (calibration.figures or {})["coverage_90"]
    assert set(found["calibration"]["places"]).isdisjoint(found["calibration"]["tested"])


def test_provenance_and_card_name_model_weights_and_inputs(url: str) -> None:
    found, card = told(url), find_model(MODEL).card
    record = found["provenance"]
    assert record["weights_sha256"] == found["card"]["weights_sha256"] == card.weights_sha256
    assert record["model"] == MODEL
    assert record["software"].startswith("srcube ")
    assert [one["datetime"] for one in record["inputs"]] == ["2024-01-01T10:30:00Z"]
    assert len(found["card"]["metrics"]) == len(card.metrics) > 0
    assert {"value", "bicubic", "test", "figure"} <= set(found["card"]["metrics"][0])


def test_where_nothing_was_computed_nothing_is_told(url: str, cube: Cube) -> None:
    found = told(url, bbox=box(cube, Window(132, 132, 30, 60)))
    assert found["blocks"] == {"total": 1, "computed": 0, "limit": 64}
    assert found["pixels"] == 0
    for name in ("consistency", "interval", "flags", "posterior_sigma", "provenance"):
        assert found[name] is None
    assert found["card"]["id"] == MODEL
    assert told(url, model="wiener-x4")["blocks"]["computed"] == 0


def test_a_model_without_a_calibration_has_no_interval(url: str) -> None:
    found = told(url, model="bicubic-x2")
    assert found["consistency"]["pixels"] > 0
    assert found["interval"] is None
    assert found["calibration"] is None
    assert "interval_wider_than_gain" in found["flags_not_tested"]


def test_a_view_of_too_many_blocks_is_counted_and_not_read(tmp_path: Path) -> None:
    shape = (1152, 1050)  # nine by nine blocks
    empty = ScenePixels(np.ones((4, *shape), np.uint16), np.zeros(shape, np.uint8))
    new_cube(tmp_path, shape).append(scene(1), empty)
    with serving(Settings(data=str(tmp_path), port=0)) as address:
        found = told(f"{address}/collections/field/layers/sr/trust")
    assert found["blocks"] == {"total": 81, "computed": None, "limit": 64}
    assert found["flags"] is None
    assert found["calibration"] is not None


@pytest.mark.parametrize(
    ("query", "status"),
    [({"bbox": "7,8"}, 422), ({"datetime": "2020-01-01T00:00:00Z"}, 404), ({"size": "3"}, 422)],
)
def test_bad_views_are_refused(url: str, query: dict[str, str], status: int) -> None:
    assert httpx.get(url, params={"model": MODEL, **query}).status_code == status
