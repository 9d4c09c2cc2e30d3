"""Explanations over HTTP and by the command: the numbers, the pictures, and every refusal."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from datacube import Cube, ScenePixels, Window
from datacube.cog import RasterSpec, write_cog
from datacube.scene import dn_from_reflectance, reflectance_from_dn
from datacube.settings import Settings
from server.explain import Explainer
from server.main import app
from sr_engine.explain.dates import date_parts
from sr_engine.fusion.model import FusionModel
from sr_engine.scenes.source import CubeScene
from sr_engine.threads import use_one_thread
from tests.conftest import serving
from tests.scenes import BANDS, new_cube, scene, small_grid
from tests.small_nets import landscape_pair

runner = CliRunner()
Found = dict[str, object]

MOST = 4


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    use_one_thread()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with a cube `field`: four dates of one place, holes in all of them."""
    folder = tmp_path_factory.mktemp("explained")
    image = landscape_pair()[0].copy()
    image[:, 40:52, 60:75] = np.nan
    image[:, 70:90, 10:90] = np.where(np.isnan(image[:, 70:90, 10:90]), np.nan, 0.2)
    cube = new_cube(folder, (image.shape[1], image.shape[2]))
    random = np.random.default_rng(4)
    for day in range(1, 5):
        noisy = image + random.normal(0, 0.001, image.shape)
        noisy[:, 70:90, 10:90] = 0.2
        classes = np.full(image.shape[1:], 4, np.uint8)
        cube = cube.append(scene(day), ScenePixels(dn_from_reflectance(noisy), classes))
    return folder


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    with serving(Settings(data=str(root), port=0, limit_explanations=MOST)) as address:
        yield address


def degrees(row: float, col: float) -> list[float]:
    from pyproj import Transformer  # noqa: PLC0415

    grid = small_grid(landscape_pair()[0].shape[1:])
    x, y = grid.transform @ (col, row)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return [lon, lat]


def ask(url: str, **changes: object) -> httpx.Response:
    inputs: Found = {"collection": "field", "model": "wiener-x2", "position": degrees(30, 40)}
    body = {"inputs": inputs | changes}
    return httpx.post(url + "/processes/explain/execution", json=body, timeout=60)


def test_a_click_is_answered_at_once_with_numbers_and_pictures(url: str) -> None:
    answer = ask(url)
    assert answer.status_code == 200
    found = answer.json()
    assert found["window"]["row"] == 30 - 8
    assert found["window"]["col"] == 40 - 8
    assert 0 < found["diffusion_index"] < 100
    assert found["completeness_error"] < 0.01
    assert sum(found["shares"]["bands"].values()) == pytest.approx(1)
    pictures = {}
    for name, uri in found["pictures"].items():
        kind, _, data = uri.partition("base64,")
        assert kind == "data:image/png;"
        pictures[name] = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert pictures["input"].shape == pictures["attribution"].shape == (28, 28, 3)
    assert pictures["sr"].shape == (32, 32, 3)
    assert found["inner"] == {"row": 6, "col": 6, "height": 16, "width": 16}
    west, north = found["seen"]["lonlat_ring"][0]
    assert west < found["window"]["lonlat_ring"][0][0]
    assert north > found["window"]["lonlat_ring"][0][1]


def test_of_a_fusion_the_dates_are_told(url: str) -> None:
    found = ask(url, model="fusion-x2", size=24).json()
    dates = found["shares"]["dates"]
    assert len(dates) == 4
    assert sum(dates.values()) == pytest.approx(1, abs=1e-4)
    assert max(dates.values()) < 0.9
    assert "diffusion_index" not in found


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"position": [3.0, 4.0]}, 422, "outside the scene"),
        ({"position": degrees(46, 67), "size": 6}, 422, "no data"),
        ({"position": degrees(80, 40), "size": 8}, 422, "constant"),
        ({"position": [400, 4]}, 422, "position"),
        ({"position": [10]}, 422, "position"),
        ({"size": 65}, 422, "size"),
        ({"model": "wiener-x9"}, 404, "models are"),
        ({"model": "nothing"}, 404, "models are"),
        ({"collection": "elsewhere"}, 404, "elsewhere"),
        ({"datetime": "2020-01-01"}, 404, "no scene"),
        ({"more": 1}, 422, "more"),
    ],
)
def test_what_cannot_be_explained_is_a_problem_in_one_line(
    url: str, changes: Found, status: int, said: str
) -> None:
    answer = ask(url, **changes)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_the_process_is_listed_and_described(url: str) -> None:
    listed = httpx.get(url + "/processes").json()["processes"]
    (entry,) = [one for one in listed if one["id"] == "explain"]
    assert entry["jobControlOptions"] == ["sync-execute"]
    inputs = httpx.get(url + "/processes/explain").json()["inputs"]
    assert {"collection", "datetime", "model", "position", "size"} <= set(inputs)


