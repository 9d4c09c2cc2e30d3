"""Hostile rasters are decoded in limited processes: these may die, the caller gets an error."""

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from datacube import Window
from datacube.sources.child import Limits
from datacube.sources.decoding import Asked, Decoder, Decoders
from datacube.sources.pixels import SceneReader
from datacube.sources.plan import Given
from datacube.sources.raster import PART_BYTES, RasterFile, open_raster, opened_file, parts_of
from datacube.sources.recognise import plan_source
from datacube.sources.refusals import AssetTooLarge, AssetUnreadable
from tests.rasters import BANDS, SHAPE, grid, numbers, write_tif

WHOLE = Window(0, 0, *SHAPE)
MEGABYTE = 1024**2


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    one = Decoder()
    yield one
    one.close()


def asked(path: Path) -> Asked:
    drivers = ["GTiff", "JP2OpenJPEG"]
    return Asked(path.name, {"path": str(path), "size": None, "drivers": drivers})


def read(path: Path, decoder: Decoder, window: Window = WHOLE) -> np.ndarray:
    with opened_file(asked(path), decoder) as file:
        return file.read(window)


def good(folder: Path, seed: int = 1) -> Path:
    return write_tif(folder / f"good_{seed}.tif", numbers(seed), grid(), BANDS)


def one_block(path: Path, shape: tuple[int, int]) -> Path:
    """A small file that unpacks to a single block of zeros."""
    height, width = shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint16",
        crs=grid().crs, transform=grid().transform, compress="DEFLATE", blockysize=height,
    ) as file:  # fmt: skip
        file.write(np.zeros((1, *shape), np.uint16))
    return path


