"""`srcube verify` and `vacuum` as an operator meets them."""

import json
from pathlib import Path

import pytest

from datacube.commands.store import parse_age
from datacube.errors import InvalidInput
from tests.scenes import new_cube, pixels, scene
from tests.test_cli import srcube


def test_a_sound_cube_is_said_to_be_sound_and_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    new_cube(tmp_path).append(scene(4), pixels(4))
    sound = srcube("verify", "field", "--data", str(tmp_path))
    assert sound.returncode == 0, sound.stderr
    assert "0 damaged" in sound.stdout
    chunk = tmp_path / "field.zarr/measurement/r10m/reflectance/c/0/1/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    damaged = srcube("verify", "field", "--data", str(tmp_path), "--json")
    assert damaged.returncode == 1
    found = json.loads(damaged.stdout)
    assert not found["sound"]
    assert any("reflectance/c/0/1/0/0" in fault["key"] for fault in found["faults"])
    assert "Traceback" not in damaged.stderr


def test_vacuum_removes_a_replaced_scene_and_nothing_that_is_reached(tmp_path: Path) -> None:
    cube = new_cube(tmp_path).append(scene(4), pixels(4)).append(scene(5), pixels(5))
    cube.append(scene(4), pixels(44), replace=True)
    kept = srcube("vacuum", "field", "--older-than", "1d", "--data", str(tmp_path))
    assert "removed 0 files" in kept.stdout
    gone = srcube("vacuum", "field", "--older-than", "0s", "--data", str(tmp_path))
    assert gone.returncode == 0, gone.stderr
    assert "of 1 ended slots and 0 outdated products" in gone.stdout
    assert not (tmp_path / "field.zarr/measurement/r10m/reflectance/c/0/0/0/0").exists()
    assert srcube("verify", "field", "--data", str(tmp_path)).returncode == 0


@pytest.mark.parametrize("text", ["", "7", "-1d", "nan d", "d7", "9e9w", f"{10**30}w"])
def test_an_age_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="need an age"):
        parse_age(text)
