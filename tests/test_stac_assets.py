"""Rasters that mean harm: refused from their headers, before anything is decoded."""

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datacube import Window
from datacube.errors import SrcubeError
from datacube.sources.refusals import AssetTooLarge, AssetUnreadable
from datacube.stac.assets import opened
from datacube.stac.fetch import Fetcher
from datacube.stac.hrefs import Policy
from tests.scenes import small_grid

SHORT, LONG = 3, 4
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIPS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 277, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 322, 323, 324, 325
DEFLATE = 8


def tiff(*entries: tuple[int, int, int], following: int = 0) -> bytes:
    """A little-endian TIFF of one directory; entries are (tag, type, value)."""
    body = b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value)
        for tag, kind, value in sorted(entries)
    )
    directory = struct.pack("<H", len(entries)) + body + struct.pack("<I", following)
    return b"II*\0" + struct.pack("<I", 8) + directory


def image(width: int, height: int, **more: int) -> tuple[tuple[int, int, int], ...]:
    tags = {WIDTH: width, HEIGHT: height, BITS: 16, COMPRESSION: 1, PHOTOMETRIC: 1, SAMPLES: 1}
    names = {"bits": BITS, "compression": COMPRESSION, "samples": SAMPLES}
    tags |= {names[name]: value for name, value in more.items()}
    return tuple((tag, LONG if tag in {WIDTH, HEIGHT} else SHORT, tags[tag]) for tag in tags)


def tiles(side: int) -> tuple[tuple[int, int, int], ...]:
    return (
        (TILE_WIDTH, LONG, side), (TILE_HEIGHT, LONG, side),
        (TILES, LONG, 200), (TILE_BYTES, LONG, 100),
    )  # fmt: skip


STRIP = ((STRIPS, LONG, 200), (STRIP_BYTES, LONG, 100))

TOO_LARGE = {
    "one pixel in a tile of 2^30": tiff(*image(1, 1), *tiles(2**15)),
    "a strip of a gigapixel": tiff(*image(2**15, 2**15), *STRIP, (ROWS_PER_STRIP, LONG, 2**15)),
    "more pixels than a planet": tiff(*image(2**31 - 16, 2**31 - 16), *tiles(256)),
    "all bands that a TIFF can have": tiff(*image(1, 1, samples=65_535), *tiles(16)),
    "a thousand bands": tiff(*image(64, 64, samples=1000), *tiles(64)),
}
UNREADABLE = {
    "a header alone": b"II*\0\x08\0\0\0",
    "a directory beyond the end": b"II*\0\xff\xff\xff\x7f",
    "a directory without a size": tiff((BITS, SHORT, 16)),
    "text": b"not a raster",
    "a VRT": b"<VRTDataset rasterXSize='9' rasterYSize='9'><VRTRasterBand/></VRTDataset>",
    "HDF": b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
    "NetCDF": b"CDF\x01" + b"\0" * 100,
    "a PNG": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    "JPEG 2000 without an image": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 50,
    "nothing": b"",
}


def read_all(path: Path) -> np.ndarray:
    with (
        Fetcher(Policy().below(path.parent)) as fetcher,
        opened(str(path), fetcher) as raster,
    ):
        return raster.read(Window(0, 0, *raster.header.shape))


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_would_not_fit_is_refused_from_its_header(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(TOO_LARGE[name])
    with pytest.raises((AssetTooLarge, AssetUnreadable)) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_raster_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(UNREADABLE[name])
    with pytest.raises(AssetUnreadable) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path.parent) not in str(caught.value).replace(str(path), "")


def test_directories_in_a_circle_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(*image(8, 8), *tiles(16), following=8) + b"\0" * 600)
    assert read_all(path).shape == (8, 8)  # the first directory is used, the rest never walked


def test_a_small_file_that_unpacks_to_much_is_read_by_window_only(tmp_path: Path) -> None:
    grid = small_grid((20_000, 9_000))
    path = tmp_path / "bomb.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=20_000, width=9_000, count=1, dtype="uint16",
        crs=grid.crs, transform=grid.transform, compress="DEFLATE", tiled=True, SPARSE_OK=True,
    ) as file:  # fmt: skip
        file.write(np.full((1, 16, 16), 7, np.uint16), window=((0, 16), (0, 16)))
    assert path.stat().st_size < 200_000
    with Fetcher(Policy().below(tmp_path)) as fetcher, opened(str(path), fetcher) as raster:
        assert raster.read(Window(3, 4, 2, 5)).tolist() == [[7] * 5] * 2


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_file_gives_an_error_or_pixels_and_nothing_else(
    tmp_path: Path, data: st.DataObject
) -> None:
    source = tmp_path / "good.tif"
    grid = small_grid((40, 56))
    if not source.exists():
        with rasterio.open(
            source, "w", driver="COG", height=40, width=56, count=1, dtype="uint16",
            crs=grid.crs, transform=grid.transform, compress="DEFLATE",
        ) as file:  # fmt: skip
            file.write(np.arange(2240, dtype=np.uint16).reshape(1, 40, 56))
    good = source.read_bytes()
    content = bytearray(good[: data.draw(st.integers(0, len(good)))] or good)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.tif"
    path.write_bytes(content)
    try:
        with (
            Fetcher(Policy().below(tmp_path)) as fetcher,
            opened(str(path), fetcher) as raster,
        ):
            assert raster.read(Window(0, 0, 1, 1)).shape == (1, 1)
    except SrcubeError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)
