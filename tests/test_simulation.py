"""A simulated season: what is known about it is true of its pixels."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import shift as resample

from datacube.bands import SENTINEL2
from datacube.errors import InvalidInput
from datacube.scene import dn_from_reflectance
from datacube.simulation import (
    STORM_DAY,
    Landscape,
    Pass,
    SimulatedScene,
    acquire,
    acquire_season,
    build_landscape,
    fell,
    landmark,
    plan_season,
    simulate_season,
    storm_window,
)
from datacube.simulation.optics import Psf
from datacube.simulation.phenology import Parcels
from datacube.simulation.sky import make_sky
from datacube.simulation.spectra import BANDS, SNR, SNR_REFLECTANCE, noise_sigma
from datacube.simulation.storm import TREES

SHAPE = (48, 64)
TEN_METRES = ("B02", "B03", "B04", "B08")


@pytest.fixture(scope="module")
def land() -> Landscape:
    return build_landscape(11, SHAPE)


@pytest.fixture(scope="module")
def summer() -> Pass:
    """High summer as the season has it, but no noise, no jitter and the pixel alone as blur."""
    (only,) = plan_season(11, dates=1, truth_dates=1)
    return replace(only, noise=False, shift_px=(0.0, 0.0), psf="none")


def reflectance(dn: NDArray[np.uint16]) -> NDArray[np.float64]:
    assert dn.min() > 0
    return dn / 10_000 - 0.1


def test_scenes_come_in_order_with_the_shapes_and_types_that_are_promised() -> None:
    scenes = list(simulate_season(3, shape=SHAPE, dates=3, truth_dates=1))
    assert [scene.datetime for scene in scenes] == sorted(scene.datetime for scene in scenes)
    assert len({scene.scene_id for scene in scenes}) == 3
    assert [scene.truth_dn is not None for scene in scenes].count(True) == 1
    for scene in scenes:
        assert scene.dn.shape == (4, *SHAPE)
        assert scene.dn.dtype == np.uint16
        assert scene.scl.shape == SHAPE
        assert scene.datetime.utcoffset() is not None
        if scene.truth_dn is not None:
            assert scene.truth_dn.shape == (4, 4 * SHAPE[0], 4 * SHAPE[1])
            assert scene.truth_dn.dtype == np.uint16


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (
        next(iter(simulate_season(seed, shape=SHAPE, dates=2))) for seed in (5, 5, 6)
    )
    assert first.dn.tobytes() == again.dn.tobytes()
    assert first.scl.tobytes() == again.scl.tobytes()
    assert first.shift_px == again.shift_px
    assert (first.dn != other.dn).mean() > 0.5


def test_truth_averaged_by_four_is_the_image_of_a_camera_without_blur(
    land: Landscape, summer: Pass
) -> None:
    scene = acquire(land, summer, TEN_METRES)
    assert scene.truth_dn is not None
    truth = scene.truth_dn.reshape(4, SHAPE[0], 4, SHAPE[1], 4).mean(axis=(2, 4))
    difference = truth - scene.dn
    assert abs(difference).max() <= 1  # DN: both were rounded


@pytest.mark.parametrize("psf", ["gaussian", "optics"])
def test_the_image_moves_against_the_shift_by_exactly_the_shift(
    land: Landscape, summer: Pass, psf: Psf
) -> None:
    shift = (0.31, -0.22)
    still = acquire(land, replace(summer, psf=psf), ("B04",))
    moved = acquire(land, replace(summer, psf=psf, shift_px=shift), ("B04",))
    measured = displacement(reflectance(still.dn[0]), reflectance(moved.dn[0]))
    np.testing.assert_allclose(measured, shift, atol=0.03)


def displacement(still: NDArray[np.float64], moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift s with moved(p) = still(p + s): least squares on slopes, iterated with splines."""
    inner = (slice(6, -6), slice(6, -6))
    guess = np.zeros(2)
    for _ in range(12):
        warped = resample(still, -guess, order=5, mode="nearest")
        slopes = [np.gradient(warped, axis=axis)[inner].ravel() for axis in (0, 1)]
        step, *_ = np.linalg.lstsq(
            np.stack(slopes, axis=1), (moved - warped)[inner].ravel(), rcond=None
        )
        guess += step
    return guess


