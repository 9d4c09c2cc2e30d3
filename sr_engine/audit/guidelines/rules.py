"""The rules, and what an audit says to each: passed, failed, or not known.

`srcube guidelines` prints them with the figures of our own experiments, `srcube evaluate` fills
them in as a checklist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Audit = Mapping[str, Any]
Verdict = tuple[bool | None, str]  # passed, failed or not known; and the figure behind it

MOST_INCONSISTENT = 0.05  # share of pixels beyond three standard deviations of the noise
LARGEST_REFLECTANCE, LARGEST_ANGLE_DEG = 0.005, 1.0  # about twice the noise; a hue one can see
LARGEST_SHIFT_PX = 0.25  # of a measured pixel
LEAST_CLEAN = 0.5  # share of pixels without any flag


@dataclass(frozen=True)
class Rule:
    """One rule: `text` says what to do, `why` the reason, `check` looks at an audit's document."""

    id: str
    title: str
    text: str
    why: str
    check: Callable[[Audit], Verdict]


def checklist(audit: Audit) -> list[dict[str, Any]]:
    """What the document of an audit says to each rule; `passed` is None where it cannot."""
    found = []
    for rule in RULES:
        passed, figure = rule.check(audit)
        found.append({"rule": rule.id, "title": rule.title, "passed": passed, "figure": figure})
    return found


def _baseline(audit: Audit) -> Verdict:
    return any(name.startswith("bicubic") for name in audit["rows"]), "row of bicubic in the table"


def _better(audit: Audit) -> Verdict:
    own, bicubic = _rows(audit)
    if "rmse" not in own:
        return None, "no truth given"
    gain = own["psnr_db"] - bicubic["psnr_db"]
    return gain > 0, f"{gain:+.2f} dB over bicubic"


def _consistent(audit: Audit) -> Verdict:
    share = _rows(audit)[0]["inconsistent_share"]
    if share is None:
        return None, "no pixel could be compared"
    return share <= MOST_INCONSISTENT, f"{100 * share:.1f} % of pixels beyond 3 sigma of the noise"


def _radiometry(audit: Audit) -> Verdict:
    own = _rows(audit)[0]
    passed = own["reflectance"] <= LARGEST_REFLECTANCE and own["spectral"] <= LARGEST_ANGLE_DEG
    return passed, f"{own['reflectance']:.4f} of reflectance, {own['spectral']:.2f} degrees"


def _geometry(audit: Audit) -> Verdict:
    shift = _rows(audit)[0]["spatial"]
    if shift is None:
        return False, "no shift below 5 px fits"
    return shift <= LARGEST_SHIFT_PX, f"shifted by {shift:.2f} measured px"


def _invention(audit: Audit) -> Verdict:
    own, bicubic = _rows(audit)
    if own.get("hallucination") is None or own.get("improvement") is None:
        return None, "no truth given"
    figures = " / ".join(f"{own[key]:.2f}" for key in ("improvement", "omission", "hallucination"))
    beside = bicubic.get("hallucination") or 0.0
    return own["improvement"] > own["hallucination"], f"{figures}, bicubic invents {beside:.2f}"


def _resolution(audit: Audit) -> Verdict:
    period = _rows(audit)[0].get("effective_period_m")
    grid = audit["grid_spacing_m"]
    if period is None:
        limits = [band["period_m_1_dates"] for band in audit["possible_resolution"].values()]
        known = [limit for limit in limits if limit is not None]
        best = f"{min(known):.0f} m" if known else "not known"
        return None, f"grid {grid:g} m; no truth; one date can carry periods down to {best}"
    return True, f"grid {grid:g} m, shortest period carried {period:.1f} m"


def _provenance(audit: Audit) -> Verdict:
    record = audit.get("provenance")
    if not record:
        return False, "the file carries no record"
    wanted = ("model_card", "weights_sha256", "inputs", "software", "psf")
    missing = [key for key in wanted if not record.get(key)]
    return not missing, f"lacks {', '.join(missing)}" if missing else "complete"


