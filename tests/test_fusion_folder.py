"""From a folder of dates to a COG by the command, and the experiments' files."""

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
import typer
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from datacube.errors import InvalidInput, NotFound
from datacube.grid import Grid
from sr_engine import cli
from sr_engine.fusion import experiments
from sr_engine.fusion.folder import Choice, read_folder
from sr_engine.fusion.trial import Trial, TrialPlan, simulate_trial

SHAPE = (40, 52)
GRID = Grid.from_origin("EPSG:32632", left=500_020, top=5_200_040, gsd_m=10, shape=SHAPE)
DATES = ("20250401", "20250411", "20250421", "20250501")


@cache
def trial() -> Trial:
    return simulate_trial(TrialPlan(shape=SHAPE, bands=("B02", "B03", "B04"), dates=4, seed=2))


def write_date(
    path: Path, values: NDArray[np.float32], grid: Grid = GRID, names: tuple[str, ...] = ()
) -> None:
    profile = {
        "driver": "GTiff",
        "dtype": "uint16",
        "nodata": 0,
        "count": len(values),
        "height": grid.shape[0],
        "width": grid.shape[1],
        "crs": grid.crs,
        "transform": grid.transform,
    }
    with rasterio.open(path, "w", **profile) as out:
        out.write(np.clip(np.rint(values * 10_000), 1, 65_535).astype(np.uint16))
        out.scales = [1e-4] * len(values)
        for i, name in enumerate(names or ("B02", "B03", "B04")[: len(values)]):
            out.set_band_description(i + 1, name)


def write_classes(path: Path, classes: NDArray[np.uint8], gsd_m: float) -> None:
    grid = Grid.from_origin("EPSG:32632", left=500_020, top=5_200_040, gsd_m=gsd_m, shape=SHAPE)
    height, width = classes.shape
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": height, "width": width}
    with rasterio.open(path, "w", crs=grid.crs, transform=grid.transform, **profile) as out:
        out.write(classes[None])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dates = tmp_path / "dates"
    dates.mkdir()
    for name, values in zip(DATES, trial().observations, strict=True):
        write_date(dates / f"{name}.tif", values)
    (dates / "notes.txt").write_text("not a date")
    return dates


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def picture_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    cli.register(app)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_the_command_writes_a_georeferenced_answer_with_sigma_and_settings(folder: Path) -> None:
    out = folder.parent / "fused.tif"
    code, text = run("fuse", str(folder), str(out), "--save-png")
    assert code == 0
    assert "20250411" in text
    with rasterio.open(out) as answer:
        assert answer.descriptions == (
            *("B02", "B03", "B04"),
            *("B02_sigma", "B03_sigma", "B04_sigma"),
        )
        assert (answer.height, answer.width) == (80, 104)
        assert answer.transform == GRID.refined(2).transform
        assert answer.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        tags = answer.tags()
        assert json.loads(tags["SRCUBE_DATES"]) == list(DATES)
        assert json.loads(tags["SRCUBE_SETTINGS"])["method"] == "closed_form"
        shifts = np.array(json.loads(tags["SRCUBE_SHIFTS_PX"]))
        np.testing.assert_allclose(shifts, trial().shifts_px, atol=0.02)
        error = answer.read([1, 2, 3]) - trial().truth(2)
        assert np.sqrt(np.mean(error**2)) < 0.05
    assert picture_size(out.with_suffix(".png")) == (3 * 104, 80)


def test_a_classification_of_twice_the_pixel_hides_its_clouds(folder: Path) -> None:
    classes = np.full((20, 26), 4, dtype=np.uint8)
    classes[3:7, 10:] = 9
    write_classes(folder / "20250411_SCL.tif", classes, 20)
    stack = read_folder(folder, Choice())
    hidden = np.zeros(SHAPE, dtype=bool)
    hidden[6:14, 20:] = True
    assert (np.isnan(stack.observations[1]) == hidden).all()
    assert np.isfinite(stack.observations[0]).all()


