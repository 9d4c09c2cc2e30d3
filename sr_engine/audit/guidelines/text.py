"""The guidelines as Markdown and as a page: rules, reasons, and our own figures behind them."""

import base64
import json
import shutil
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from datacube.errors import InvalidInput
from sr_engine.audit.guidelines.rules import RULES

FOLDER = Path(__file__).with_name("figures")
CHARTS = {"resolution": "dates.svg", "consistency": "psf.svg"}  # rule: chart beside it

WHEN = (
    "to look at scenes more easily and to guide a person's eye, the measured pixels a swipe away",
    "to place edges of fields, roads and shores better than 10 m pixels do, where dates agree",
    "as one input among others of a method that is itself validated with it and without it",
)
WHEN_NOT = (
    "to find or identify what is smaller than the shortest period carried: ships, cars, trees",
    "as evidence of what was there on a day: pixels are inferred, and may come from other dates",
    "for trends or indices without testing that reflectance and spectra were kept",
    "under cloud, at saturation, beside gaps, or at a level or sensor the model was not made for",
    "where bicubic does as well: it is cheaper and invents less",
)
REPORT = (
    "model, weights' digest, software version and commit",
    "inputs: ids, dates, processing baselines, digests",
    "the PSF and the noise assumed",
    "errors against truth at places apart from training, with bicubic's row",
    "improvement, omission and hallucination together",
    "the shortest period carried, apart from the grid spacing",
    "what the intervals were calibrated on, and their coverage there",
    "shares of pixels by quality flag, and which flags could not be tested",
    "where the method failed",
)


def guidelines_text() -> str:
    """The whole as Markdown, figures by their file names."""
    parts = [
        "# Accountable super-resolution of Sentinel-2",
        _opening(),
        "## When to use it",
        _bullets(WHEN),
        "## When not to",
        _bullets(WHEN_NOT),
        "## Rules",
    ]
    for number, rule in enumerate(RULES, start=1):
        parts += [f"### {number}. {rule.title}", rule.text, f"Why: {rule.why}"]
        shown = supports().get(rule.id)
        if shown:
            parts.append(f"Our figures (simulated ground): {shown}")
        if rule.id in CHARTS:
            parts.append(f"![{rule.title}, simulated]({CHARTS[rule.id]})")
    parts += ["## What to report", _bullets(REPORT), "## Checklist", _boxes()]
    return "\n\n".join(parts) + "\n"


def write_guidelines(out: Path) -> list[Path]:
    """Write the Markdown and, beside it, its charts; returns the files."""
    if out.suffix.lower() != ".md":
        raise InvalidInput(f"need a name that ends in .md, got {out.name!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(guidelines_text(), "utf-8")
    charts = [out.with_name(name) for name in CHARTS.values()]
    for chart in charts:
        shutil.copyfile(FOLDER / chart.name, chart)
    return [out, *charts]


def guidelines_page() -> str:
    """The same as an HTML page that holds its charts and asks for nothing from elsewhere."""
    body = [_html(block.strip()) for block in guidelines_text().split("\n\n")]
    style = (
        "body{font:16px/1.55 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem;"
        "color:#1d2529;background:#fff}h3{margin-top:2rem}img{max-width:100%}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Guidelines - srcube</title><style>{style}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


@cache
def figures() -> dict[str, Any]:
    """What the experiments found, as `make` wrote it."""
    found: dict[str, Any] = json.loads((FOLDER / "figures.json").read_text("utf-8"))
    return found


def supports() -> dict[str, str]:
    """For each rule the sentence that our own experiments support it with, by the rule's id."""
    methods, made = figures()["methods"], figures()
    bicubic, wiener = methods["bicubic-x4"], methods["wiener-x4"]
    fused = methods["fusion of 8 dates"]
    plain, bold = made["invented"][0], made["invented"][-1]
    by_date = {one["dates"]: one for one in made["dates"]}
    gains = {one["width"]: one["gain_db"] for one in made["psf"]}
    shares = {
        name: " / ".join(f"{row[key]:.2f}" for key in ("improvement", "omission", "hallucination"))
        for name, row in (("bicubic", bicubic), ("wiener", wiener), ("fusion", fused))
    }
    return {
        "baseline": f"bicubic itself reaches {bicubic['psnr_db']:.1f} dB at x4; Wiener "
        f"deconvolution of one date {wiener['psnr_db']:.1f} dB, fusion of eight dates "
        f"{fused['psnr_db']:.1f} dB ({made['place']}).",
        "gain": "detail of no truth at all, added with an amplitude of "
        f"{bold['amplitude']:g}, looks sharper and costs "
        f"{plain['psnr_db'] - bold['psnr_db']:.1f} dB.",
        "consistency": f"bicubic differs from its input by {bicubic['consistency_rms']:.1f} "
        f"standard deviations of the noise, Wiener by {wiener['consistency_rms']:.1f}. Yet "
        f"invented detail of amplitude {bold['amplitude']:g} leaves the difference at "
        f"{bold['consistency_rms']:.2f}, and raises hallucination from "
        f"{plain['hallucination']:.2f} to {bold['hallucination']:.2f}. A PSF taken 30 % too wide "
        f"leaves {gains[0.7]:.2f} dB of a gain of {gains[1.0]:.2f} dB.",
        "radiometry": f"mean difference from the input: bicubic {bicubic['reflectance']:.4f}, "
        f"Wiener {wiener['reflectance']:.4f}, fusion {fused['reflectance']:.4f} of reflectance.",
        "invention": f"improvement / omission / hallucination: bicubic {shares['bicubic']}, Wiener "
        f"{shares['wiener']}, fusion {shares['fusion']}.",
        "resolution": "shortest period carried on a grid of 2.5 m: "
        f"{by_date[1]['reached_m']:.0f} m with one date, {by_date[2]['reached_m']:.0f} m with two, "
        f"{by_date[8]['reached_m']:.0f} m with eight, {by_date[16]['reached_m']:.0f} m with "
        f"sixteen; for ground of power |f|^-3 theory expects {by_date[1]['possible_m']:.0f}, "
        f"{by_date[2]['possible_m']:.0f}, {by_date[8]['possible_m']:.0f} and "
        f"{by_date[16]['possible_m']:.0f} m.",
    }


def _opening() -> str:
    return (
        "Super-resolution infers what was not measured. These are the rules that srcube is built "
        "by and can be held to; `srcube evaluate` fills in the checklist at the end for any image. "
        "Every figure is of our own experiments on simulated ground, where the error is known "
        "everywhere (`python -m sr_engine.audit.guidelines.make`); the Earth is harder, and "
        "figures there are smaller."
    )


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _boxes() -> str:
    return "\n".join(f"- [ ] {rule.title} (`{rule.id}`)" for rule in RULES)


def _html(block: str) -> str:
    """One block of our own Markdown: heading, list, picture or paragraph."""
    if block.startswith("#"):
        marks, _, text = block.partition(" ")
        return f"<h{len(marks)}>{escape(text)}</h{len(marks)}>"
    if block.startswith("- "):
        items = "".join(
            f"<li>{escape(line.removeprefix('- ').replace('[ ] ', ''))}</li>"
            for line in block.splitlines()
        )
        return f"<ul>{items}</ul>"
    if block.startswith("!["):
        text, _, name = block.removeprefix("![").removesuffix(")").partition("](")
        data = base64.b64encode((FOLDER / name).read_bytes()).decode("ascii")
        return f'<p><img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}"></p>'
    return f"<p>{escape(block)}</p>"