def test_jitter_of_a_season_is_fifteen_hundredths_of_a_pixel_on_each_axis() -> None:
    shifts = np.array([each.shift_px for each in plan_season(2)])
    np.testing.assert_allclose(np.sqrt((shifts**2).mean(axis=0)), 0.15, atol=1e-9)
    assert len(np.unique(shifts)) == shifts.size


@pytest.mark.parametrize("name", TEN_METRES)
def test_noise_has_the_stated_signal_to_noise_ratio(
    land: Landscape, summer: Pass, name: str
) -> None:
    clean = reflectance(acquire(land, summer, (name,)).dn[0])
    noisy = reflectance(acquire(land, replace(summer, noise=True), (name,)).dn[0])
    normal = (noisy - clean) / noise_sigma(clean.astype(np.float32), name)
    assert normal.std() == pytest.approx(1, abs=0.05)  # 3072 samples: 1.3 % standard error
    assert abs(normal.mean()) < 0.08
    at_reference = noise_sigma(np.array([SNR_REFLECTANCE[name]], np.float32), name)
    assert SNR_REFLECTANCE[name] / at_reference[0] == pytest.approx(SNR[name], rel=1e-5)
    assert 100 <= SNR[name] <= 170


def test_bands_and_dates_have_noise_of_their_own(land: Landscape, summer: Pass) -> None:
    noisy = replace(summer, noise=True)
    first = acquire(land, noisy, ("B02", "B03")).dn.astype(float)
    clean = acquire(land, summer, ("B02", "B03")).dn.astype(float)
    later = acquire(land, replace(noisy, seed=noisy.seed + 1), ("B02", "B03")).dn.astype(float)
    between_bands = np.corrcoef((first - clean).reshape(2, -1))[0, 1]
    between_dates = np.corrcoef((first - clean)[0].ravel(), (later - clean)[0].ravel())[0, 1]
    assert abs(between_bands) < 0.08
    assert abs(between_dates) < 0.08


def test_clouds_are_bright_their_shadows_dark_and_the_classes_say_where(
    land: Landscape, summer: Pass
) -> None:
    clear = acquire(land, summer, TEN_METRES)
    scene = next(
        cloudy
        for cloudy in (
            acquire(land, replace(summer, sky="broken", seed=seed), TEN_METRES)
            for seed in range(40)
        )
        if min((cloudy.scl == value).mean() for value in (3, 9)) > 0.05
    )
    was, seen = reflectance(clear.dn), reflectance(scene.dn)
    assert clear.cloud_cover == 0
    assert scene.cloud_cover == pytest.approx(100 * np.isin(scene.scl, (8, 9)).mean())
    assert (seen[:3, scene.scl == 9] > 0.18).all()  # half a thin cloud is 0.5 * 0.6 * 0.65
    assert (seen[:, scene.scl == 3] < was[:, scene.scl == 3] + 0.06).all()
    assert np.median(seen[3, scene.scl == 3] / was[3, scene.scl == 3]) < 0.75
    untouched = np.isin(scene.scl, (4, 5, 6))
    np.testing.assert_array_equal(scene.scl[untouched], clear.scl[untouched])
    assert abs(seen - was)[:, untouched].max() < 0.09  # below the tenth of alpha that counts


def test_shadows_lie_north_west_of_their_clouds() -> None:
    sky = make_sky(np.random.default_rng(4), "scattered", (300, 380), 172)
    best, where = -1.0, (0, 0)
    dark = 1 - sky.light
    for dy in range(-140, 141, 10):
        for dx in range(-140, 141, 10):
            rows = slice(max(dy, 0), 300 + min(dy, 0)), slice(max(-dy, 0), 300 + min(-dy, 0))
            cols = slice(max(dx, 0), 380 + min(dx, 0)), slice(max(-dx, 0), 380 + min(-dx, 0))
            a, b = dark[rows[0], cols[0]], sky.alpha[rows[1], cols[1]]
            score = float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
            if score > best:
                best, where = score, (dy, dx)
    assert best > 0.8
    assert where[0] < 0  # north is up: smaller rows
    assert where[1] < 0