def test_the_clearest_dates_are_taken_in_order_of_time(folder: Path) -> None:
    classes = np.full(SHAPE, 4, dtype=np.uint8)
    classes[:20] = 8
    write_classes(folder / "20250411_SCL.tif", classes, 10)
    assert read_folder(folder, Choice(n_obs=3)).dates == ("20250401", "20250421", "20250501")


def test_an_interval_and_a_crop_choose_part_of_the_folder(folder: Path) -> None:
    stack = read_folder(folder, Choice(crop_px=20, first="20250405", last="20250430"))
    assert stack.dates == ("20250411", "20250421")
    assert stack.observations.shape == (2, 3, 20, 20)
    assert stack.grid.bounds[0] == 500_020 + 160
    np.testing.assert_allclose(
        stack.observations[0], trial().observations[1, :, 10:30, 16:36], atol=6e-5
    )


def test_a_date_on_another_grid_is_refused_by_name(folder: Path) -> None:
    grid = Grid.from_origin("EPSG:32632", left=500_030, top=5_200_040, gsd_m=10, shape=SHAPE)
    write_date(folder / "20250421.tif", trial().observations[2], grid)
    with pytest.raises(InvalidInput, match=r"20250421\.tif is not on the grid of the first date"):
        read_folder(folder, Choice())


def test_a_date_of_another_shape_is_refused_by_name(folder: Path) -> None:
    grid = Grid.from_origin("EPSG:32632", left=500_020, top=5_200_040, gsd_m=10, shape=(40, 50))
    write_date(folder / "20250421.tif", trial().observations[2, :, :, :50], grid)
    with pytest.raises(InvalidInput, match=r"20250421\.tif is not on the grid"):
        read_folder(folder, Choice())


def test_a_date_without_one_of_the_bands_is_refused(folder: Path) -> None:
    write_date(folder / "20250421.tif", trial().observations[2, :2])
    with pytest.raises(InvalidInput, match=r"20250421\.tif lacks B04"):
        read_folder(folder, Choice())


def test_bands_without_names_are_refused_not_guessed(folder: Path) -> None:
    write_date(folder / "20250401.tif", trial().observations[0], names=("one", "two", "three"))
    with pytest.raises(InvalidInput, match="band descriptions"):
        read_folder(folder, Choice())


def test_a_folder_without_dates_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no GeoTIFF named like 20250401\.tif"):
        read_folder(tmp_path, Choice())
    with pytest.raises(NotFound, match="not a folder"):
        read_folder(tmp_path / "nowhere", Choice())


def test_an_interval_that_is_none_is_a_wrong_use(folder: Path) -> None:
    code, _ = run("fuse", str(folder), str(folder / "x.tif"), "--datetime", "spring")
    assert code == 2


def test_the_psf_sweep_writes_pictures_a_chart_and_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "SIGMAS", (0.3, 0.42, 0.8))
    code, text = run("experiment", "psf-sweep", str(tmp_path / "sweep"), "--size", "40")
    assert code == 0
    assert text.count("edge contrast") == 3
    rows = read_rows(tmp_path / "sweep/psf_sweep.csv")
    gains = {float(row["sigma_px"]): float(row["gain_db"]) for row in rows}
    contrasts = [float(row["edge_contrast"]) for row in rows]
    assert gains[0.42] == max(gains.values())  # the width nearest the truth is the best
    assert contrasts == sorted(contrasts)  # and the widest is only the sharpest
    assert picture_size(tmp_path / "sweep/comparison.png") == (4 * 80, 80)
    assert (tmp_path / "sweep/edge_contrast.svg").read_text().startswith("<svg")


def test_limits_writes_a_table_and_a_chart_per_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axis = next(axis for axis in experiments.AXES if axis.name == "shift_error_px")
    monkeypatch.setattr(experiments, "AXES", (replace(axis, values=(0.0, 0.1)),))
    code, _ = run("experiment", "limits", str(tmp_path), "--size", "40")
    assert code == 0
    rows = read_rows(tmp_path / "shift_error_px.csv")
    assert float(rows[0]["x2_gain_db"]) > float(rows[1]["x2_gain_db"])
    assert "polyline" in (tmp_path / "shift_error_px.svg").read_text()