def test_many_at_once_are_refused_and_those_in_the_queue_answered(url: str) -> None:
    count = 3 * MOST
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda _: ask(url, size=64), range(count)))
    statuses = {one.status_code for one in answers}
    assert statuses <= {200, 429}
    assert sum(one.status_code == 200 for one in answers) >= MOST
    refused = [one for one in answers if one.status_code == 429]
    assert all(one.headers["retry-after"] for one in refused)
    assert ask(url).status_code == 200


def test_a_full_queue_has_room_again_when_an_answer_is_given() -> None:
    explainer = Explainer(3)
    for _ in range(3):
        assert explainer.places.acquire(blocking=False)
    assert not explainer.places.acquire(blocking=False)
    explainer.places.release()
    assert explainer.places.acquire(blocking=False)


def test_parts_of_dates_sum_to_the_fusion(root: Path) -> None:
    from datacube import Catalog, open_storage  # noqa: PLC0415

    cube: Cube = Catalog(open_storage(root)).open("field")
    model = FusionModel(2)
    slot = cube.scenes[1].slot
    inside = date_parts(model, cube, slot, Window(20, 22, 14, 18))
    answer = model.predict_window(cube, slot, Window(20, 22, 14, 18)).reflectance
    means = model.prepared(cube, slot).settled.means[:, None, None]
    total = inside.parts.sum(axis=0) + means
    assert inside.completeness_error < 0.02
    np.testing.assert_allclose(total, answer, atol=0.02 * float(np.nanstd(answer)))
    assert sum(inside.shares().values()) == pytest.approx(1)
    edge = date_parts(model, cube, slot, Window(-3, -3, 12, 12))
    assert edge.parts.shape[2:] == (18, 18)
    holed = date_parts(model, cube, slot, Window(38, 56, 16, 24))
    assert np.isnan(holed.parts[:, :, 4:24, 8:36]).any()
    assert sum(holed.shares().values()) == pytest.approx(1)


def test_a_date_alone_has_all_of_it(tmp_path: Path) -> None:
    image = landscape_pair()[0]
    cube = new_cube(tmp_path, image.shape[1:])
    classes = np.full(image.shape[1:], 4, np.uint8)
    cube = cube.append(scene(1), ScenePixels(dn_from_reflectance(image), classes))
    found = date_parts(FusionModel(2), cube, 0, Window(30, 40, 12, 10))
    assert list(found.shares().values()) == pytest.approx([1], abs=0.02)


def geotiff(folder: Path) -> Path:
    image = landscape_pair()[0]
    path = folder / "place.tif"
    spec = RasterSpec(small_grid(image.shape[1:]), BANDS)
    dn = dn_from_reflectance(image)
    write_cog(path, spec, lambda window: dn[:, *window.slices])
    return path


def test_the_command_writes_a_picture_and_the_facts_for_a_file(tmp_path: Path) -> None:
    path = geotiff(tmp_path)
    out = tmp_path / "why"
    done = runner.invoke(
        app,
        ["explain", str(path), "--at", "600410,4999720", "--model", "wiener-x2", "--out", str(out)],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    (facts,) = out.glob("*.json")
    found = json.loads(facts.read_text())
    assert (found["window"]["row"], found["window"]["col"]) == (30 - 8, 40 - 8)
    assert found["middle_pixel"]["band_shares"]["B08"]["B08"] == pytest.approx(1)
    (picture,) = out.glob("*.png")
    assert np.asarray(Image.open(picture)).std() > 20
    assert "diffusion_index" in done.output


def test_the_command_explains_a_date_of_a_cube_by_occlusion(root: Path, tmp_path: Path) -> None:
    lon, lat = degrees(30, 40)
    done = runner.invoke(
        app,
        [
            "explain", "field", "--data", str(root), "--datetime", "2024-01-02",
            f"--at-lonlat={lon},{lat}", "--model", "bicubic-x2", "--method", "occlusion",
            "--size", "8", "--out", str(tmp_path),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (facts,) = tmp_path.glob("*.json")
    found = json.loads(facts.read_text())
    assert set(found["lost_without_band"]) == set(BANDS)
    assert found["window"]["row"] == 26


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "need a place"),
        (["--at", "1,2", "--at-lonlat", "1,2"], "need a place"),
        (["--at", "one,two"], "two numbers"),
        (["--at", "1,2"], "outside the scene"),
        (["--at", "600410,4999720", "--model", "fusion-x2"], "several dates"),
        (["--at", "600410,4999720", "--method", "guess"], "attribution or occlusion"),
        (["--at", "600410,4999720", "--size", "0"], "1 to 256"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    done = runner.invoke(app, ["explain", str(geotiff(tmp_path)), *options])
    assert isinstance(done.exception, Exception)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_what_is_explained_is_what_the_cube_holds(root: Path) -> None:
    from datacube import Catalog, open_storage  # noqa: PLC0415

    cube = Catalog(open_storage(root)).open("field")
    source = CubeScene(cube, cube.scenes[2])
    read = source.read(BANDS, Window(10, 12, 5, 6), 0)
    known = reflectance_from_dn(cube.window_dn(cube.scenes[2].slot, BANDS, Window(10, 12, 5, 6)))
    np.testing.assert_array_equal(read, known)
