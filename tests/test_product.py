"""Blocks of an inferred level: computed once, found again, never half there."""

from pathlib import Path

import numpy as np
import pytest

from datacube import Catalog, Product, ProductSpec, open_storage
from datacube.errors import Damaged, InvalidInput, NotFound
from datacube.store.pyramid import halved_dn
from tests.scenes import new_cube, pixels, scene

SPEC = ProductSpec("sr/model-x4-abc", 4, ("B04", "B08"), {"card": {"id": "model-x4"}})


def product_of(root: Path) -> Product:
    return Product.ensure(new_cube(root).append(scene(4), pixels(4)), SPEC)


def some_block(product: Product, block: tuple[int, int]) -> np.ndarray:
    window = product.block_window(block).scaled(4)
    shape = (2, window.height, window.width)
    return np.random.default_rng(7).integers(1, 9000, shape, dtype=np.uint16)


@pytest.mark.parametrize("block", [(0, 0), (1, 0), (2, 1)])
def test_a_block_comes_back_at_every_level(tmp_path: Path, block: tuple[int, int]) -> None:
    product = product_of(tmp_path)
    dn = some_block(product, block)
    assert product.read_block(0, block) is None
    product.write_block(0, block, dn)
    for level in range(3):
        np.testing.assert_array_equal(product.read_block(0, block, level=level), dn)
        dn = halved_dn(dn)
    assert not product.has_block(0, (1, 1))


def test_another_opening_of_the_catalog_sees_the_block_at_once(tmp_path: Path) -> None:
    product = product_of(tmp_path)
    reader = Product.open(Catalog(open_storage(tmp_path)).open("field"), SPEC.path)
    assert not reader.has_block(0, (1, 1))
    product.write_block(0, (1, 1), some_block(product, (1, 1)))
    assert reader.has_block(0, (1, 1))
    assert reader.attributes["card"] == {"id": "model-x4"}


def test_writing_a_block_is_no_commit(tmp_path: Path) -> None:
    product = product_of(tmp_path)
    root = (tmp_path / "field.zarr/zarr.json").read_bytes()
    product.write_block(0, (0, 0), some_block(product, (0, 0)))
    assert (tmp_path / "field.zarr/zarr.json").read_bytes() == root


def test_a_recorded_block_that_is_missing_is_damage(tmp_path: Path) -> None:
    product = product_of(tmp_path)
    product.write_block(0, (0, 0), some_block(product, (0, 0)))
    chunk = tmp_path / "field.zarr" / SPEC.path / "r2.5m/reflectance/c/0/1/0/0"
    chunk.unlink()
    with pytest.raises(Damaged):
        product.read_block(0, (0, 0))


def test_chunks_without_a_digest_were_never_computed(tmp_path: Path) -> None:
    product = product_of(tmp_path)
    product.write_block(0, (0, 0), some_block(product, (0, 0)))
    (tmp_path / "field.zarr" / SPEC.path / "reflectance_blocks/c/0/0/0").unlink()
    assert product.read_block(0, (0, 0)) is None


def test_scenes_appended_later_lengthen_the_product(tmp_path: Path) -> None:
    product = product_of(tmp_path)
    cube = product.cube.append(scene(6), pixels(6))
    longer = Product.open(cube, SPEC.path)
    dn = some_block(longer, (0, 1))
    longer.write_block(1, (0, 1), dn)
    dataset = longer.dataset()
    assert dataset.sizes["time"] == 2
    values = dataset.reflectance.sel(time="2024-01-06", band="B08").squeeze().values
    np.testing.assert_allclose(values[:512, 512:], dn[1].astype(float) * 1e-4 - 0.1, atol=1e-6)
    assert np.isnan(values[:512, :512]).all()


def test_a_block_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    product = product_of(tmp_path)
    with pytest.raises(InvalidInput, match="block"):
        product.write_block(0, (0, 0), np.ones((2, 5, 5), np.uint16))
    with pytest.raises(InvalidInput, match="factor"):
        ProductSpec("sr/x", 3, ("B04",))


def test_an_unknown_product_is_not_found(tmp_path: Path) -> None:
    cube = new_cube(tmp_path)
    with pytest.raises(NotFound):
        Product.open(cube, "sr/none")
    with pytest.raises(NotFound):
        Catalog(open_storage(tmp_path)).open("../field")