def test_a_season_has_at_least_six_nearly_clear_dates_and_high_summer_is_one_of_them() -> None:
    season = plan_season(9)
    skies = [each.sky for each in season]
    assert len(skies) == 12
    assert sum(sky in ("clear", "fair") for sky in skies) >= 6
    assert 2 <= sum(sky in ("broken", "overcast") for sky in skies) <= 3
    for dates in (1, 2, 5, 17):
        passes = plan_season(9, dates=dates, truth_dates=1)
        summer = [each for each in passes if each.datetime.month == 6]
        assert [each.truth for each in summer if each.sky == "clear"] == [True]


def test_plants_grow_and_are_harvested_water_never_looks_like_them() -> None:
    kinds = ("wheat", "maize", "rapeseed", "broadleaf", "conifer", "lake", "river", "bare")
    parcels = Parcels(kinds, np.zeros(len(kinds)), np.ones(len(kinds)))

    def ndvi(day: int) -> dict[str, float]:
        red, nir = (parcels.appearance(day, band)[0] for band in ("B04", "B08"))
        return dict(zip(kinds, ((nir - red) / (nir + red)).tolist(), strict=True))

    may, july, september = ndvi(135), ndvi(190), ndvi(250)
    assert 0.6 < may["wheat"] < 0.95
    assert max(may["maize"], september["wheat"]) < 0.3
    assert 0.6 < july["maize"] < 0.95
    assert july["wheat"] < 0.5
    assert 0.6 < july["broadleaf"] < 0.95
    for when in (may, july, september):
        assert max(when["lake"], when["river"]) < 0
        assert when["bare"] < 0.3
    blue, green = (parcels.appearance(122, band)[0][2] for band in ("B02", "B03"))
    assert green > 3 * blue  # rapeseed in flower is yellow


def test_the_landmark_stands_where_it_is_said_to_stand(land: Landscape, summer: Pass) -> None:
    row, column = landmark(SHAPE)
    scene = acquire(land, summer, ("B04",))
    assert scene.truth_dn is not None
    for image, scale in ((reflectance(scene.dn[0]), 1), (reflectance(scene.truth_dn[0]), 4)):
        bright = image > 0.3  # half way between apron and roof
        top, left = int(row * scale) - 2 * scale, int(column * scale) - 2 * scale
        part = image[top : top + 16 * scale, left : left + 12 * scale]
        inside = np.clip((part - 0.09) / (0.545 - 0.09), 0, 1)
        assert bright[top : top + 16 * scale, left : left + 12 * scale].any()
        area_px = inside.sum() / scale**2
        assert area_px == pytest.approx(12 * 3 + 5 * 3, rel=0.05)
        # the column's left edge, from how much of each row's pixels the roof covers
        rows = slice(int((row + 3) * scale) - top, int((row + 8) * scale) - top)
        covered = inside[rows, : 8 * scale]
        right = np.arange(covered.shape[1]) + left + 0.5
        centre = (covered * right).sum() / covered.sum() / scale
        assert centre == pytest.approx(column + 1.5, abs=0.05)


@pytest.fixture(scope="module")
def wooded() -> Landscape:
    return build_landscape(7, (120, 150))


def test_a_storm_fells_wood_and_nothing_else(wooded: Landscape) -> None:
    storm = fell(wooded, storm_window(wooded.shape))
    gone = storm.felled[storm.ground.labels]
    assert gone.any()
    assert {wooded.parcels.kinds[label] for label in np.unique(wooded.labels[gone])} <= set(TREES)
    np.testing.assert_array_equal(storm.ground.labels[~gone], wooded.labels[~gone])