def _uncertainty(audit: Audit) -> Verdict:
    record = audit.get("provenance") or {}
    known = record.get("calibration")
    if not known:
        return False, "no calibration set is named"
    name = str(known.get("sha256") or known.get("id") or "unnamed")[:12]
    places = ", ".join(known.get("places", ())) or "no place told"
    return True, f"set {name}, calibrated at {places}"


def _flags(audit: Audit) -> Verdict:
    clean = audit["quality"]["clean"]
    return clean >= LEAST_CLEAN, f"{100 * clean:.0f} % of pixels without a flag"


def _disjoint(audit: Audit) -> Verdict:
    card = (audit.get("provenance") or {}).get("model_card") or {}
    data = card.get("training_data")
    if not data:
        return None, "the model does not say what it was trained on"
    return (True, "not trained") if data == "none" else (None, f"trained on {data}"[:200])


def _rows(audit: Audit) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The image's own row and bicubic's."""
    rows = audit["rows"]
    baseline = next(name for name in rows if name.startswith("bicubic-x"))
    return rows[audit["image"]], rows[baseline]


RULES = (
    Rule(
        "baseline",
        "Put bicubic beside every figure",
        "Report each measure for bicubic interpolation of the same input too.",
        "A sharper picture is not yet a better one; what does not beat interpolation adds nothing.",
        _baseline,
    ),
    Rule(
        "gain",
        "Show a gain over bicubic against truth, at a place the model has not seen",
        "Measure error against truth; if there is none, do not speak of a gain.",
        "Without truth, sharpness and invention look the same.",
        _better,
    ),
    Rule(
        "consistency",
        "Degrade the result and compare it with the input",
        "See the result through the band's PSF; at most 5 % of pixels may differ from the input "
        "by more than three standard deviations of the sensor's noise.",
        "What the sensor would not have measured is wrong. The converse does not hold: detail "
        "the sensor cannot see passes every such test.",
        _consistent,
    ),
    Rule(
        "radiometry",
        "Keep reflectance and spectra",
        "Mean reflectance within 0.005 of the input's, mean spectral angle within one degree.",
        "Indices and classifications are made of ratios; a pleasing tint falsifies them.",
        _radiometry,
    ),
    Rule(
        "geometry",
        "Keep things where they are",
        "The result may be shifted by a quarter of a measured pixel at most.",
        "Half a pixel is the commonest mistake of resampling, and change detection sees it first.",
        _geometry,
    ),
    Rule(
        "invention",
        "Tell improvement, omission and hallucination together",
        "Give all three, which sum to one, and bicubic's; improvement must exceed hallucination.",
        "Each alone misleads: an image that adds nothing hallucinates nothing.",
        _invention,
    ),
    Rule(
        "resolution",
        "Never call grid spacing resolution",
        "Tell the shortest period that is carried; without truth, the one that PSF, noise and the "
        "number of dates allow.",
        "A grid can be made as fine as one likes. One date of 10 m pixels carries periods of "
        "about 18 m, whatever grid it is put on; only more dates carry more.",
        _resolution,
    ),
    Rule(
        "uncertainty",
        "Give an interval, and say on what it was calibrated",
        "Keep an error scale with every pixel, calibrated on sites apart from training.",
        "A user has to see where not to believe a pixel.",
        _uncertainty,
    ),
    Rule(
        "flags",
        "Flag what is not to be trusted, where a program can test it",
        "Clouds, saturation, gaps, values outside the model's domain, inconsistency.",
        "What stands in a paper's discussion does not travel with the pixels.",
        _flags,
    ),
    Rule(
        "provenance",
        "Let every file say how it was made",
        "Model, weights' digest, software and commit, inputs with dates, baselines and digests, "
        "PSF, settings, calibration set; run it again with `srcube reproduce`.",
        "A result that cannot be made again cannot be checked.",
        _provenance,
    ),
    Rule(
        "disjoint",
        "Keep training, calibration and test places apart",
        "Name the places of each; none may serve twice.",
        "A model remembers its training places, and an interval calibrated there is too narrow.",
        _disjoint,
    ),
)
