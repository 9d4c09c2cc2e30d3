"""`srcube register`: any size, any type, the file's own numbers, place and gaps."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from typer.testing import CliRunner

from datacube.errors import InvalidInput
from datacube.simulation import build_landscape
from datacube.simulation.detectors import DetectorPair, OverlapPlan, simulate_overlap
from datacube.sources.plan import Given
from datacube.sources.refusals import BandMissing
from server.main import app
from sr_engine.l1b.register import encoded, register_file
from sr_engine.l1b.shipped import load_csr
from sr_engine.l1b.views import read_pairs

BANDS = ("B02", "B03", "B04", "B08")
AXES = ("dx", "dy")


@pytest.fixture(scope="module")
def pair() -> DetectorPair:
    return simulate_overlap(build_landscape(51, (75, 91)), OverlapPlan(51, max_shift_px=2.0))


def write(path: Path, images: np.ndarray, **profile: object) -> Path:
    count, height, width = images.shape
    names = profile.pop("names", BANDS)
    options = {"crs": "EPSG:32632", "transform": Affine(10, 0, 700_000, 0, -10, 5_100_000)}
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width,
        dtype=images.dtype, **(options | profile),
    ) as file:  # fmt: skip
        file.write(images)
        for index, name in enumerate(names, start=1):  # type: ignore[arg-type, var-annotated]
            file.set_band_description(index, name)
    return path


def test_register_keeps_type_place_reference_and_gaps(pair: DetectorPair, tmp_path: Path) -> None:
    counts = np.rint(pair.views[0] * 10_000).astype(np.uint16)
    counts[2, 30:34, 40:46] = 0
    source = write(tmp_path / "in.tif", counts, nodata=0)
    out, flow = tmp_path / "out.tif", tmp_path / "flow.tif"
    result = CliRunner().invoke(app, ["register", str(source), str(out), "--flow", str(flow)])
    assert result.exit_code == 0, result.output
    with rasterio.open(out) as made, rasterio.open(source) as given:
        assert (made.crs, made.transform, made.shape) == (given.crs, given.transform, given.shape)
        assert made.descriptions == BANDS
        assert made.dtypes == ("uint16",) * 4
        np.testing.assert_array_equal(made.read(2), given.read(2))
        red = made.read(3)
    gone = int((red == 0).sum())
    assert 24 <= gone <= 8 * 10  # the gap moved, grown by the interpolation's neighbours alone
    with rasterio.open(flow) as flows:
        moved = [band for band in BANDS if band != "B03"]
        assert flows.descriptions == tuple(f"{band}_{axis}" for band in moved for axis in AXES)
        blue = flows.read([1, 2])
    truth = pair.flow((0, "B03"), (0, "B02"))
    assert np.abs(blue - truth)[:, 10:-10, 10:-10].mean() < 0.3


def test_unplaced_files_without_descriptions_need_their_bands_named(
    pair: DetectorPair, tmp_path: Path
) -> None:
    counts = np.rint(pair.views[0, :, :24, :17] * 4000).astype(np.uint16)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        source = write(tmp_path / "l1b.tif", counts, names=(), crs=None, transform=None)
    with pytest.raises(BandMissing, match="does not name its 4 bands"):
        register_file(source, tmp_path / "out.tif", load_csr())
    assert not list(tmp_path.glob("*.part"))
    register_file(source, tmp_path / "out.tif", load_csr(), given=Given(bands=BANDS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "out.tif") as made:
            assert made.crs is None
            assert made.shape == (24, 17)


def test_a_file_without_the_reference_is_refused(pair: DetectorPair, tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", pair.views[0, [0, 2]], names=("B02", "B04"))
    with pytest.raises(BandMissing, match="need B03 and another"):
        register_file(source, tmp_path / "out.tif", load_csr())
    with pytest.raises(InvalidInput, match="one file"):
        register_file(source, source, load_csr())


@pytest.mark.parametrize(
    ("dtype", "no_data", "wanted"),
    [
        ("uint16", 0, [1, 1, 65535, 0]),
        ("uint16", None, [0, 1, 65535, 0]),
        ("int16", -1, [-2, 1, 32767, -1]),
        ("uint8", 255, [0, 1, 254, 255]),
    ],
)
def test_numbers_are_clipped_and_never_wrap_nor_become_no_data(
    dtype: str, no_data: float | None, wanted: list[int]
) -> None:
    values = np.array([[-1.4, 0.6, 1e6, np.nan]], np.float32)
    found = encoded(values, dtype, no_data)[0]
    assert found.dtype == dtype
    if dtype == "int16":
        assert found[0] in (0, -2)  # -1.4 rounds to no data, and steps aside
        np.testing.assert_array_equal(found[1:], wanted[1:])
    else:
        np.testing.assert_array_equal(found, wanted)


def test_real_numbers_keep_nan() -> None:
    values = np.array([[0.25, np.nan]], np.float32)
    np.testing.assert_array_equal(encoded(values, "float32", float("nan")), values)


@pytest.mark.parametrize("layout", ["beside", "folders"])
def test_real_pairs_are_read_from_either_layout(
    pair: DetectorPair, tmp_path: Path, layout: str
) -> None:
    counts = np.rint(pair.views * 10_000).astype(np.uint16)
    names = ["12_left.tif", "12_right.tif"]
    if layout == "folders":
        names = ["left/12.tif", "right/12.tif"]
        for side in ("left", "right"):
            (tmp_path / side).mkdir()
    write(tmp_path / names[0], counts[0, ::-1], names=BANDS[::-1])
    write(tmp_path / names[1], counts[1, :, :, :60])
    (found,) = read_pairs(tmp_path)
    np.testing.assert_allclose(found, pair.views[..., :60], atol=1e-4)


def test_a_view_without_its_other_is_refused(pair: DetectorPair, tmp_path: Path) -> None:
    write(tmp_path / "3_left.tif", pair.views[0])
    with pytest.raises(InvalidInput, match=r"3_right\.tif"):
        read_pairs(tmp_path)
