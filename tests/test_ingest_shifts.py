"""The shift of each simulated date must be found again, through files and ingest."""

from pathlib import Path

import numpy as np

from datacube import Catalog, open_storage
from datacube.ingest.carry_out import Target, carry_out, plan_ingest
from datacube.simulation import simulate_season
from datacube.sources.plan import Given
from tests.rasters import BANDS, grid, write_tif

SHAPE = (256, 320)
GIVEN = Given(scale=1e-4, offset=-0.1)  # the simulation's numbers are in the cube's own encoding
PROMISED_PX = 0.02


def test_simulated_shifts_are_found_to_two_hundredths_of_a_pixel(tmp_path: Path) -> None:
    true: dict[str, np.ndarray] = {}
    (tmp_path / "in").mkdir()
    for shot in simulate_season(7, shape=SHAPE, dates=8, truth_dates=1):
        name = f"field_{shot.datetime:%Y%m%dT%H%M%S}"
        stack = np.concatenate([shot.dn, shot.scl[np.newaxis]])
        write_tif(tmp_path / "in" / f"{name}.tif", stack, grid(SHAPE), (*BANDS, "SCL"))
        true[name] = -np.array(shot.shift_px)  # the camera moved, so the content moves back
    catalog = Catalog(open_storage(tmp_path / "out"))
    carry_out(plan_ingest(catalog, [tmp_path / "in"], Target("season"), GIVEN), catalog)
    scenes = [one.scene for one in catalog.open("season").scenes]
    measured = 0
    for scene in scenes:
        found = scene.properties.get("srcube:shift_px")
        if found is None:
            assert scene.properties["srcube:clear_percent"] < 60
            continue
        reference = scene.properties["srcube:shift_reference"]
        expected = true[scene.scene_id] - true[reference]
        error = np.array([found["y"], found["x"]]) - expected
        assert np.abs(error).max() < PROMISED_PX, scene.scene_id
        measured += 1
    assert measured >= 5
