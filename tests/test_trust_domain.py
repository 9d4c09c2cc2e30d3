"""Intervals are told of what they were calibrated for, and nowhere else; every output says so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from datacube import Catalog, Cube, CubeSpec, Product, ScenePixels, find_bands, open_storage
from datacube.errors import InvalidInput
from datacube.layer import Layer as ExportLayer
from datacube.layer import provenance as exported
from datacube.scene import dn_from_reflectance
from datacube.settings import Settings
from datacube.sources.plan import Given
from datacube.stac.describe import product_item
from server.main import app
from sr_engine.audit.quality import not_tested
from sr_engine.blocks import compute_block, product_spec
from sr_engine.planes import Quality
from sr_engine.registry import find_model
from sr_engine.scenes.run import super_resolve
from sr_engine.scenes.source import open_file
from sr_engine.trust.calibration import calibration_of
from sr_engine.trust.domain import Acquisition, abstention, calibration_record, is_outside
from tests.conftest import serving
from tests.opensr_cases import noise, smooth
from tests.rasters import grid, numbers, write_tif
from tests.scenes import BANDS, scene, small_grid

MODEL = "default-x2"
SHAPE = (50, 70)


def cube_of(root: Path, name: str, level: str, *platforms: str | None) -> Cube:
    """A cube of one block with a date of each platform, the first of them computed."""
    catalog = Catalog(open_storage(root))
    catalog.create(name, CubeSpec("A field", small_grid(SHAPE), find_bands(BANDS), level=level))
    cube = catalog.open(name)
    for day, platform in enumerate(platforms, start=1):
        image = 0.05 + 0.3 * smooth(noise((len(BANDS), *SHAPE), day), 2)
        known = {"platform": platform} if platform else {}
        pixels = ScenePixels(dn_from_reflectance(image), np.full(SHAPE, 4, np.uint8))
        cube = cube.append(replace(scene(day), properties=known), pixels)
    model = find_model(MODEL)
    product = Product.ensure(cube, product_spec(cube, model))
    for slot in range(len(platforms)):
        compute_block(product, model, slot, (0, 0))
    return product.cube


@pytest.mark.parametrize(
    ("level", "platform", "text"),
    [
        ("L2A", None, None),
        ("L2A", "sentinel-2a", None),
        ("L2A", "Sentinel-2C", None),
        ("L2A", "S2B", None),
        ("L1C", "sentinel-2a", "this is level L1C"),
        ("L1B", None, "this is level L1B"),
        ("L2A", "landsat-9", "this is of landsat-9"),
        ("L2A", "unknown", "this is of unknown"),
        (None, None, "--level"),
    ],
)
def test_a_calibration_is_for_its_own_sensor_and_level(
    level: str | None, platform: str | None, text: str | None
) -> None:
    taken, card = Acquisition(level, platform), find_model(MODEL).card
    why = abstention(card, taken)
    assert (why is None) == (text is None)
    assert text is None or (text in str(why) and "\n" not in str(why))
    assert is_outside(card, taken) == (text is not None and level is not None)
    assert abstention(find_model("wiener-x2").card, taken) is None  # it tells none at all


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("S2A_MSIL2A_20240601T101559_N0510_R065_T32TPS.tif", "L2A"),
        ("havel_l1c.jp2", "L1C"),
        ("L1B.tif", "L1B"),
        ("XL2AB.tif", None),
        ("june.tif", None),
    ],
)
def test_a_name_may_tell_the_level(name: str, level: str | None) -> None:
    assert Acquisition.of_name(name).level == level


def test_outside_every_pixel_of_a_cube_says_so(tmp_path: Path) -> None:
    cube = cube_of(tmp_path, "mixed", "L2A", "sentinel-2b", "landsat-9")
    product = Product.open(cube, product_spec(cube, find_model(MODEL)).path)
    inside, outside = (product.read_block(slot, (0, 0), variable="quality") for slot in (0, 1))
    assert inside is not None
    assert outside is not None
    assert not (inside & Quality.OUT_OF_DOMAIN).any()
    assert (outside & Quality.OUT_OF_DOMAIN).all()
    assert not (outside & Quality.INTERVAL_WIDER_THAN_GAIN).any()
    lower = cube_of(tmp_path, "lower", "L1C", None)
    other = Product.open(lower, product_spec(lower, find_model(MODEL)).path)
    masks = other.read_block(0, (0, 0), variable="quality")
    assert masks is not None
    assert (masks & Quality.OUT_OF_DOMAIN).all()
    planes = ("scale",)
    assert not_tested(cube, find_model(MODEL).card, planes) == []
    assert not_tested(lower, find_model(MODEL).card, planes) == ["interval_wider_than_gain"]


def test_provenance_names_the_calibration_wherever_pixels_go(tmp_path: Path) -> None:
    known = calibration_of(find_model(MODEL).card)
    for level, abstains in (("L2A", False), ("L1C", True)):
        cube = cube_of(tmp_path, level.lower(), level, "sentinel-2a")
        product = Product.open(cube, product_spec(cube, find_model(MODEL)).path)
        layer = ExportLayer("field", cube, product, product.block_window((0, 0)))
        records: list[Any] = [
            product.attributes["provenance"],
            product_item("field", product, cube.scenes[0])["properties"]["srcube:provenance"],
            exported(layer, cube.scenes[0]),
        ]
        for record in records:
            named = json.loads(json.dumps(record))["calibration"]
            assert named["sha256"] == known.sha256
            assert named["places"] == list(known.places)
            assert named["levels"] == ["L2A"]
            assert bool(named["abstains"]) == abstains
    assert calibration_record(find_model("wiener-x2").card, Acquisition("L2A")) is None


def test_another_calibration_has_another_digest() -> None:
    known = calibration_of(find_model(MODEL).card)
    wider = {level: {b: 2 * m for b, m in of.items()} for level, of in known.multipliers.items()}
    others = [replace(known, multipliers=wider), replace(known, levels=("L1C",))]
    assert len({one.sha256 for one in (known, *others)}) == 3
    assert replace(known, figures={"coverage_90": 0.1}).sha256 == known.sha256


def test_a_file_of_another_level_gets_no_interval_and_one_line(tmp_path: Path) -> None:
    counts, model = numbers(3, SHAPE), find_model(MODEL)
    for name, level, text in (
        ("x_L1C.tif", None, "this is level L1C"),
        ("june.tif", None, "--level"),
        ("x_L2A.tif", "L1C", "this is level L1C"),
    ):
        source = write_tif(tmp_path / name, counts, grid(SHAPE), BANDS)
        with open_file(source, Given(scale=1e-4, offset=0.0), level) as opened:
            with pytest.raises(InvalidInput, match=text):
                super_resolve(opened, model, tmp_path / "out.tif", extras=("interval",))
            assert not (tmp_path / "out.tif").exists()
    with open_file(source, Given(scale=1e-4, offset=0.0)) as opened:  # its name says L2A
        written = super_resolve(opened, model, tmp_path / "out.tif", extras=("interval",))
    with rasterio.open(written[1]) as file:
        assert (file.read(1) > 0).any()
        facts = json.loads(file.tags()["SRCUBE_PROVENANCE"])
    assert facts["taken"] == {"level": "L2A", "platform": None}
    assert facts["calibration"]["sha256"] == calibration_of(model.card).sha256
    assert facts["calibration"]["abstains"] is None


def test_beside_a_file_of_another_level_the_audit_flags_all(tmp_path: Path) -> None:
    source = write_tif(tmp_path / "x_L1C.tif", numbers(3, SHAPE), grid(SHAPE), BANDS)
    with open_file(source, Given(scale=1e-4, offset=0.0)) as opened:
        written = super_resolve(opened, find_model(MODEL), tmp_path / "out.tif", extras=("audit",))
    with rasterio.open(written[-1]) as file:
        masks = file.read(1)
    assert (masks[masks > 0] & Quality.OUT_OF_DOMAIN).all()
    assert (masks > 0).any()


def test_the_command_takes_the_level_of_a_file_that_does_not_say(tmp_path: Path) -> None:
    source = write_tif(tmp_path / "june.tif", numbers(3, SHAPE), grid(SHAPE), BANDS)
    asked = ["super-resolve", str(source), str(tmp_path / "out.tif"), "--factor", "2"]
    asked += ["--scale", "0.0001", "--offset", "0", "--with", "interval"]
    for level, refused in (("L9", True), ("L2A", False)):
        ended = CliRunner().invoke(app, [*asked, "--level", level])
        assert isinstance(ended.exception, InvalidInput) == refused
        assert ended.exit_code == int(refused), ended.output
    assert (tmp_path / "out_interval_90_B04.tif").exists()


def test_the_layer_of_intervals_is_offered_where_it_is_calibrated_and_refused_elsewhere(
    tmp_path: Path,
) -> None:
    cube_of(tmp_path, "inside", "L2A", "sentinel-2a", "landsat-9")
    cube_of(tmp_path, "outside", "L1C", "sentinel-2a")
    with serving(Settings(data=str(tmp_path), port=0)) as url:

        def layers(cube_id: str) -> set[str]:
            found = httpx.get(f"{url}/collections/{cube_id}").json()["layers"]
            return {one["id"] for one in found}

        def tile(cube_id: str, day: int, layer: str = "interval") -> httpx.Response:
            west, _, _, north = small_grid(SHAPE).lonlat_bounds()
            x = int((west + 0.002 + 180) / 360 * 2**15)
            lat = np.radians(north - 0.001)
            y = int((1 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * 2**15)
            path = f"{url}/collections/{cube_id}/layers/{layer}/tiles/WebMercatorQuad/15/{x}/{y}"
            query = {"model": MODEL, "datetime": f"2024-01-{day:02d}T10:30:00Z"}
            return httpx.get(path, params=query, timeout=30)

        assert "interval" in layers("inside")
        assert layers("inside") - layers("outside") == {"interval"}
        assert tile("inside", 1).status_code == 200
        for answer, text in (
            (tile("inside", 2), "this is of landsat-9"),
            (tile("outside", 1), "this is level L1C"),
        ):
            assert answer.status_code == 422
            assert text in answer.json()["detail"]
        assert tile("outside", 1, "quality").status_code == 200  # the rest is there
        body = {"collection": "outside", "model": MODEL, "products": ["interval"]}
        bbox = list(small_grid(SHAPE).lonlat_bounds())
        answer = httpx.post(
            f"{url}/processes/super-resolve/execution", json={"inputs": body | {"bbox": bbox}}
        )
        assert answer.status_code == 422
        assert "this is level L1C" in answer.json()["detail"]
