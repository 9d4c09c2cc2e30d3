"""What the README quotes in sentences is what the committed records say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import sr_engine
from sr_engine.usecases.rivals import TRUTH
from tests.quotes import ENLARGED, ROOT, Quoted, prose_of, rows
from tests.tools.readme_tables import measured

ENGINE = Path(sr_engine.__file__).parent
TABLE = re.compile(r"<!-- (?:table|figures).*?<!-- end of (?:table|figures) -->", re.DOTALL)
CHOSEN = (
    "2.5 m grid", "5 or 2.5 m grid", "(3 and 1.5)", "90 % interval", "below the 0.60 we wanted",
    "level 1C", "level 2A", "to 10 m by a simulated sensor", "under 10 m", "Level 1B",
    "up to 3 px", "20 m bands", "10 m,", "10 m bands", "256 x 256", "240 x 300", "96 x 112",
    "NAIP 1 m", "default-x2", "rec-x2", "fusion-x2", "wiener-x2", "sharpen20",
    "bicubic is 0 by definition", "calibrated at five places",
)  # fmt: skip


def record(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ENGINE / path).read_text("utf-8"))
    return found


def section(title: str) -> str:
    """A section of the README without its tables and pictures."""
    readme = (ROOT / "README.md").read_text("utf-8")
    text = readme.partition(f"## {title}\n")[2].partition("\n## ")[0]
    text = TABLE.sub("", text)
    return re.sub(r"!\[[^]]*\]\([^)]*\)|\]\([^)]*\)", "", text)


@pytest.fixture(scope="module", name="honest")
def fixture_honest() -> Quoted:
    """The section of figures, and what it has to quote."""
    x2, x4 = (record(f"default/weights/default-x{n}.json")["figures"] for n in (2, 4))
    held2, held4 = (record(f"trust/calibrations/default-x{n}.json")["figures"] for n in (2, 4))
    csr, rec = (record(f"l1b/weights/{name}-small.json")["metrics"][0] for name in ("csr", "rec"))
    sharp = [one["value"] for one in record("sharpen/weights/sharpen20.json")["scores"][-2:]]
    water = {name: one["F1, under 10 m"] for name, one in rows("shoreline", "Water: agr").items()}
    brook = max(water[name] for name in ENLARGED)
    season, pairs = measured("fusion"), measured("sr")
    told = f"""
        (+{x2["default_x2_sharp_gain_db"]:.1f} dB at x2, +{x4["default_x4_sharp_gain_db"]:.1f} at
        x4)

        improves {x2["default_improvement_minus_bicubic"]:.2f} more than bicubic and hallucinates
        {x2["default_hallucination_minus_bicubic"]:.2f} more

        ({x2["default_misfit_l1"]:.4f} reflectance; bicubic {x2["bicubic_misfit_l1"]:.4f})

        at x2: {held2["auroc_worst_decile"]:.2f}; detail added
        {held2["auroc_detail_added_control"]:.2f}, local gradient
        {held2["auroc_local_gradient_control"]:.2f}

        with the error is {held2["spearman_error"]:.2f}

        {100 * held2["coverage_90_in_domain"]:.1f} % (x2) and
        {100 * held4["coverage_90_in_domain"]:.1f} % (x4) are held,
        {held2["spearman_error_in_domain"]:.2f} and {held4["spearman_error_in_domain"]:.2f} is the
        rank correlation

        (F1 {short(brook)} at best, truth {short(water[TRUTH])})

        scores move by up to {short(measured("usecases")["largest_spread"])}:

        right to {csr["value"]:.3f} px

        stands {rec["value"] - rec["bicubic"]:.1f} dB over bicubic that is told the true shifts

        {sharp[0]:.1f} and {sharp[1]:.1f} dB over bicubic at two places

        it leaves {pairs["l1b_shift_after_px"]:.2f} px of {pairs["l1b_shift_before_px"]:.2f} px (the
        best translation: {pairs["l1b_shift_translated_px"]:.2f})

        stands {season["season_fusion_gain_db"]:.1f} dB over bicubic of it (`wiener-x2`
        {season["season_wiener_gain_db"]:.1f} dB)

        {season["small_season_dates_used"]:.0f} dates are used and gain
        {season["small_season_fusion_gain_db"]:.1f} dB

        held {100 * season["small_season_interval_90_coverage"]:.0f} % of the errors

        gained {season["composites_fusion_gain_db"]:.1f} dB over bicubic of the date in the median
        and {season["composites_fusion_gain_least_db"]:.1f} dB at worst, one date alone
        {season["composites_one_date_gain_db"]:.1f} dB"""
    assert season["season_dates_used"] == 1
    return Quoted("README", section("What is honest about it"), told, CHOSEN)


def short(share: float) -> str:
    return f"{share:.2f}".removeprefix("0")


def test_sentences_of_the_readme_quote_the_records(honest: Quoted) -> None:
    assert honest.missing == []


def test_no_figure_of_the_readme_stands_alone(honest: Quoted) -> None:
    assert honest.unheld == []


def test_goals_that_were_missed_are_told_as_missed() -> None:
    for factor, goal in ((2, 3.0), (4, 1.5)):
        figures = record(f"default/weights/default-x{factor}.json")["figures"]
        assert figures[f"default_x{factor}_sharp_gain_db"] < goal
    held = record("trust/calibrations/default-x2.json")["figures"]
    assert held["spearman_error"] < 0.6


def test_hints_warn_of_roofs_no_better_than_a_coin() -> None:
    hints = rows("settlements", "Roofs: does it")
    assert max(value for name in ENLARGED for value in hints[name].values()) < 0.53


def test_notebooks_quote_what_the_readme_does() -> None:
    readme = section("What is honest about it")
    for name, figure in (("03_fusion_and_its_limits", "76 %"), ("04_level_1b", "0.13 px")):
        assert figure in prose_of(ROOT / f"notebooks/{name}.ipynb")
        assert figure in readme
    rank = [record(f"trust/calibrations/default-x{n}.json")["figures"] for n in (2, 4)]
    told = prose_of(ROOT / "notebooks/06_can_i_trust_it.ipynb")
    assert "(rank correlation about 0.5)" in told
    assert all(abs(one["spearman_error_in_domain"] - 0.5) < 0.05 for one in rank)
