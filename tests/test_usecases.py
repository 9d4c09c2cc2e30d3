"""Use cases: scores by size against counting by hand, and every case on a small piece of ground."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from datacube import Window
from datacube.errors import InvalidInput
from datacube.simulation import Landscape, build_landscape, plan_season
from sr_engine.usecases import (
    Rival,
    Site,
    Table,
    acquire_site,
    all_rivals,
    by_area,
    by_width,
    fell,
    field_case,
    panels,
    road_case,
    roof_case,
    scored,
    storm_case,
    water_case,
)
from sr_engine.usecases.decide import NDWI, otsu
from sr_engine.usecases.doubt import auroc, foretold, judged_doubt
from sr_engine.usecases.fields import best_overlaps, border_scores
from sr_engine.usecases.objects import ALL, REACH_M
from sr_engine.usecases.pictures import View, judged, natural
from sr_engine.usecases.shoreline import outline, shore_distance_m
from sr_engine.usecases.table import page

Mask = NDArray[np.bool_]
SEED, SHAPE = 5, (150, 170)
WINDOW = Window(40, 45, 64, 80)

masks = arrays(np.bool_, (11, 17))


@given(masks, masks, masks)
@settings(max_examples=60, deadline=None)
def test_scores_by_size_add_up_to_those_of_all_pixels(truth: Mask, drawn: Mask, seen: Mask) -> None:
    objects = by_area(truth, (50.0, 200.0), 2.5)
    found = scored(drawn, objects, seen)
    hit, missed, false = (
        int((one & seen).sum()) for one in (truth & drawn, truth & ~drawn, drawn & ~truth)
    )
    assert (found.all.hit_px, found.all.missed_px, found.all.false_px) == (hit, missed, false)
    sizes = [found.by_size[name] for name in objects.names]
    assert sum(one.hit_px for one in sizes) == hit
    assert sum(one.missed_px for one in sizes) == missed
    invented = round(np.nan_to_num(found.invented_share) * int((drawn & seen).sum()))
    assert sum(one.false_px for one in sizes) + invented == false
    assert sum(one.objects for one in sizes) == found.all.objects


@given(masks, masks)
@settings(max_examples=30, deadline=None)
def test_scores_agree_with_counting_object_by_object(truth: Mask, drawn: Mask) -> None:
    pixel_m = 5.0
    objects = by_area(truth, (60.0,), pixel_m)
    ids, count = ndimage.label(truth, np.ones((3, 3)))
    spots = np.argwhere(ids > 0)
    hits = {one: int((drawn & (ids == one)).sum()) for one in range(1, count + 1)}
    area = {one: int((ids == one).sum()) for one in range(1, count + 1)}
    expected = dict.fromkeys(objects.names, 0)
    for one, pixels in area.items():
        expected[objects.names[int(pixels * pixel_m**2 >= 60)]] += hits[one]
    far = 0
    for spot in np.argwhere(drawn & ~truth):
        near = np.hypot(*(spots - spot).T).min() * pixel_m if count else np.inf
        far += near > REACH_M
    found = scored(drawn, objects)
    assert {name: found.by_size[name].hit_px for name in objects.names} == expected
    assert found.invented_share * max(drawn.sum(), 1) == pytest.approx(far) or not drawn.any()


def test_an_object_is_found_if_half_of_the_union_is_shared() -> None:
    truth = np.zeros((20, 31), np.bool_)
    truth[3:7, 4:14] = truth[12:14, 20:24] = True  # 40 and 8 pixels
    objects = by_area(truth, (100.0,), 2.5)
    drawn = np.zeros_like(truth)
    drawn[3:7, 4:9] = True  # exactly half of the larger one
    drawn[12:14, 20:21] = True  # a quarter of the smaller one
    by_size = scored(drawn, objects).by_size
    assert (by_size["100 m² and more"].objects, by_size["100 m² and more"].found) == (1, 1)
    assert (by_size["under 100 m²"].objects, by_size["under 100 m²"].found) == (1, 0)
    assert by_size[ALL].area_error == pytest.approx(22 / 48 - 1)
    assert by_size[ALL].f1 == pytest.approx(2 * 22 / (2 * 22 + 26))
    with pytest.raises(InvalidInput, match=r"need a mask of \(20, 31\)"):
        scored(drawn[:-1], objects)


def test_width_classes_tell_a_brook_from_the_lake_it_leaves() -> None:
    mask = np.zeros((60, 90), np.bool_)
    mask |= np.hypot(*np.mgrid[-30:30, -25:65]) < 20
    mask[29:31, 40:90] = True
    objects = by_width(mask, (10.0, 50.0), 2.5)
    assert objects.names == ("under 10 m", "10 to 50 m", "50 m and more")
    assert not objects.single
    assert set(objects.ids[29:31, 60:85].ravel().tolist()) == {1}  # 5 m wide
    assert objects.ids[30, 25] == 3  # the middle of a lake of 100 m
    assert np.array_equal(objects.mask, mask)
    assert (objects.ids[:, :5] == 0).all()


@given(arrays(np.uint8, (9, 14), elements=st.integers(0, 255)))
@settings(max_examples=40, deadline=None)
def test_otsu_parts_values_as_opencv_does(values: NDArray[np.uint8]) -> None:
    if values.min() == values.max():
        return
    expected, _ = cv2.threshold(values, 0, 255, cv2.THRESH_OTSU)
    shown = values.astype(np.float32)

    def between(threshold: float) -> float:
        above = shown > threshold
        return float(above.mean() * (1 - above.mean())) * float(
            (shown[above].mean() - shown[~above].mean()) ** 2
        )

    # Thresholds between the same two values are equal; the variance they reach tells.
    assert between(otsu(shown)) == pytest.approx(between(expected), rel=1e-3)


def test_hints_are_judged_by_ranks() -> None:
    hint = np.arange(90, dtype=np.float32).reshape(9, 10)
    everywhere = np.ones(hint.shape, np.bool_)
    assert foretold(hint, hint > 55, everywhere).auroc == 1
    assert foretold(-hint, hint > 55, everywhere).auroc == 0
    assert auroc(np.zeros(8, np.float32), np.arange(8) < 3) == 0.5
    told = judged_doubt(hint > 80, hint > 55)
    assert told.error_there == 1
    assert told.caught == pytest.approx(9 / 34)


def test_shores_are_measured_from_the_true_one() -> None:
    truth = np.zeros((30, 44), np.bool_)
    truth[:, :20] = True
    drawn = np.zeros_like(truth)
    drawn[:, :23] = True
    assert shore_distance_m(drawn, truth) == (7.5, 7.5)
    assert outline(truth).sum() == 30  # the edge of the image is no shore
    assert np.isnan(shore_distance_m(np.zeros_like(truth), truth)[0])


def test_boundaries_count_within_five_metres_and_fields_by_their_best_region() -> None:
    lines = np.zeros((40, 50), np.bool_)
    lines[:, 20] = True
    drawn = np.zeros_like(lines)
    drawn[:20, 22] = drawn[20:, 30] = True  # half within 5 m, half 25 m away
    precision, recall, f1, *_ = border_scores(drawn, lines, np.zeros(lines.shape, np.intp))
    assert precision == 0.5
    assert recall == pytest.approx(0.525, abs=0.03)
    assert precision < f1 < recall or f1 == pytest.approx(0.5, abs=0.03)
    truth = np.zeros((40, 50), np.bool_)
    truth[5:25, 5:25] = True  # 400 pixels
    regions = np.zeros((40, 50), np.int32)
    regions[5:25, 5:20] = 1
    overlap, error = best_overlaps(regions, by_area(truth, (10.0,), 2.5))
    assert overlap.tolist() == pytest.approx([0.75])
    assert error.tolist() == pytest.approx([-0.25])


@pytest.fixture(scope="module")
def ground() -> Landscape:
    return build_landscape(SEED, SHAPE)


@pytest.fixture(scope="module")
def site(ground: Landscape) -> Site:
    return acquire_site(WINDOW, ground=ground, dates=3)


@pytest.fixture(scope="module")
def enlarged(site: Site) -> tuple[Rival, ...]:
    return all_rivals(site)


def test_a_site_is_the_ground_and_its_truth_in_one_place(ground: Landscape, site: Site) -> None:
    whole = acquire_site(Window(24, 24, 102, 122), ground=ground, dates=1)
    row, col = 4 * (WINDOW.row - 24), 4 * (WINDOW.col - 24)
    part = whole.truth[:, row : row + 4 * WINDOW.height, col : col + 4 * WINDOW.width]
    np.testing.assert_array_equal(part, site.truth)
    assert site.observations.shape == (3, 4, 64 + 48, 80 + 48)
    assert site.labels.shape == site.truth.shape[1:] == (256, 320)
    with pytest.raises(InvalidInput, match="at least 24 px inside"):
        acquire_site(Window(10, 30, 64, 80), ground=ground)


def test_passes_of_another_season_see_the_same_ground_with_other_noise(
    ground: Landscape, site: Site
) -> None:
    other = acquire_site(WINDOW, ground=ground, dates=1, passes=plan_season(8))
    np.testing.assert_array_equal(other.truth, site.truth)
    noise = other.lr - site.lr
    assert 0 < noise.std() < 0.005
    assert abs(noise.mean()) < 1e-4


def test_every_rival_shows_the_same_ground_and_truth_is_nearest_to_itself(
    site: Site, enlarged: tuple[Rival, ...]
) -> None:
    names = [one.name for one in enlarged]
    assert {"nearest", "bicubic-x4", "wiener-x2", "default-x4", "fusion-x2"} <= set(names)
    errors = {one.name: float(np.abs(one.image - site.truth).mean()) for one in enlarged}
    assert all(one.image.shape == site.truth.shape for one in enlarged)
    assert errors["truth at 2.5 m"] == 0
    assert errors["truth at 5 m"] < min(errors[name] for name in names[:-2])
    assert errors["default-x4"] < errors["bicubic-x4"] < errors["nearest"]
    told = {one.name for one in enlarged if one.half_width is not None}
    assert told == {"default-x2", "default-x4", "fusion-x2", "fusion-x4"}


def test_an_interval_of_an_index_holds_it_and_widens_with_the_bands(
    enlarged: tuple[Rival, ...],
) -> None:
    rival = next(one for one in enlarged if one.name == "default-x4")
    assert rival.half_width is not None
    low, high = NDWI.between(rival) or (None, None)
    assert low is not None
    assert high is not None
    index = NDWI.of(rival.image)
    assert ((low <= index) & (index <= high)).all()
    wider = NDWI.between(replace(rival, half_width=2 * rival.half_width))
    assert wider is not None
    assert (wider[0] <= low).all()


def test_every_use_case_ranks_the_truth_first(site: Site, enlarged: tuple[Rival, ...]) -> None:
    for case in (water_case(site, enlarged), road_case(site, enlarged), roof_case(site, enlarged)):
        f1 = {one.rival.name: one.scored.all.f1 for one in case.outcomes}
        assert f1["truth at 2.5 m"] >= max(f1["nearest"], f1["bicubic-x4"]), case.title
        for table in case.tables():
            assert {len(row) for row in table.rows} <= {len(table.columns)}
            assert table.markdown().startswith(f"**{table.title}**")
    fields = field_case(site, enlarged)
    growth = next(one for one in fields.tables if one.title.startswith("NDVI within"))
    assert growth.row("truth at 2.5 m")["correlation"] == pytest.approx(1)
    assert float(growth.row("nearest")["correlation"] or 0) < 0.99
    with pytest.raises(KeyError):
        growth.row("nothing")


def test_felled_woods_are_seen_after_the_storm_and_not_before(ground: Landscape) -> None:
    storm = fell(ground, WINDOW, seed=3)
    assert storm.felled.sum() == 1
    before = acquire_site(WINDOW, 7, ground=ground, event=(9, storm.ground), dates=1)
    after = acquire_site(WINDOW, 9, ground=ground, event=(9, storm.ground), dates=1)
    assert (
        before.landscape.parcels.kinds[-1] != "fallow"
        or not before.share_of(
            np.arange(len(before.landscape.parcels.kinds)) == len(storm.felled) - 1
        ).any()
    )
    gone = after.share_of(storm.felled) >= 0.5
    assert gone.any()
    assert (before.where("broadleaf", "conifer") | ~gone).mean() > 0.999
    rivals = [all_rivals(one, series=False) for one in (before, after)]
    case = storm_case((before, rivals[0]), (after, rivals[1]), storm.felled)
    assert case.outcome("truth at 2.5 m").scored.all.f1 > 0.8
    assert case.found().columns[1] == f"all ({case.objects.ids.max()})"


def test_pictures_and_pages_show_what_they_are_given(enlarged: tuple[Rival, ...]) -> None:
    shown = {one.name: natural(one) for one in enlarged[:3]}
    picture = panels(shown, View(Window(10, 20, 40, 60), 2), columns=2)
    assert picture.size == (2 * 120 + 4, 2 * (80 + 16 + 4))
    truth = np.eye(6, 9, dtype=np.bool_)
    colours = judged(np.ones((6, 9), np.bool_), truth)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 2
    told = page("Title", ["Text.", Table("T", ("", "a"), (("x", 0.123), ("y", None)))])
    assert told.startswith("# Title\n")
    assert "| x | 0.12 |\n| y | - |" in told
