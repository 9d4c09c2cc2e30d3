"""`srcube fuse` of a cube: to a file, into the cube, and what it refuses."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import typer
from typer.testing import CliRunner

from datacube import Cube, Product, Scene, ScenePixels, open_storage
from datacube.errors import InvalidInput, NotFound
from datacube.scene import dn_from_reflectance
from sr_engine import cli
from sr_engine.blocks import product_path
from sr_engine.fusion.trial import Trial, TrialPlan, simulate_trial
from sr_engine.registry import find_model
from tests.scenes import BANDS, new_cube, scene

SHAPE = (140, 60)


@pytest.fixture(scope="module")
def trial() -> Trial:
    return simulate_trial(TrialPlan(shape=SHAPE, bands=BANDS, dates=4, seed=2))


@pytest.fixture
def root(tmp_path: Path, trial: Trial) -> Path:
    cube = new_cube(tmp_path / "data", SHAPE)
    first = scene(1)
    for day, values in enumerate(trial.observations):
        classes = np.full(SHAPE, 4, np.uint8)
        if day == 3:
            classes[:110] = 9
        one = Scene(f"S2X_{day:02d}", first.datetime + timedelta(days=5 * day))
        cube = cube.append(one, ScenePixels(dn_from_reflectance(values), classes))
    return tmp_path / "data"


def run(*arguments: str) -> str:
    app = typer.Typer()
    cli.register(app)
    result = CliRunner().invoke(app, ["fuse", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_a_cube_by_id_becomes_a_file_that_says_where_it_comes_from(
    root: Path, trial: Trial, tmp_path: Path
) -> None:
    out = tmp_path / "results" / "fused.tif"
    text = run("field", str(out), "--data", str(root), "--datetime", "2024-01-06", "--n-obs", "3")
    assert text.count("px  used") == 3
    cube = Cube.open(open_storage(root / "field.zarr"))
    with rasterio.open(out) as answer:
        assert answer.descriptions[4:] == tuple(f"{band}_sigma" for band in BANDS)
        assert answer.transform == cube.grid.refined(2).transform
        tags = answer.tags()
    assert json.loads(tags["SRCUBE_DATES"]) == [
        f"2024-01-{day:02d}T10:30:00Z" for day in (1, 6, 11)
    ]
    assert json.loads(tags["SRCUBE_SETTINGS"])["reference"] == 1
    assert json.loads(tags["SRCUBE_ORIGIN"])["cube_uid"] == cube.root.commit.uid
    shifts = np.array(json.loads(tags["SRCUBE_SHIFTS_PX"]))
    np.testing.assert_allclose(shifts, trial.shifts_px[:3] - trial.shifts_px[1], atol=0.03)


def test_a_cube_by_path_is_cropped_and_its_clearest_dates_are_taken(
    root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "fused.tif"
    place = str(root / "field.zarr")
    text = run(place, str(out), "--crop", "40", "--n-obs", "3", "--save-png")
    assert "2024-01-16" not in text
    with rasterio.open(out) as answer:
        assert (answer.height, answer.width) == (80, 80)
    assert out.with_suffix(".png").exists()


def test_iterative_methods_tell_their_loss_as_it_falls(root: Path, tmp_path: Path) -> None:
    text = run(
        *(str(root / "field.zarr"), str(tmp_path / "fused.tif"), "--crop", "24"),
        *("--method", "adam", "--c2f-levels", "2", "--n-obs", "2"),
    )
    losses = [float(line.split()[-1]) for line in text.splitlines() if "iteration" in line]
    assert len(losses) >= 2
    assert losses[-1] < losses[0]


def test_into_the_cube_every_block_becomes_a_layer_once(root: Path) -> None:
    text = run("field", "--data", str(root), "--datetime", "2024-01-06", "--into-cube")
    assert "block 2 of 2" in text
    cube = Cube.open(open_storage(root / "field.zarr"))
    product = Product.open(cube, product_path(cube, find_model("fusion-x2")))
    assert str(product.path) in text
    assert all(product.has_block(1, block) for block in ((0, 0), (1, 0)))
    assert not product.has_block(0, (0, 0))
    assert product.read_block(1, (1, 0), variable="sigma") is not None


def test_what_cannot_be_done_is_refused_by_name(root: Path, tmp_path: Path) -> None:
    out, data = str(tmp_path / "fused.tif"), ("--data", str(root))
    with pytest.raises(InvalidInput, match="OUT"):
        run("field", *data)
    with pytest.raises(InvalidInput, match="--psf, --method"):
        run("field", *data, "--into-cube", "--psf", "0.5", "--method", "adam")
    with pytest.raises(NotFound, match="fusion-x8"):
        run("field", *data, "--into-cube", "--factor", "8")
    with pytest.raises(NotFound, match="no scene"):
        run("field", out, *data, "--datetime", "1999-01-01/1999-12-31")
    with pytest.raises(NotFound, match="elsewhere"):
        run("elsewhere", out, *data)
    with pytest.raises(NotFound, match="neither a folder"):
        run("./No such place", out, *data)
