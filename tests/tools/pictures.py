"""Draw the README's pictures from the experiments: `make pictures`.

`methods.webp` shows one village enlarged in every way, `roofs.webp` what each way finds of its
roofs; `dates.svg` what more dates are worth, `intervals.svg` what the calibrated interval holds.
All of them are simulated but the last; some two core-minutes.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from datacube import Window
from sr_engine.fusion import fuse
from sr_engine.fusion.bench import SEEDS, gain_db
from sr_engine.fusion.trial import Trial, TrialPlan, simulate_trial
from sr_engine.metrics import psnr
from sr_engine.trust.calibration import CALIBRATIONS
from sr_engine.usecases import Rival, acquire_site, all_rivals, roof_case, settlements
from sr_engine.usecases.pictures import FALSE, HIT, MISSED, View, natural
from sr_engine.usecases.rivals import TRUTH
from tests.tools.charts import Chart, Line

FOLDER = Path(__file__).resolve().parents[2] / "notebooks/images"
Picture = NDArray[np.uint8]

VILLAGE = View(Window(96, 548, 150, 170), 3)  # of the use case's window, at 2.5 m
WAYS = {
    "nearest": "measured, 10 m",
    "bicubic-x4": "bicubic",
    "wiener-x4": "wiener-x4",
    "default-x4": "default-x4",
    "fusion-x4": "fusion-x4, 8 dates",
    TRUTH: "truth, 2.5 m",
}
JUDGED = ("bicubic-x4", "default-x4", TRUTH)
DATES = (1, 2, 4, 8, 16, 30)
PAPER, INK, QUIET = (255, 255, 255), (29, 37, 41), (92, 104, 110)
RIM, NOTHING = (160, 170, 175), (238, 241, 243)
GAP, HEAD, FOOT, TEXT, SMALL = 14, 42, 44, 25, 21  # pixels


@dataclass(frozen=True)
class Panel:
    """One image of a sheet, its name, and a figure at the right of it."""

    name: str
    figure: str
    pixels: Picture


def sheet(panels: Sequence[Panel], note: str, columns: int) -> Image.Image:
    """Panels in rows under their names, a note below."""
    height, width = panels[0].pixels.shape[:2]
    rows = -(-len(panels) // columns)
    size = (columns * (width + GAP) + GAP, rows * (height + HEAD + GAP // 2) + FOOT + GAP // 2)
    drawn = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(drawn)
    text, small = ImageFont.load_default(TEXT), ImageFont.load_default(SMALL)
    for number, panel in enumerate(panels):
        left = GAP + (number % columns) * (width + GAP)
        top = (number // columns) * (height + HEAD + GAP // 2)
        pen.text((left, top + HEAD - 9), panel.name, INK, text, anchor="ls")
        pen.text((left + width, top + HEAD - 9), panel.figure, QUIET, small, anchor="rs")
        drawn.paste(Image.fromarray(panel.pixels), (left, top + HEAD))
        pen.rectangle((left, top + HEAD, left + width - 1, top + HEAD + height - 1), None, RIM)
    pen.text((GAP, size[1] - FOOT // 2 + 7), note, QUIET, small, anchor="ls")
    return drawn


def methods(rivals: Mapping[str, Rival]) -> Image.Image:
    """One village in every way, with the PSNR of the whole window in four bands."""
    truth = rivals[TRUTH].image
    panels = []
    for name, words in WAYS.items():
        one = rivals[name]
        figure = "" if name == TRUTH else f"{psnr(one.image, truth):.1f} dB"
        panels.append(Panel(words, figure, VILLAGE.of(natural(one))))
    place = "Simulated village, 425 x 375 m, 21 June."
    note = f"{place} PSNR of all 1.0 x 1.8 km around it, four bands."
    return sheet(panels, note, columns=3)


def roofs(rivals: Sequence[Rival]) -> Image.Image:
    """What one threshold of red finds of the bright roofs."""
    case = roof_case(acquire_site(settlements.WINDOW, dates=1), tuple(rivals))
    panels = [
        Panel(WAYS[name], f"F1 {case.outcome(name).scored.all.f1:.2f}", VILLAGE.of(dimmed(drawn)))
        for name, drawn in case.picture(*JUDGED).items()
    ]
    drawn = sheet(panels, "", columns=len(panels))
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(SMALL)
    across, base = GAP, drawn.height - FOOT // 2 + 7
    told = ((HIT, "roof, found"), (MISSED, "roof, missed"), (FALSE, "no roof, drawn as one"))
    for colour, words in told:
        pen.rectangle((across, base - 17, across + 18, base + 1), colour, QUIET)
        pen.text((across + 27, base), words, QUIET, font, anchor="ls")
        across += 27 + round(font.getlength(words)) + 36
    pen.text((across, base), "One threshold of red for all. Simulated.", QUIET, font, anchor="ls")
    return drawn


def dimmed(drawn: Picture) -> Picture:
    """With ground that nobody claims in light grey, so that yellow is seen on it."""
    return np.where((drawn == PAPER).all(axis=-1, keepdims=True), NOTHING, drawn).astype(np.uint8)


def dates() -> Chart:
    """What several dates gain over bicubic of their mean, median of three landscapes."""
    lines = []
    trials = [simulate_trial(replace(TrialPlan(seed=seed), dates=DATES[-1])) for seed in SEEDS]
    for factor, colour in ((2, "#0072b2"), (4, "#d55e00")):
        gains = [[_gain(trial, count, factor) for trial in trials] for count in DATES]
        middle = [statistics.median(one) for one in gains]
        spread = [(min(one), max(one)) for one in gains]
        lines.append(Line(f"x{factor}", colour, DATES, middle, spread))
    return Chart(
        "What more dates are worth",
        "Fusion over bicubic of the dates' mean, PSNR in dB. Simulated ground that does not "
        "change; median and range of three landscapes.",
        "dates fused",
        lines,
        logarithmic=True,
    )


def _gain(trial: Trial, count: int, factor: int) -> float:
    """Of the first dates of a trial alone."""
    first = replace(trial, observations=trial.observations[:count])
    return gain_db(first, fuse(first.observations, first.bands, factor))


def intervals() -> Chart:
    """What intervals of 80, 90 and 95 % hold at the places that they were tested at."""
    promised = (80.0, 90.0, 95.0)
    lines = [Line("as promised", "#5c686e", promised, promised, dashed=True)]
    for factor, colour in ((2, "#0072b2"), (4, "#d55e00")):
        path = CALIBRATIONS / f"default-x{factor}.json"
        found = json.loads(path.read_text("utf-8"))["figures"]
        held = [100 * found[f"coverage_{level:.0f}"] for level in promised]
        lines.append(Line(f"x{factor}, all places", colour, promised, held))
        for name, words in (("sharp", "sharp aerial truth"), ("wald", "degraded Sentinel-2")):
            part = [100 * found[f"coverage_90_{name}"]]
            above = name == "wald"
            lines.append(Line(f"x{factor}, {words}", colour, promised[1:2], part, before=above))
    return Chart(
        "What the interval promises, and what it held",
        "Errors within the interval of the default models, in percent, at five places that neither "
        "model nor calibration has seen.",
        "interval, %",
        lines,
    )


def main() -> None:
    """Draw all of them."""
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    rivals = all_rivals(acquire_site(settlements.WINDOW))
    named = {one.name: one for one in rivals}
    methods(named).save(FOLDER / "methods.webp", quality=88, method=6)
    roofs(rivals).save(FOLDER / "roofs.webp", lossless=True, method=6)
    for name, chart in (("dates", dates()), ("intervals", intervals())):
        (FOLDER / f"{name}.svg").write_text(chart.svg(), "utf-8")
    print(f"pictures: methods, roofs, dates, intervals in {FOLDER.name}")


if __name__ == "__main__":
    main()
