"""The record that outputs carry, and running them again from it."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from datacube import Cube, Product, ScenePixels
from datacube.errors import InvalidInput, NotFound
from datacube.export import Request, export
from datacube.provenance import commit
from datacube.scene import dn_from_reflectance
from datacube.sources.plan import Given
from datacube.stac.describe import product_item
from sr_engine.audit.provenance import provenance, read_provenance
from sr_engine.audit.reproduce import reproduce_file, reproduce_product
from sr_engine.blocks import compute_block, product_spec
from sr_engine.registry import find_model
from sr_engine.scenes.run import super_resolve
from sr_engine.scenes.source import open_file
from tests.opensr_cases import noise, smooth
from tests.rasters import BANDS as FILE_BANDS
from tests.rasters import grid, numbers, write_tif
from tests.scenes import BANDS, new_cube, scene
from tests.test_cli import srcube

MODEL = "bicubic-x2"


def cube_of(root: Path) -> Cube:
    field = 0.05 + 0.4 * smooth(noise((len(BANDS), 150, 140), 1), 2)
    field[:, 20:24, 30:37] = np.nan
    scl = np.full((150, 140), 4, np.uint8)
    pixels = ScenePixels(dn_from_reflectance(field.astype(np.float32)), scl)
    return new_cube(root, (150, 140)).append(scene(1), pixels)


def product_of(cube: Cube, model_id: str = MODEL) -> Product:
    model = find_model(model_id)
    product = Product.ensure(cube, product_spec(cube, model))
    for block in ((0, 0), (1, 1)):
        compute_block(product, model, 0, block)
    return product


def touched(path: Path, *, numbers: NDArray[np.uint16] | None = None, text: str = "") -> None:
    """Change pixels or the record of a file, as if something had gone wrong."""
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        if numbers is not None:
            file.write(numbers)
        if text:
            file.update_tags(SRCUBE_PROVENANCE=text)


def test_a_product_of_a_cube_comes_out_again(tmp_path: Path) -> None:
    product = product_of(cube_of(tmp_path))
    found = reproduce_product(product.cube, product.path, most_blocks=9)
    assert found.reproduced
    assert found.largest_dn == 0
    assert found.pixels == 4 * 4 * (128 * 128 + 22 * 12 - 28)
    done = srcube("reproduce", f"field:{product.path}", "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reproduced"] is True


def test_an_export_comes_out_again_and_a_changed_pixel_is_found(tmp_path: Path) -> None:
    product = product_of(cube_of(tmp_path / "data"))
    out = tmp_path / "out.tif"
    export("field", product.cube, out, Request(product.path))
    found = reproduce_file(out, source=None, data=str(tmp_path / "data"))
    assert found.reproduced
    assert found.complaints == ()
    with rasterio.open(out) as file:
        changed = file.read()
    changed[2, 100:102, 50] += 7
    changed[0, 5, 5] = 0
    touched(out, numbers=changed)
    done = srcube("reproduce", str(out), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["pixels_beyond_tolerance"] == 3
    assert document["largest_difference_dn"] == 7


def test_a_super_resolved_file_comes_out_again_from_its_input(tmp_path: Path) -> None:
    source = write_tif(tmp_path / "in.tif", numbers(3), grid(), FILE_BANDS)
    out = tmp_path / "out.tif"
    with open_file(source, Given(scale=1e-4, offset=0.0)) as opened:
        super_resolve(opened, find_model("wiener-x2"), out)
    assert reproduce_file(out, source=None, data=str(tmp_path)).reproduced
    elsewhere = tmp_path / "moved" / "other.tif"
    elsewhere.parent.mkdir()
    source.rename(elsewhere)
    with pytest.raises(NotFound, match=r"in\.tif is not beside"):
        reproduce_file(out, source=None, data=str(tmp_path))
    assert reproduce_file(out, source=str(elsewhere), data=str(tmp_path)).reproduced
    write_tif(elsewhere, numbers(4), grid(), FILE_BANDS)
    with pytest.raises(InvalidInput, match="another digest"):
        reproduce_file(out, source=str(elsewhere), data=str(tmp_path))


def test_bands_that_were_left_out_are_left_out_again(tmp_path: Path) -> None:
    counts = np.concatenate([numbers(3), numbers(4)[:1]])
    source = write_tif(tmp_path / "in.tif", counts, grid())
    out = tmp_path / "out.tif"
    named = Given(("B04", "-", "B03", "B02", "SCL"), None, 1e-4, 0.0)
    with open_file(source, named) as opened:
        super_resolve(opened, find_model(MODEL), out)
    assert reproduce_file(out, source=None, data=str(tmp_path)).reproduced


def test_other_weights_are_told(tmp_path: Path) -> None:
    product = product_of(cube_of(tmp_path / "data"))
    out = tmp_path / "out.tif"
    export("field", product.cube, out, Request(product.path))
    record = read_provenance(out)
    touched(out, text=json.dumps({**record, "weights_sha256": "0" * 64}))
    found = reproduce_file(out, source=None, data=str(tmp_path / "data"))
    assert found.reproduced
    assert "weights were 000000000000" in found.complaints[0]


def test_what_cannot_be_run_again_is_refused_in_one_line(tmp_path: Path) -> None:
    cube = cube_of(tmp_path / "data")
    plain = write_tif(tmp_path / "in.tif", numbers(3), grid(), FILE_BANDS)
    with pytest.raises(InvalidInput, match="no record"):
        reproduce_file(plain, source=None, data=str(tmp_path))
    measured = tmp_path / "measured.tif"
    export("field", cube, measured, Request())
    with pytest.raises(InvalidInput, match="no model made"):
        reproduce_file(measured, source=None, data=str(tmp_path / "data"))
    product = Product.ensure(cube, product_spec(cube, find_model(MODEL)))
    with pytest.raises(NotFound, match="nothing"):
        reproduce_product(product.cube, product.path, most_blocks=3)
    done = srcube("reproduce", "no-such-thing", "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_output_carries_the_same_record(tmp_path: Path) -> None:
    product = product_of(cube_of(tmp_path / "data"))
    cube = product.cube
    export("field", cube, tmp_path / "out.tif", Request(product.path))
    card = find_model(MODEL).card
    item = product_item("field", product, cube.scenes[0])
    beside = json.loads((tmp_path / "out.json").read_text("utf-8"))
    records = [
        read_provenance(tmp_path / "out.tif"),
        item["properties"]["srcube:provenance"],
        beside["properties"]["srcube:provenance"],
    ]
    for record in records:
        assert record["model_card"] == card.document()
        assert record["weights_sha256"] == card.weights_sha256
        assert record["commit"] == commit()
        assert record["psf"]["sigma_px"]["B04"] == pytest.approx(0.4446)
        (source,) = record["inputs"]
        assert source["id"] == "S2X_01"
        assert source["datetime"] == "2024-01-01T10:30:00Z"
        assert source["sha256"] == cube.root.commit.scenes["S2X_01"].sha256
    assert product.attributes["provenance"]["model"] == MODEL
    assert "processing" in " ".join(item["stac_extensions"])


def test_a_fusion_names_every_date_it_was_made_from(tmp_path: Path) -> None:
    cube = cube_of(tmp_path)
    field = 0.05 + 0.4 * smooth(noise((len(BANDS), 150, 140), 1), 2)
    pixels = ScenePixels(dn_from_reflectance(field), np.full((150, 140), 4, np.uint8))
    cube = cube.append(scene(6), pixels)
    product = Product.ensure(cube, product_spec(cube, find_model("fusion-x2")))
    item = product_item("field", product, cube.scenes[0])
    inputs = item["properties"]["srcube:provenance"]["inputs"]
    assert [one["id"] for one in inputs] == ["S2X_01", "S2X_06"]


def test_a_record_holds_no_path_of_the_machine(tmp_path: Path) -> None:
    card = find_model(MODEL).card
    text = json.dumps(provenance(card, BANDS, calibration={"id": "sites-1"}))
    assert str(tmp_path) not in text
    assert json.loads(text)["calibration"] == {"id": "sites-1"}