def test_image_and_truth_show_the_storm_from_its_day_on_where_wood_was_felled(
    wooded: Landscape,
) -> None:
    season = plan_season(7)
    passes = [replace(season[i], truth=True, noise=False) for i in (8, 9)]
    assert passes[0].day_of_year < STORM_DAY <= passes[1].day_of_year
    calm, stormy = (
        list(acquire_season(wooded, passes, ("B04", "B08"), day)) for day in (None, STORM_DAY)
    )
    np.testing.assert_array_equal(calm[0].dn, stormy[0].dn)
    np.testing.assert_array_equal(calm[0].truth_dn, stormy[0].truth_dn)
    storm = fell(wooded, storm_window(wooded.shape))
    inner = (slice(wooded.margin_fine, -wooded.margin_fine),) * 2
    fine = storm.felled[storm.ground.labels][inner]
    gone = fine.reshape(480, 2, 600, 2).mean(axis=(1, 3))
    was, seen = calm[1], stormy[1]
    assert was.truth_dn is not None
    assert seen.truth_dn is not None
    np.testing.assert_array_equal(was.truth_dn[:, gone == 0], seen.truth_dn[:, gone == 0])
    assert (ndvi(was.truth_dn) - ndvi(seen.truth_dn))[gone == 1].mean() > 0.3
    coarse = gone.reshape(120, 4, 150, 4).mean(axis=(1, 3))
    assert (ndvi(was.dn) - ndvi(seen.dn))[coarse == 1].mean() > 0.3


def ndvi(dn: NDArray[np.uint16]) -> NDArray[np.float64]:
    red, nir = reflectance(dn)
    return np.asarray((nir - red) / (nir + red))


def test_numbers_never_wrap_and_zero_is_kept_for_no_data() -> None:
    values = np.array([-5.0, -0.1, 0.0, 0.25, 9.0, np.nan], np.float32)
    np.testing.assert_array_equal(dn_from_reflectance(values), [1, 1, 1000, 3500, 65_535, 0])


def test_every_band_with_a_spectrum_can_be_acquired_twenty_metre_ones_in_pairs(
    land: Landscape, summer: Pass
) -> None:
    scene = acquire(land, replace(summer, psf="gaussian"), BANDS)
    assert scene.dn.shape == (len(BANDS), *SHAPE)
    for image, name in zip(scene.dn, BANDS, strict=True):
        pairs = image.reshape(SHAPE[0] // 2, 2, SHAPE[1] // 2, 2)
        same = (pairs == pairs[:, :1, :, :1]).all()
        assert same == (SENTINEL2[name].gsd_m == 20)
    red, edge, nir = (scene.dn[BANDS.index(name)] for name in ("B04", "B05", "B08"))
    assert red[scene.scl == 4].mean() < edge[scene.scl == 4].mean() < nir[scene.scl == 4].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (8, 64)}, "32 to 1600"),
        ({"bands": ("B01",)}, "need some of the bands"),
        ({"bands": ()}, "need some of the bands"),
        ({"bands": ("B99",)}, "no Sentinel-2 band"),
        ({"dates": 0}, "1 to 40"),
        ({"truth_dates": -1}, "truth dates"),
        ({"psf": "boxy"}, "gaussian, optics or none"),
    ],
)
def test_what_cannot_be_simulated_is_refused(change: dict[str, object], message: str) -> None:
    wanted: dict[str, object] = {"shape": SHAPE, "dates": 2, "truth_dates": 1} | change
    with pytest.raises(InvalidInput, match=message):
        next(simulate_season(1, **wanted))  # type: ignore[arg-type]


def test_a_scene_says_what_it_is(land: Landscape, summer: Pass) -> None:
    scene: SimulatedScene = acquire(land, summer, ("B08",))
    assert scene.scene_id.startswith("SIM_")
    assert scene.bands == ("B08",)
    assert set(np.unique(scene.scl)) <= {3, 4, 5, 6, 8, 9}
