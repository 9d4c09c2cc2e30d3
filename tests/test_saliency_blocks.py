"""Saliency kept in a cube: by itself, beside what is there, in products older than it."""

import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio

from datacube import Catalog, Cube, Product, ScenePixels, Window, open_storage
from datacube.errors import InvalidInput
from datacube.scene import dn_from_reflectance
from server.jobs.area import Area
from server.jobs.order import Order, Wish, make_order
from server.jobs.records import IMAGE, BlockTask
from server.jobs.tasks import run_block
from sr_engine.blocks import compute_block, product_spec
from sr_engine.explain.companion import compute_saliency
from sr_engine.planes import SALIENCY
from sr_engine.registry import find_model
from sr_engine.scenes.run import super_resolve
from sr_engine.scenes.source import CubeScene
from tests.opensr_cases import noise, smooth
from tests.scenes import BANDS, new_cube, scene

SHAPE = (140, 150)  # four blocks, three of them cut off
MODEL = "wiener-x2"


def cube_of(root: Path) -> Cube:
    image = 0.05 + 0.3 * smooth(noise((len(BANDS), *SHAPE), 3), 2)
    image[:, 20:60, 100:140] = np.nan
    dn = dn_from_reflectance(image)
    return new_cube(root, SHAPE).append(scene(1), ScenePixels(dn, np.full(SHAPE, 4, np.uint8)))


def order_of(cube: Cube, *variables: str) -> Order:
    cube = Cube.open(cube.storage)
    area = Area(Window(0, 0, *SHAPE))
    return make_order(Wish(cube, find_model(MODEL), 0, area, variables), most=64)


def tasks_of(cube: Cube, root: Path, *variables: str) -> tuple[BlockTask, ...]:
    return order_of(cube, *variables).tasks(str(root), "field")


def test_blocks_of_a_cube_have_the_saliency_that_a_file_has(tmp_path: Path) -> None:
    cube, model = cube_of(tmp_path / "cube"), find_model(MODEL)
    product = Product.ensure(cube, product_spec(cube, model, (SALIENCY,)))
    for block in order_of(cube).missing[IMAGE]:
        compute_saliency(product, model, 0, block)
    written = super_resolve(
        CubeScene(cube, cube.scenes[0]), model, tmp_path / "out.tif", extras=("saliency",)
    )
    with rasterio.open(written[1]) as file:
        expected = file.read(1)
    level = product.dataset().saliency.encoding
    found = np.nan_to_num(product.dataset().saliency.values[0] / 0.01 + 1)
    assert level["dtype"] == np.uint16
    np.testing.assert_allclose(found, expected, atol=1)
    assert len(np.unique(expected)) > 10  # no constant picture
    assert (found[50:110, 210:270] == 0).all()  # nothing where nothing was measured


def test_a_part_is_computed_once_and_alone(tmp_path: Path) -> None:
    cube = cube_of(tmp_path)
    first = tasks_of(cube, tmp_path, "saliency")
    assert [task.part for task in first] == [IMAGE] * 4 + ["saliency"] * 4
    assert len({task.key for task in first}) == 8
    assert len({task.kind for task in first}) == 2
    for task in first[:4]:
        assert run_block(task).seconds is not None
    rest = tasks_of(cube, tmp_path, "saliency")
    assert [task.part for task in rest] == ["saliency"] * 4  # the image is there already
    assert run_block(rest[0]).seconds is not None
    assert run_block(rest[0]).seconds is None  # found, not computed again
    order = order_of(cube, "saliency")
    assert (order.total, order.cached) == (8, 5)
    assert order_of(cube).cached == order_of(cube).total == 4  # who does not ask need not wait


def test_saliency_needs_no_image(tmp_path: Path) -> None:
    cube = cube_of(tmp_path)
    task = tasks_of(cube, tmp_path, "saliency")[-1]
    assert run_block(task).kind == "done"
    product = Product.open(Catalog(open_storage(tmp_path)).open("field"), task.path)
    assert product.has_block(0, task.block, variable="saliency")
    assert not product.has_block(0, task.block)


