"""`evaluate`, its page and its checklist; resolution and information; the guidelines."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from datacube import Grid, Window, find_bands
from datacube.cog import RasterSpec, write_cog
from datacube.errors import InvalidInput
from datacube.scene import dn_from_reflectance
from datacube.sources.plan import Given
from sr_engine.audit.evaluate import evaluate, interpolated
from sr_engine.audit.guidelines.rules import RULES, checklist
from sr_engine.audit.guidelines.text import (
    figures,
    guidelines_page,
    guidelines_text,
    supports,
    write_guidelines,
)
from sr_engine.audit.pairs import Triple, read_triple
from sr_engine.audit.report import html_report
from sr_engine.audit.resolution import (
    detail_added,
    entropy_gain,
    fourier_ring_correlation,
    resolution_against,
    resolution_possible,
)
from tests.opensr_cases import images, noise, smooth
from tests.scenes import BANDS, small_grid
from tests.test_cli import srcube

FACTOR = 4
Image = NDArray[np.float32]


def triple(name: str = "near") -> Triple:
    case = {key: one.astype(np.float32) for key, one in images(FACTOR, 4).items()}
    return Triple("out.tif", BANDS, FACTOR, 10.0, case["lr"], case[name], case["hr"])


def written(path: Path, image: Image, grid: Grid) -> Path:
    dn = dn_from_reflectance(image)

    def read(window: Window) -> NDArray[np.uint16]:
        return dn[:, *window.slices]

    write_cog(path, RasterSpec(grid, BANDS), read)
    return path


def files(folder: Path) -> tuple[Path, Path, Path]:
    case = triple()
    assert case.hr is not None
    grid = small_grid((48, 68))
    return (
        written(folder / "sr.tif", case.sr, grid.refined(FACTOR)),
        written(folder / "lr.tif", case.lr, grid),
        written(folder / "hr.tif", case.hr, grid.refined(FACTOR)),
    )


def test_the_row_of_bicubic_is_always_there_and_beaten_by_what_is_nearer() -> None:
    rows = evaluate(triple()).document["rows"]
    assert list(rows) == ["bicubic-x4", "out.tif"]
    own, bicubic = rows["out.tif"], rows["bicubic-x4"]
    assert own["psnr_db"] > bicubic["psnr_db"] + 3
    assert own["improvement"] > bicubic["improvement"]
    assert own["effective_period_m"] < bicubic["effective_period_m"]


def test_without_truth_nothing_is_said_against_truth() -> None:
    case = triple()
    document = evaluate(Triple(case.name, BANDS, FACTOR, 10.0, case.lr, case.sr)).document
    assert document["truth"] is False
    assert "psnr_db" not in document["rows"]["out.tif"]
    by_rule = {one["rule"]: one["passed"] for one in checklist(document)}
    assert by_rule["gain"] is None
    assert by_rule["invention"] is None
    assert by_rule["baseline"] is True
    assert by_rule["provenance"] is False


def test_the_checklist_fails_an_image_that_is_shifted_bright_and_invented() -> None:
    bad = evaluate(triple("shifted")).document
    by_rule = {one["rule"]: one["passed"] for one in checklist(bad)}
    assert by_rule["geometry"] is False
    assert by_rule["radiometry"] is False
    assert by_rule["consistency"] is False
    assert set(by_rule) == {rule.id for rule in RULES}
    case = triple()
    wild = case.sr + np.float32(0.2) * (noise(case.sr.shape, 9) - 0.5).astype(np.float32)
    invented = checklist(evaluate(replace(case, sr=wild)).document)
    assert {one["rule"]: one["passed"] for one in invented}["invention"] is False


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        self.links += [value or "" for key, value in attrs if key in {"src", "href"}]


def test_the_page_holds_its_pictures_and_asks_for_nothing() -> None:
    case = triple()
    odd = replace(case, name="<b>&.tif")
    found = evaluate(odd)
    page = html_report(found, checklist(found.document))
    parser = _Links()
    parser.feed(page)
    assert parser.images == 7
    assert all(link.startswith("data:image/png;base64,") for link in parser.links)
    assert "<b>&.tif" not in page
    assert "bicubic-x4" in page
    assert "url(" not in page


def test_the_command_audits_files_and_writes_the_page(tmp_path: Path) -> None:
    sr, lr, hr = files(tmp_path)
    out = tmp_path / "new" / "report.html"
    done = srcube("evaluate", str(sr), "--lr", str(lr), "--hr", str(hr), "--out", str(out))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["rows"]["sr.tif"]["psnr_db"] > document["rows"]["bicubic-x4"]["psnr_db"]
    assert len(document["checklist"]) == len(RULES)
    assert out.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("coarse truth", "another grid"),
        ("truth elsewhere", "another grid"),
        ("quarter of a pixel", "different grids"),
        ("odd offset", "one grid"),
        ("other factor", "whole factor"),
        ("constant", "constant"),
        ("elsewhere", "different places"),
    ],
)
def test_what_does_not_belong_together_is_refused_in_one_line(
    tmp_path: Path, change: str, said: str
) -> None:
    sr, lr, _ = files(tmp_path)
    case, grid = triple(), small_grid((48, 68))
    assert case.hr is not None
    truth = written(tmp_path / "t.tif", case.hr[:, ::2, ::2], grid.refined(2))
    moved = Grid.from_origin(grid.crs, left=600_012.5, top=5_000_020, gsd_m=10, shape=(48, 68))
    odd = Grid.from_origin(grid.crs, left=600_011, top=5_000_020, gsd_m=10, shape=(48, 68))
    far = Grid.from_origin(grid.crs, left=700_010, top=5_000_020, gsd_m=10, shape=(48, 68))
    part = Window(16, 16, 100, 100)
    chosen = {
        "coarse truth": (sr, lr, truth),
        "truth elsewhere": (sr, lr, written(tmp_path / "p.tif", case.hr[:, *part.slices],
                                            grid.refined(FACTOR).cropped(part))),
        "quarter of a pixel": (written(tmp_path / "m.tif", case.sr, moved.refined(4)), lr, None),
        "odd offset": (written(tmp_path / "o.tif", case.sr, odd.refined(FACTOR)), lr, None),
        "other factor": (lr, lr, None),
        "constant": (sr, written(tmp_path / "c.tif", np.full_like(case.lr, 0.2), grid), None),
        "elsewhere": (sr, written(tmp_path / "f.tif", case.lr, far), None),
    }[change]  # fmt: skip
    with pytest.raises(InvalidInput, match=said) as caught:
        evaluate(read_triple(*chosen, Given()))
    assert "\n" not in str(caught.value)


def test_a_result_of_a_part_is_compared_with_that_part(tmp_path: Path) -> None:
    case, grid = triple(), small_grid((48, 68))
    part = Window(5, 9, 30, 41)
    fine = part.scaled(FACTOR)
    sr = written(tmp_path / "part.tif", case.sr[:, *fine.slices], grid.cropped(part).refined(4))
    lr = written(tmp_path / "lr.tif", case.lr, grid)
    found = read_triple(sr, lr, None, Given())
    np.testing.assert_allclose(found.lr, case.lr[:, *part.slices], atol=1e-4)
    np.testing.assert_allclose(found.sr, case.sr[:, *fine.slices], atol=1e-4)
    assert found.bands == BANDS


def test_interpolation_of_the_triple_keeps_a_plane() -> None:
    rows, cols = np.mgrid[0:30, 0:41].astype(np.float32)
    plane = np.stack([0.1 + 0.002 * rows + 0.001 * cols] * 4)
    case = Triple("x", BANDS, 4, 10.0, plane, np.zeros((4, 120, 164), np.float32))
    fine = interpolated(case)
    assert fine.shape == (4, 120, 164)
    steps = np.diff(fine[0, 60, 20:-20])
    np.testing.assert_allclose(steps, 0.00025, atol=2e-6)


@given(cutoff=st.floats(0.1, 0.4), seed=st.integers(1, 40))
def test_ring_correlation_falls_where_an_image_was_cut_off(cutoff: float, seed: int) -> None:
    """White noise, low-passed: all of the truth below the cutoff, other noise beyond it."""
    truth, other = noise((1, 90, 112), seed), noise((1, 90, 112), seed + 100)
    radius = np.hypot(np.fft.fftfreq(90)[:, None], np.fft.fftfreq(112)[None, :])
    low = radius < cutoff
    mixed = np.fft.ifft2(np.fft.fft2(truth[0]) * low + np.fft.fft2(other[0]) * ~low).real
    frequency, curve = fourier_ring_correlation(mixed[None], truth)
    assert curve[frequency < cutoff - 0.05].min() > 0.9
    assert np.abs(curve[frequency > cutoff + 0.05]).max() < 0.5
    period = resolution_against(mixed[None], truth, 2.5).period_m
    assert period == pytest.approx(2.5 / cutoff, rel=0.15)


def test_what_is_possible_grows_with_dates_and_never_beats_the_optics() -> None:
    (red, swir) = find_bands(["B04", "B11"])
    periods = [resolution_possible(red, 10.0, dates=count).period_m or 0 for count in (1, 2, 8)]
    assert periods == sorted(periods, reverse=True)
    assert 16 < periods[0] < 20  # one date of 10 m pixels: about the period of its Nyquist
    assert periods[-1] > 10
    assert (resolution_possible(swir, 10.0).period_m or 0) > 25
    pixel = resolution_possible(red, 10.0).equivalent_pixel_m
    assert pixel == pytest.approx(periods[0] / 2)


def test_detail_and_entropy_count_what_was_added_and_nothing_else() -> None:
    base = smooth(noise((2, 64, 80), 2), 6)
    np.testing.assert_allclose(detail_added(base + 0.02, base), 0.02)
    np.testing.assert_allclose(entropy_gain(base, base), 0)
    rough = base + 0.05 * (noise(base.shape, 3) - 0.5)
    assert entropy_gain(rough, base).min() > 0
    assert entropy_gain(ndimage.gaussian_filter(base, (0, 3, 3)), base).mean() < 0
    assert entropy_gain(base, base).shape == (4, 5)


def test_guidelines_support_their_rules_with_our_own_figures() -> None:
    text = guidelines_text()
    assert figures()["simulated"] is True
    assert set(supports()) <= {rule.id for rule in RULES}
    for rule in RULES:
        assert rule.title in text
        assert f"(`{rule.id}`)" in text
    for said in supports().values():
        assert f"Our figures (simulated ground): {said}" in text
    bicubic = figures()["methods"]["bicubic-x4"]["psnr_db"]
    assert f"{bicubic:.1f} dB" in text


def test_invented_detail_passes_consistency_and_fails_against_truth() -> None:
    """The experiment on which the guidelines rest their warning."""
    steps: list[dict[str, Any]] = figures()["invented"]
    assert {round(one["consistency_rms"], 2) for one in steps} == {
        round(steps[0]["consistency_rms"], 2)
    }
    assert [one["psnr_db"] for one in steps] == sorted((s["psnr_db"] for s in steps), reverse=True)
    assert steps[-1]["hallucination"] > 2 * steps[0]["hallucination"]


def test_guidelines_are_written_with_their_charts_and_make_a_page(tmp_path: Path) -> None:
    done = srcube("guidelines", "--out", str(tmp_path / "g.md"))
    assert done.returncode == 0, done.stderr
    named = re.findall(r"!\[.*?\]\((.*?)\)", (tmp_path / "g.md").read_text("utf-8"))
    assert named
    assert all((tmp_path / name).read_text("utf-8").startswith("<svg") for name in named)
    parser = _Links()
    parser.feed(guidelines_page())
    assert all(link.startswith("data:image/svg+xml;base64,") for link in parser.links)
    with pytest.raises(InvalidInput, match=r"\.md"):
        write_guidelines(tmp_path / "g.docx")


def test_the_rule_of_intervals_names_the_calibration_set_and_its_places() -> None:
    (rule,) = [one for one in RULES if one.id == "uncertainty"]
    known = {"sha256": "67c97b06b6f2d9d3", "places": ["here", "there"]}
    told = "set 67c97b06b6f2, calibrated at here, there"
    assert rule.check({"provenance": {"calibration": known}}) == (True, told)
    missing = (False, "no calibration set is named")
    assert rule.check({"provenance": {"calibration": None}}) == missing
