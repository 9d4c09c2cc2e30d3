"""Files that leave a cube: the same numbers in the same place, and where they come from."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from pyproj import Transformer
from rasterio.enums import Resampling

from datacube import (
    Catalog,
    Cube,
    Grid,
    Product,
    ProductSpec,
    ScenePixels,
    Window,
    open_storage,
)
from datacube.composite import CompositeSpec, make_composite
from datacube.demo import DemoSize, build_simulated
from datacube.errors import InvalidInput, NotFound
from datacube.export import Request, export
from datacube.ingest.take_in import take_in
from datacube.layer import product_window
from datacube.scene import reflectance_from_dn
from datacube.sources.naming import parse_interval
from datacube.sources.plan import Given
from datacube.sources.recognise import plan_source
from datacube.stac import describe
from datacube.stac.footprint import footprint_of
from datacube.stac.publish import cube_documents, write_documents
from datacube.store.layout import PlaneSpec
from tests.scenes import BANDS, SHAPE, new_cube, pixels, scene, small_grid
from tests.stac_check import check_stac

CARD = {
    "id": "model-x4", "title": "A model", "description": "Makes pixels for a test.", "factor": 4,
    "halo_px": 6, "bands": ["B04", "B08"], "psf": "none", "training_data": "none",
    "licence": "Apache-2.0", "limits": "none are known", "weights_sha256": "ab" * 32,
    "settings": {},
}  # fmt: skip
SPEC = ProductSpec(
    "sr/model-x4-abababab", 4, ("B04", "B08"), {"model_card": CARD, "inferred": True}
)
EVERYTHING = Window(0, 0, *SHAPE)


def filled(root: Path, *days: int) -> Cube:
    cube = new_cube(root)
    for day in days:
        cube = cube.append(scene(day), pixels(day))
    return cube


def test_what_leaves_a_simulated_cube_comes_back_as_simulated(tmp_path: Path) -> None:
    catalog = Catalog(open_storage(tmp_path / "catalog"))
    build_simulated(catalog, "ground", size=DemoSize(shape=(40, 56), dates=1, truth_dates=1))
    (file,) = export("ground", catalog.open("ground"), tmp_path / "2025-06-01.tif", Request())
    assert len(take_in(catalog, "again", [file]).taken) == 1
    attributes = catalog.open("again").attributes
    assert attributes["simulated"] is True
    assert attributes["attribution"] == "Simulated by srcube"
    assert "no pixel of it was ever measured" in attributes["notice"]


def test_what_a_model_made_is_not_taken_in_as_measured(tmp_path: Path) -> None:
    cube, _ = with_product(tmp_path, (0, 0))
    (file,) = export("field", cube, tmp_path / "2025-06-01.tif", Request(product=SPEC.path))
    catalog = Catalog(open_storage(tmp_path / "catalog"))
    with pytest.raises(InvalidInput, match="not measured; take in what it was made from"):
        take_in(catalog, "again", [file])


def with_product(root: Path, *blocks: tuple[int, int]) -> tuple[Cube, dict[tuple[int, int], Any]]:
    """A cube with a product of which some blocks are computed for its one scene."""
    product = Product.ensure(filled(root, 5), SPEC)
    made = {}
    for block in blocks:
        window = product.block_window(block).scaled(4)
        random = np.random.default_rng(sum(block))
        dn = random.integers(1, 9000, (2, window.height, window.width), dtype=np.uint16)
        product.write_block(0, block, dn)
        made[block] = dn
    return Catalog(open_storage(root)).open("field"), made


def box_of(window: Window) -> tuple[float, float, float, float]:
    """A box of degrees around the inner pixels of a window; it turns against the grid."""
    left, bottom, right, top = small_grid().cropped(window).bounds
    to_degrees = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    west, south = to_degrees.transform(left + 4, bottom + 4)
    east, north = to_degrees.transform(right - 4, top - 4)
    return west, south, east, north


def test_a_scene_leaves_as_a_cog_that_says_what_it_is(tmp_path: Path) -> None:
    cube = filled(tmp_path, 5)
    out = tmp_path / "out" / "scene.tif"
    assert export("field", cube, out, Request()) == [out]
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(), pixels(5).dn)
        assert file.descriptions == BANDS
        assert file.crs.to_epsg() == 32632
        assert file.transform == cube.grid.transform
        assert (set(file.scales), set(file.offsets), file.nodata) == ({1e-4}, {-0.1}, 0)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        tags = file.tags()
        facts = json.loads(tags["SRCUBE_PROVENANCE"])
    assert tags["datetime"] == "2024-01-05T10:30:00Z"
    assert (facts["cube"], facts["scene"], facts["product"]) == ("field", "S2X_05", "measurement")
    assert facts["cube_uid"] == cube.root.commit.uid
    assert not facts["inferred"]
    with rasterio.open(out.with_name("scene_SCL.tif")) as file:
        np.testing.assert_array_equal(file.read(1), pixels(5).scl)
    item = json.loads(out.with_suffix(".json").read_text())
    check_stac(item)
    asset = item["assets"]["data"]
    assert [band["name"] for band in asset["bands"]] == list(BANDS)
    assert (asset["raster:scale"], asset["raster:offset"]) == (1e-4, -0.1)
    assert item["properties"]["proj:code"] == "EPSG:32632"


def test_a_box_cuts_out_its_pixels(tmp_path: Path) -> None:
    cube = filled(tmp_path, 5)
    box = box_of(Window(41, 63, 130, 52))
    window = cube.grid.window_of(lonlat_bbox=box)
    assert 130 <= window.height < 136
    out = tmp_path / "cut.tif"
    export("field", cube, out, Request(bbox=box))
    with rasterio.open(out) as file:
        assert file.transform == cube.grid.cropped(window).transform
        np.testing.assert_array_equal(file.read(), pixels(5).dn[:, *window.slices])
    with rasterio.open(tmp_path / "cut_SCL.tif") as file:
        expected = pixels(5).scl
        assert expected is not None
        np.testing.assert_array_equal(file.read(1), expected[window.slices])


def test_what_was_exported_is_taken_in_as_the_same_scenes(tmp_path: Path) -> None:
    cube = filled(tmp_path, 9, 5)
    export("field", cube, tmp_path / "out", Request())
    plan = plan_source(tmp_path / "out", Given())
    assert not plan.refusals
    assert [one.scene.stamp for one in plan.scenes] == [one.scene.stamp for one in cube.scenes]
    assert plan.scenes[0].reflective == BANDS
    assert plan.scenes[0].bands["B04"].grid == cube.grid
    assert plan.scenes[0].bands["B04"].calibration.shift == 0


def test_a_product_leaves_with_its_card_and_says_it_is_inferred(tmp_path: Path) -> None:
    cube, made = with_product(tmp_path, (0, 0), (1, 1), (2, 0))
    out = tmp_path / "sr.tif"
    export("field", cube, out, Request(product=SPEC.path))
    with rasterio.open(out) as file:
        assert file.shape == (1200, 804)
        assert file.transform == cube.grid.refined(4).transform
        assert file.descriptions == ("B04", "B08")
        values = file.read()
        tags = file.tags()
    np.testing.assert_array_equal(values[:, :512, :512], made[0, 0])
    np.testing.assert_array_equal(values[:, 512:1024, 512:], made[1, 1])
    np.testing.assert_array_equal(values[:, 1024:, :512], made[2, 0])
    assert not values[:, :512, 512:].any()
    facts = json.loads(tags["SRCUBE_PROVENANCE"])
    assert facts["inferred"]
    assert facts["model_card"]["weights_sha256"] == CARD["weights_sha256"]
    assert (facts["blocks_computed"], facts["blocks_touched"]) == (3, 6)
    assert "inferred, not measured" in tags["TIFFTAG_IMAGEDESCRIPTION"]
    check_stac(json.loads(out.with_suffix(".json").read_text()))


PLANES = (
    PlaneSpec("sigma", "expected error", "1", 1e-4),
    PlaneSpec("warnings", "what to be wary of", "", 1.0, ("cloudy", "edge")),
)


def with_planes(root: Path) -> tuple[Cube, dict[str, Any]]:
    """A cube with a product that keeps planes; of one of its blocks there are values."""
    product = Product.ensure(filled(root, 5), replace(SPEC, planes=PLANES))
    random = np.random.default_rng(3)
    made: dict[str, Any] = {
        "reflectance": random.integers(1, 9000, (2, 512, 512), dtype=np.uint16),
        "sigma": PLANES[0].encode(random.uniform(0, 0.05, (512, 512))),
        "warnings": random.integers(0, 8, (512, 512)).astype(np.uint16) | 1,
    }
    made["sigma"][7:40, 3:19] = 0
    for name, dn in made.items():
        product.write_block(0, (1, 0), dn, variable=name)
    return Catalog(open_storage(root)).open("field"), made


def test_planes_of_a_product_leave_beside_it_when_asked(tmp_path: Path) -> None:
    cube, made = with_planes(tmp_path)
    out = tmp_path / "sr.tif"
    export("field", cube, out, Request(product=SPEC.path))
    assert not (tmp_path / "sr_sigma.tif").exists()
    export("field", cube, out, Request(product=SPEC.path, planes=True))
    with rasterio.open(tmp_path / "sr_sigma.tif") as file:
        np.testing.assert_array_equal(file.read(1)[512:1024, :512], made["sigma"])
        assert not file.read(1)[:512].any()
        assert (file.scales, file.offsets, file.nodata) == ((1e-4,), (-1e-4,), 0)
        assert file.descriptions == ("sigma",)
        assert file.transform == cube.grid.refined(4).transform
        assert file.tags()["long_name"] == "expected error"
        assert json.loads(file.tags()["SRCUBE_PROVENANCE"])["inferred"]
    with rasterio.open(tmp_path / "sr_warnings.tif") as file:
        np.testing.assert_array_equal(file.read(1)[512:1024, :512], made["warnings"])
        assert file.tags()["flag_meanings"] == "computed cloudy edge"
        coarse = file.read(1, out_shape=(600, 402), resampling=Resampling.nearest)
        assert set(np.unique(coarse)) <= {0, 1, 3, 5, 7}  # an overview never mixes flags
    item = json.loads(out.with_suffix(".json").read_text())
    check_stac(item)
    assert set(item["assets"]) == {"data", "sigma", "warnings"}
    sigma = item["assets"]["sigma"]
    assert (sigma["raster:scale"], sigma["raster:offset"]) == (1e-4, -1e-4)
    assert "cloudy" in item["assets"]["warnings"]["description"]


def test_planes_leave_as_variables_of_a_netcdf(tmp_path: Path) -> None:
    cube, made = with_planes(tmp_path)
    out = tmp_path / "sr.nc"
    export("field", cube, out, Request(product=SPEC.path, planes=True, format="netcdf"))
    with xr.open_dataset(out, mask_and_scale=False) as file:
        np.testing.assert_array_equal(file.sigma[0, 512:1024, :512], made["sigma"])
        np.testing.assert_array_equal(file.warnings[0, 512:1024, :512], made["warnings"])
        assert file.warnings.attrs["flag_meanings"] == "computed cloudy edge"
        assert file.sigma.attrs["scale_factor"] == 1e-4
    with pytest.raises(InvalidInput, match="no planes"):
        Request(planes=True)


@pytest.mark.parametrize(
    "window", [Window(500, 500, 30, 40), Window(0, 0, 1200, 804), Window(1030, 3, 170, 99)]
)
def test_any_window_of_a_product_is_put_together_rightly(tmp_path: Path, window: Window) -> None:
    blocks = [(row, col) for row in range(3) for col in range(2)]
    cube, made = with_product(tmp_path, *blocks)
    whole = np.zeros((2, 1200, 804), np.uint16)
    for (row, col), dn in made.items():
        whole[:, row * 512 : row * 512 + 512, col * 512 : col * 512 + 512] = dn
    found = product_window(Product.open(cube, SPEC.path), 0, window)
    np.testing.assert_array_equal(found, whole[:, *window.slices])


def test_several_scenes_leave_as_one_netcdf(tmp_path: Path) -> None:
    cube = filled(tmp_path, 9, 2, 5)
    box = box_of(Window(41, 63, 130, 52))
    window = cube.grid.window_of(lonlat_bbox=box)
    out = tmp_path / "some.nc"
    request = Request(interval=parse_interval("2024-01-03/2024-01-31"), bbox=box, format="netcdf")
    assert export("field", cube, out, request) == [out]
    with xr.open_dataset(out) as file:
        assert file.B04.dims == ("time", "y", "x")
        assert file.scene_id.values.tolist() == ["S2X_05", "S2X_09"]
        assert set(file.data_vars) - {"scene_id"} == {*BANDS, "SCL"}
        for name, plane in zip(BANDS, reflectance_from_dn(pixels(5).dn), strict=True):
            np.testing.assert_allclose(file[name][0], plane[window.slices], atol=1e-6)
        np.testing.assert_array_equal(file.x, cube.grid.cropped(window).centres()[1])
        facts = json.loads(file.attrs["srcube_provenance"])
        assert [one["scene"] for one in facts] == ["S2X_05", "S2X_09"]
        assert "32632" in file.spatial_ref.attrs["spatial_ref"]
    with xr.open_dataset(out, mask_and_scale=False) as file:
        assert file.B08.dtype == np.uint16
        assert file.B08.attrs["grid_mapping"] == "spatial_ref"
        np.testing.assert_array_equal(file.B08[1], pixels(9).dn[3][window.slices])
        np.testing.assert_array_equal(file.SCL[1], pixels(9).scl[window.slices])  # type: ignore[index]


def test_a_netcdf_that_left_can_be_taken_in(tmp_path: Path) -> None:
    cube = filled(tmp_path, 9, 5)
    out = tmp_path / "out.nc"
    export("field", cube, out, Request(format="netcdf"))
    plan = plan_source(out, Given())
    assert not plan.refusals
    assert [one.scene.stamp for one in plan.scenes] == [one.scene.stamp for one in cube.scenes]
    assert plan.scenes[0].bands["B08"].grid == cube.grid


@pytest.mark.parametrize(
    ("out", "request_", "reason"),
    [
        ("a.tif", Request(), "2 scenes"),
        ("a.png", Request(), "folder"),
        ("a.tif", Request(format="netcdf"), "nc"),
        ("a.tif", Request(bbox=(float("nan"), 0, 1, 1)), "finite"),
        ("a.tif", Request(bbox=(11, 45, 10, 46)), "antimeridian"),
        ("a.tif", Request(bbox=(-60, -10, -59, -9)), "does not touch"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_in_one_line(
    tmp_path: Path, out: str, request_: Request, reason: str
) -> None:
    cube = filled(tmp_path, 5, 9)
    with pytest.raises(InvalidInput, match=reason) as caught:
        export("field", cube, tmp_path / "out" / out, request_)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    cube, _ = with_product(tmp_path, (0, 0))
    corner = Window(260, 140, 20, 20)
    for request in (
        Request(interval=parse_interval("2020-01-01")),
        Request(product="sr/none"),
        Request(product=SPEC.path, bbox=box_of(corner)),
    ):
        with pytest.raises(NotFound):
            export("field", cube, tmp_path / "a.tif", request)
    with pytest.raises(InvalidInput, match="cog or netcdf"):
        Request(format="gif")
    assert not (tmp_path / "a.tif").exists()


def test_a_cube_describes_itself_as_stac(tmp_path: Path) -> None:
    cube = filled(tmp_path, 9, 5)
    collection = describe.cube_collection("field", cube)
    check_stac(collection)
    dimensions = collection["cube:dimensions"]
    assert [dimensions[name]["type"] for name in ("x", "y", "time", "band")] == [
        "spatial", "spatial", "temporal", "bands",
    ]  # fmt: skip
    y, x = cube.grid.centres()
    assert dimensions["x"]["extent"] == [x[0], x[-1]]
    assert dimensions["y"]["extent"] == [y[-1], y[0]]
    assert dimensions["x"]["reference_system"] == 32632
    assert dimensions["band"]["values"] == list(BANDS)
    for variable in collection["cube:variables"].values():
        assert set(variable["dimensions"]) <= set(dimensions)
    assert collection["extent"]["temporal"]["interval"] == [
        ["2024-01-05T10:30:00Z", "2024-01-09T10:30:00Z"]
    ]
    for one in cube.scenes:
        item = describe.scene_item("field", cube, one)
        check_stac(item)
        assert item["assets"]["r10m"]["proj:shape"] == list(SHAPE)
        assert item["assets"]["r20m"]["proj:transform"][0] == 20
        for asset in item["assets"].values():
            assert 0.4 < asset["bands"][0]["eo:center_wavelength"] < 2.5
            assert asset["bands"][0]["eo:common_name"] == "blue"
    check_stac(describe.cube_collection("empty", new_cube(tmp_path, cube_id="empty")))


def test_a_product_and_its_model_describe_themselves_as_stac(tmp_path: Path) -> None:
    cube, _ = with_product(tmp_path, (0, 0))
    product = Product.open(cube, SPEC.path)
    collection = describe.product_collection("field", product)
    check_stac(collection)
    assert collection["srcube:inferred"]
    item = describe.product_item("field", product, cube.scenes[0])
    check_stac(item)
    assert item["collection"] == collection["id"]
    assert {link["rel"] for link in item["links"]} >= {"derived_from", "collection", "about"}
    assert item["assets"]["r2.5m"]["gsd"] == 2.5
    model = describe.model_item("field", product)
    assert model is not None
    check_stac(model)
    properties = model["properties"]
    # Required by the mlm extension: these fields, and an asset in the role of the model.
    for name in ("name", "architecture", "tasks", "input", "output"):
        assert properties[f"mlm:{name}"]
    assert properties["mlm:input"][0]["input"]["dim_order"][1] == "channel"
    named = [band["name"] for band in properties["bands"]]
    assert properties["bands"] == model["assets"]["card"]["bands"]
    assert properties["mlm:input"][0]["bands"] == named == ["B04", "B08"]
    assert any("mlm:model" in asset["roles"] for asset in model["assets"].values())
    assert properties["srcube:weights_sha256"] == CARD["weights_sha256"]


def test_a_static_catalog_of_a_cube_can_be_walked(tmp_path: Path) -> None:
    cube, _ = with_product(tmp_path, (1, 1))
    cube = cube.append(scene(9), pixels(9))
    out = tmp_path / "stac"
    written = write_documents("field", cube, out)
    assert {path.relative_to(out).as_posix() for path in written} == {
        "collection.json",
        "S2X_05.json",
        "S2X_09.json",
        "sr-model-x4-abababab/collection.json",
        "sr-model-x4-abababab/model.json",
        "sr-model-x4-abababab/S2X_05-sr-model-x4-abababab.json",
    }
    root = pystac.Collection.from_file(str(out / "collection.json"))
    assert [item.id for item in root.get_items()] == ["S2X_05", "S2X_09"]
    (child,) = root.get_children()
    assert {item.id for item in child.get_items()} == {
        "model-x4-model",
        "S2X_05-sr-model-x4-abababab",
    }
    for path in written:
        document = json.loads(path.read_text())
        check_stac(document)
        for link in document["links"]:
            assert (path.parent / link["href"]).is_file()
        for asset in document["assets"].values():
            assert (path.parent / asset["href"]).exists()


def test_a_grid_across_the_antimeridian_has_two_parts() -> None:
    grid = Grid.from_origin("EPSG:32701", left=150_000, top=8_200_000, gsd_m=10, shape=(900, 1100))
    bbox, geometry = footprint_of(grid)
    across = bbox[0] > bbox[2]
    assert geometry["type"] == ("MultiPolygon" if across else "Polygon")
    plain_box, plain = footprint_of(small_grid())
    assert plain["type"] == "Polygon"
    ring = np.array(plain["coordinates"][0])
    assert ring[0].tolist() == ring[-1].tolist()
    assert (ring.min(axis=0) >= np.array(plain_box[:2]) - 1e-6).all()
    area = 0.5 * np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1])
    assert area > 0  # counter-clockwise


def test_a_composite_describes_itself_as_stac(tmp_path: Path) -> None:
    cube = new_cube(tmp_path)
    for day in (3, 9):
        clear = np.full(SHAPE, 4, np.uint8)
        cube = cube.append(scene(day), ScenePixels(pixels(day).dn, clear))
    catalog = Catalog(open_storage(tmp_path))
    spec = CompositeSpec("month", "median")
    made = make_composite(catalog, "field", spec, target_id="monthly")
    documents = cube_documents("monthly", made)
    assert len(documents) == 2
    for document in documents.values():
        check_stac(document)


def test_what_a_catalog_said_in_older_words_does_not_spoil_an_item(tmp_path: Path) -> None:
    older = {"proj:epsg": 32632, "eo:gsd": 10, "eo:cloud_cover": 3.5, "processing:level": "L2A",
             "s2:mean_solar_zenith": 30.5, "raster:bands": "none"}  # fmt: skip
    cube = new_cube(tmp_path).append(replace(scene(5), properties=older), pixels(5))
    item = describe.scene_item("field", cube, cube.scenes[0])
    check_stac(item)
    assert (item["properties"]["eo:cloud_cover"], "proj:epsg" in item["properties"]) == (3.5, False)


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("properties", "proj:epsg", 32632),
        ("properties", "eo:cloud_cover", 101),
        ("properties", "eo:gsd", 10),
        ("properties", "processing:level", 2),
        ("r10m", "proj:shape", [1]),
        ("r10m", "raster:scale", "1e-4"),
        ("r10m", "raster:bands", []),
    ],
)
def test_the_check_of_documents_finds_what_is_wrong(
    tmp_path: Path, place: str, key: str, value: Any
) -> None:
    cube = filled(tmp_path, 5)
    item = describe.scene_item("field", cube, cube.scenes[0])
    check_stac(item)
    (item["properties"] if place == "properties" else item["assets"][place])[key] = value
    with pytest.raises(AssertionError, match="S2X_05: " + key.partition(":")[0]):
        check_stac(item)