def test_an_older_product_gets_a_place_by_one_commit_and_keeps_its_blocks(tmp_path: Path) -> None:
    cube, model = cube_of(tmp_path), find_model(MODEL)
    old = Product.ensure(cube, product_spec(cube, model))
    compute_block(old, model, 0, (0, 1))
    kept = {
        path: path.read_bytes()
        for path in (tmp_path / "field.zarr" / old.path).rglob("*")
        if path.is_file()
    }
    before = Cube.open(cube.storage).root.commit
    openings = [Cube.open(cube.storage) for _ in range(4)]
    spec = product_spec(cube, model, (SALIENCY,))
    threads = [threading.Thread(target=Product.ensure, args=(one, spec)) for one in openings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = Cube.open(cube.storage)
    assert after.root.commit.revision == before.revision + 1
    assert after.generation == before.generation
    assert {path: path.read_bytes() for path in kept} == kept
    new = Product.open(after, old.path)
    assert set(new.variables) == {*old.variables, "saliency"}
    assert new.has_block(0, (0, 1))
    assert not new.has_block(0, (0, 1), variable="saliency")
    assert Product.ensure(after, product_spec(after, model)).cube is after  # nothing to declare
    assert order_of(cube, "saliency").missing == {
        IMAGE: ((0, 0), (1, 0), (1, 1)), "saliency": ((0, 0), (0, 1), (1, 0), (1, 1)),
    }  # fmt: skip
    longer = after.append(scene(9), ScenePixels(np.full((4, *SHAPE), 2000, np.uint16),
                                                np.full(SHAPE, 4, np.uint8)))  # fmt: skip
    compute_saliency(Product.open(longer, old.path), model, 1, (1, 1))
    assert Product.open(longer, old.path).has_block(1, (1, 1), variable="saliency")


def test_planes_that_came_later_are_added_to_blocks_that_lack_them(tmp_path: Path) -> None:
    cube, model = cube_of(tmp_path), find_model(MODEL)
    spec = product_spec(cube, model)
    bare = Product.ensure(cube, type(spec)(spec.path, spec.factor, spec.bands, spec.attributes))
    compute_block(bare, model, 0, (0, 0))
    image = bare.read_block(0, (0, 0))
    assert order_of(cube).cached == 1
    asked = order_of(cube, "quality")
    assert asked.cached == 0
    task = next(one for one in asked.tasks(str(tmp_path), "field") if one.block == (0, 0))
    assert run_block(task).seconds is not None
    product = Product.open(Catalog(open_storage(tmp_path)).open("field"), task.path)
    assert product.has_block(0, (0, 0), variable="quality")
    np.testing.assert_array_equal(product.read_block(0, (0, 0)), image)
    assert order_of(cube, "quality").cached == 1


def test_where_there_is_no_detail_or_no_data_there_is_nothing_to_tell(tmp_path: Path) -> None:
    dn = np.full((len(BANDS), *SHAPE), 3000, np.uint16)
    dn[:, :, 138:] = 0
    pixels = ScenePixels(dn, np.full(SHAPE, 4, np.uint8))
    cube, model = new_cube(tmp_path, SHAPE).append(scene(1), pixels), find_model(MODEL)
    product = Product.ensure(cube, product_spec(cube, model, (SALIENCY,)))
    for block in ((0, 0), (1, 1)):
        compute_saliency(product, model, 0, block)
    constant, edge = (product.read_block(0, b, variable="saliency") for b in ((0, 0), (1, 1)))
    assert constant is not None
    assert edge is not None
    assert not constant.any()
    assert (edge[:, : 2 * 10] > 0).all()  # the edge of the data is a step, which has causes
    assert not edge[:, 2 * 10 :].any()


def test_a_model_without_gradients_has_no_saliency(tmp_path: Path) -> None:
    cube, model = cube_of(tmp_path), find_model("fusion-x2")
    product = Product.ensure(cube, product_spec(cube, model, (SALIENCY,)))
    with pytest.raises(InvalidInput, match="takes several dates"):
        compute_saliency(product, model, 0, (0, 0))
    assert not product.has_block(0, (0, 0), variable="saliency")


def test_a_task_of_before_there_were_parts_is_one_of_the_image() -> None:
    text = (
        '{"data": "d", "cube_id": "c", "uid": "u", "slot": 0, "model_id": "m", "model_key": "k",'
        ' "path": "sr/k", "block": [1, 2], "bbox": [0, 0, 1, 1]}'
    )
    task = BlockTask.from_text(text)
    assert (task.part, task.key, task.kind) == (IMAGE, "u/sr/k/0/1/2", "k")
