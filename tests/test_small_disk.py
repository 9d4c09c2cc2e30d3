"""A file system that is really full, at every few kilobytes of a write."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from datacube.errors import OutOfSpace
from datacube.vacuum import vacuum
from datacube.verify import verify
from tests import crashes
from tests.stores import Seen, open_tiny, seen

SIZE_KB = 2048
STEP_KB = 12  # three pages: finer than any file of a write
WORKS: dict[str, Callable[[Path], None]] = {
    "append": crashes.append,
    "append pieces": crashes.append_pieces,
    "replace": crashes.replace,
    "block": crashes.write_block,
    "series": crashes.write_series_block,
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-o", f"size={SIZE_KB}k", "tmpfs", str(folder)]
    made = subprocess.run(["mount", "-t", "tmpfs", *options], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system may be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, left_kb: int) -> Path:
    """A file that leaves so much room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(file.tell() - 1024 * left_kb, 0))
    return ballast


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", WORKS)
def test_a_full_disk_leaves_the_cube_as_it_was_and_room_lets_the_work_be_done(
    disk: Path, name: str
) -> None:
    for earlier in (crashes.create, crashes.append_first, crashes.declare):
        earlier(disk)
    before = seen(open_tiny(disk))
    refused = 0
    for left_kb in range(0, SIZE_KB, STEP_KB):
        ballast = fill(disk, left_kb)
        try:
            WORKS[name](disk)
        except OutOfSpace:
            refused += 1
            assert unchanged(disk, before)
        else:
            break
        finally:
            ballast.unlink()
        vacuum(open_tiny(disk), older_than=timedelta(0), now=crashes.LATER_S * 10)
        assert unchanged(disk, before)
    assert refused > 2
    after = seen(open_tiny(disk))
    assert not unchanged(disk, before)
    WORKS[name](disk)  # once more changes nothing, but brings plain readers up to date
    assert seen(open_tiny(disk)) == after
    assert verify(open_tiny(disk)).is_sound


def unchanged(disk: Path, before: Seen) -> bool:
    """Whether a reader finds what there was before; a product may have been declared besides."""
    found = seen(open_tiny(disk))
    return {key: found.get(key) for key in before} == before and not [
        key for key in found if key not in before and found[key] != "declared"
    ]