def jpeg2000(side: int) -> bytes:
    """A code stream of one tile of `side` x `side` pixels of which nothing follows."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">HH", marker, len(body) + 2) + body

    size = struct.pack(">HIIIIIIIIHBBB", 0, side, side, 0, 0, side, side, 0, 0, 1, 15, 1, 1)
    coding = struct.pack(">BBHBBBBBB", 0, 0, 1, 0, 5, 4, 4, 0, 1)
    steps = bytes([0x40, *[0x48] * 16])
    head = segment(0xFF51, size) + segment(0xFF52, coding) + segment(0xFF5C, steps)
    tile = segment(0xFF90, struct.pack(">HIBB", 0, 0, 0, 1))
    return b"\xff\x4f" + head + tile + b"\xff\x93" + bytes([0x80] * 2000) + b"\xff\xd9"


def while_stopped(decoder: Decoder, file: RasterFile, number: int) -> BaseException | None:
    """Read while the child stands still, then send it a signal; what the read raised."""
    pid = decoder.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(file.read, WHOLE)
        time.sleep(0.1)
        os.kill(pid, number)
        return reading.exception(timeout=60)


def wait_for_end(pid: int) -> None:
    """Until a process is no more, or nothing of it is left but its status."""
    deadline = time.monotonic() + 60
    with suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_pixels_are_those_that_gdal_reads(tmp_path: Path, decoder: Decoder) -> None:
    values = np.random.default_rng(3).integers(0, 4000, (2, 4100, 5003), dtype=np.uint16)
    path = write_tif(tmp_path / "large.tif", values, grid((4100, 5003)), tiled=True)
    assert values[0].nbytes > PART_BYTES
    with opened_file(asked(path), decoder) as file:
        for window in (Window(0, 0, 4100, 5003), Window(17, 4000, 3001, 900)):
            for index in (1, 2):
                found = file.read(window, index=index)
                np.testing.assert_array_equal(found, values[index - 1][window.slices])


def test_a_relative_path_is_found_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        monkeypatch.chdir(tmp_path / str(seed))
        write_tif(Path("image.tif"), numbers(seed), grid())
        with open_raster("image.tif") as file:
            found = file.read(Window(0, 0, *SHAPE), index=1)
        np.testing.assert_array_equal(found, numbers(seed)[0])


@given(
    row=st.integers(0, 9), col=st.integers(0, 9), height=st.integers(1, 70_000),
    width=st.sampled_from([1, 37, 10_980, 2**22, 2**25]), item=st.sampled_from([1, 2, 8]),
)  # fmt: skip
def test_parts_cover_a_window_once_and_are_small(
    row: int, col: int, height: int, width: int, item: int
) -> None:
    height = min(height, 2**31 // width)
    parts = list(parts_of(Window(row, col, height, width), item))
    assert sum(one.height * one.width for one in parts) == height * width
    assert all(0 < one.height * one.width * item <= PART_BYTES for one in parts)
    assert len({(one.row, one.col) for one in parts}) == len(parts)
    assert {parts[0].row, parts[0].col} == {row, col}
    assert (parts[-1].row + parts[-1].height, parts[-1].col + parts[-1].width) == (
        row + height, col + width,
    )  # fmt: skip


def test_a_file_that_takes_too_much_memory_is_too_large(tmp_path: Path) -> None:
    path = one_block(tmp_path / "hungry.tif", (8000, 8001))
    assert path.stat().st_size < MEGABYTE
    decoder = Decoder(Limits(memory_bytes=100 * MEGABYTE))
    try:
        with pytest.raises(AssetTooLarge, match=r"^hungry.tif takes more than 100 MB"):
            read(path, decoder)
        np.testing.assert_array_equal(read(good(tmp_path), decoder), numbers(1)[0])
    finally:
        decoder.close()
    roomy = Decoder()
    assert not read(path, roomy).any()  # with room for its 128 MB it is read
    roomy.close()


def test_a_tile_of_two_gigapixels_in_a_file_of_two_kilobytes_is_bounded(
    tmp_path: Path, decoder: Decoder
) -> None:
    path = tmp_path / "bomb.jp2"
    path.write_bytes(jpeg2000(46_000))
    small = Decoder(Limits(memory_bytes=100 * MEGABYTE))
    with pytest.raises(AssetTooLarge, match=r"^bomb.jp2 takes more than 100 MB"):
        read(path, small)
    np.testing.assert_array_equal(read(good(tmp_path), small), numbers(1)[0])
    small.close()
    assert read(path, decoder).shape == SHAPE
    status = Path(f"/proc/{decoder.pid}/status").read_text()
    peak_kb = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
    assert peak_kb < 1_000_000  # the whole would be 4 GB


def test_the_file_over_which_a_child_dies_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    with opened_file(asked(good(tmp_path)), decoder) as file:
        error = while_stopped(decoder, file, signal.SIGKILL)
        assert isinstance(error, AssetUnreadable)
        assert str(error).startswith("good_1.tif ended the process")
        assert "SIGKILL" in str(error)
        np.testing.assert_array_equal(file.read(WHOLE), numbers(1)[0])  # by a new child


def test_a_file_is_not_blamed_for_what_another_may_have_done(
    tmp_path: Path, decoder: Decoder
) -> None:
    with ExitStack() as stack:
        paths = [good(tmp_path, seed) for seed in (1, 2)]
        one, other = (stack.enter_context(opened_file(asked(path), decoder)) for path in paths)
        for file, seed in ((one, 1), (other, 2)):
            assert while_stopped(decoder, file, signal.SIGKILL) is None
            np.testing.assert_array_equal(file.read(WHOLE), numbers(seed)[0])


def test_a_file_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    decoder = Decoder(Limits(answer_s=5.0))
    path = good(tmp_path)
    with opened_file(asked(path), decoder) as file:
        pid = decoder.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(AssetUnreadable, match=r"good_1.tif was not decoded within 5 s"):
            file.read(WHOLE)
        np.testing.assert_array_equal(file.read(WHOLE), numbers(1)[0])
    decoder.close()


def test_an_idle_child_leaves_and_nobody_is_blamed(tmp_path: Path) -> None:
    decoder = Decoder(Limits(idle_s=0.05))
    path = good(tmp_path)
    for _ in range(3):
        np.testing.assert_array_equal(read(path, decoder), numbers(1)[0])
        pid = decoder.pid
        assert pid is not None
        wait_for_end(pid)
        assert decoder.pid is None
    decoder.close()


def test_a_child_is_limited_and_has_none_of_our_keys(
    tmp_path: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    read(good(tmp_path), decoder)
    place = Path(f"/proc/{decoder.pid}")
    limits = {
        found[1]: found[2]
        for line in (place / "limits").read_text().splitlines()
        if (found := re.match(r"Max (.*?)  +(\S+)", line))
    }
    assert limits["core file size"] == limits["file size"] == "0"
    assert 2 * 1024**3 < int(limits["address space"]) < 4 * 1024**3
    assert b"a-secret" not in (place / "environ").read_bytes()
    # Nothing of ours that is open, such as another child's connection, is open there.
    held = [str(one.readlink()) for one in (place / "fd").iterdir()]
    assert sum(name.startswith("socket:") for name in held) == 1


def test_threads_read_side_by_side_and_get_their_own_pixels(tmp_path: Path) -> None:
    decoders = Decoders(3)
    paths = [good(tmp_path, seed) for seed in range(5)]
    barrier = threading.Barrier(3)

    def work(place: int) -> bool:
        barrier.wait(timeout=30)
        return all(
            np.array_equal(read(paths[seed], decoders.mine()), numbers(seed)[0])
            for seed in [(place + step) % 5 for step in range(10)]
        )

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(3)))
    assert len(set(decoders.pids())) == 3
    decoders.close()
    assert decoders.pids() == []


def test_a_child_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from datacube.sources.decoding import shared_decoders\n"
        "from datacube.sources.raster import open_raster\n"
        "with open_raster(sys.argv[1]):\n"
        "    Path(sys.argv[2]).write_text(str(shared_decoders().pids()[0]))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    told = tmp_path / "pid"
    words = [sys.executable, "-c", script, str(good(tmp_path)), str(told)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    wait_for_end(int(told.read_text()))


@pytest.mark.parametrize("kind", ["mask", "alpha", "mask and number"])
def test_what_a_mask_hides_is_no_data(tmp_path: Path, kind: str) -> None:
    values = numbers(4)
    hidden = np.zeros(SHAPE, bool)
    hidden[20:47, 31:] = True
    path = tmp_path / "20250401.tif"
    height, width = SHAPE
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, dtype="uint16",
            count=5 if kind == "alpha" else 4, crs=grid().crs, transform=grid().transform,
            nodata=int(values[0, 3, 3]) if kind == "mask and number" else None,
        ) as file,
    ):  # fmt: skip
        file.write(values, [1, 2, 3, 4])
        for index, name in enumerate(BANDS, start=1):
            file.set_band_description(index, name)
        if kind == "alpha":
            file.colorinterp = [*[ColorInterp.gray] * 4, ColorInterp.alpha]
            file.write(np.where(hidden, 0, 65535).astype(np.uint16), 5)
        else:
            file.write_mask(~hidden)
    assert list(tmp_path.iterdir()) == [path]
    planned = plan_source(path, Given(scale=1e-4, offset=0.0)).scenes[0]
    with SceneReader(planned.bands, BANDS, grid(), with_scl=False) as reader:
        found = reader.read(WHOLE).dn
    number = int(values[0, 3, 3]) if kind == "mask and number" else 0
    expected = np.where(hidden | (values == number), 0, values + 1000)
    np.testing.assert_array_equal(found, expected)


def test_a_band_that_only_looks_like_a_mask_is_a_band(tmp_path: Path) -> None:
    values = numbers(4)
    values[3, 20:47, 31:] = 0
    path = write_tif(tmp_path / "20250401.tif", values, grid(), BANDS, nodata=None, alpha="yes")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [*[ColorInterp.gray] * 3, ColorInterp.alpha]
    planned = plan_source(path, Given(scale=1e-4, offset=0.0)).scenes[0]
    with SceneReader(planned.bands, BANDS, grid(), with_scl=False) as reader:
        found = reader.read(WHOLE).dn
    np.testing.assert_array_equal(found, np.where(values == 0, 0, values + 1000))


def test_opacity_is_not_counted_among_the_bands_that_are_named(tmp_path: Path) -> None:
    values = np.concatenate([numbers(4), np.full((1, *SHAPE), 65535, np.uint16)])
    path = write_tif(tmp_path / "20250401.tif", values, grid(), nodata=None)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [*[ColorInterp.gray] * 4, ColorInterp.alpha]
    planned = plan_source(path, Given(bands=BANDS, scale=1e-4, offset=0.0)).scenes[0]
    with SceneReader(planned.bands, BANDS, grid(), with_scl=False) as reader:
        np.testing.assert_array_equal(reader.read(WHOLE).dn, values[:4] + 1000)
