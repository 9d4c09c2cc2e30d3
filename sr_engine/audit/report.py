"""An audit as one HTML page that holds its pictures and asks for nothing from elsewhere."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from sr_engine.audit.evaluate import Evaluation
from sr_engine.audit.pictures import data_url, pictures

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #1d2529; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .7rem; text-align: right;
  border-bottom: 1px solid #dde3e6; } th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; } .passed { color: #17613d; } .failed { color: #a32020; }
.unknown { color: #5c6a70; } figure { display: inline-block; margin: .5rem 1rem .5rem 0;
  max-width: 22rem; vertical-align: top; } img { width: 100%; image-rendering: pixelated; }
figcaption { font-size: .85rem; color: #5c6a70; } pre { background: #f4f6f7; padding: 1rem;
  overflow: auto; } .wide { overflow-x: auto; }
"""
FIGURES = {
    "reflectance": "reflectance L1",
    "spectral": "spectral angle, °",
    "spatial": "shift, measured px",
    "synthesis": "synthesis L1",
    "improvement": "improvement",
    "omission": "omission",
    "hallucination": "hallucination",
    "consistency_rms": "consistency, sigma of the noise",
    "inconsistent_share": "share beyond 3 sigma",
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "sam_deg": "SAM, °",
    "ergas": "ERGAS",
    "rmse": "RMSE",
    "effective_period_m": "shortest period, m",
}


def html_report(evaluation: Evaluation, checked: list[dict[str, Any]]) -> str:
    """The page: table with the row of bicubic, checklist, pictures, what was assumed."""
    document = evaluation.document
    truth = "with truth" if document["truth"] else "without truth"
    part = "" if document["whole"] else " (the middle of a larger image)"
    height, width = document["pixels"]
    said = (
        f"<p>{width} x {height} pixels{part}, bands {escape(', '.join(document['bands']))}, "
        f"grid spacing {document['grid_spacing_m']:g} m, which is not a resolution; {truth}. "
        "Inferred, not measured.</p>"
    )
    parts = [
        f"<h1>Audit of {escape(document['image'])}</h1>",
        said,
        "<h2>Figures</h2>",
        _table(document["rows"]),
        "<h2>Checklist</h2>",
        _checklist(checked),
        "<h2>Pictures</h2>",
        *(
            f'<figure><img alt="{escape(name)}" src="{data_url(data)}"><figcaption>{escape(name)}'
            "</figcaption></figure>"
            for name, data in pictures(evaluation).items()
        ),
        "<h2>Information, flags, limits, assumptions and provenance</h2>",
        _rest(document),
    ]
    title = escape(f"Audit of {document['image']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Measures down, images across: the baseline first."""
    known = [key for key in FIGURES if any(row.get(key) is not None for row in rows.values())]
    head = "".join(f"<th>{escape(name)}</th>" for name in rows)
    body = "".join(
        f"<tr><td>{escape(FIGURES[key])}</td>"
        + "".join(f"<td>{_number(row.get(key))}</td>" for row in rows.values())
        + "</tr>"
        for key in known
    )
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def _checklist(checked: list[dict[str, Any]]) -> str:
    words = {True: ("passed", "yes"), False: ("failed", "no"), None: ("unknown", "not known")}
    rows = []
    for one in checked:
        kind, word = words[one["passed"]]
        rows.append(
            f'<tr><td>{escape(one["title"])}</td><td class="{kind}">{word}</td>'
            f'<td class="text">{escape(one["figure"])}</td></tr>'
        )
    return f'<div class="wide"><table><tbody>{"".join(rows)}</tbody></table></div>'


def _rest(document: Mapping[str, Any]) -> str:
    wanted = ("information", "quality", "quality_not_tested", "possible_resolution", "assumed",
              "software", "commit", "provenance")  # fmt: skip
    chosen = {key: document[key] for key in wanted}
    return f"<pre>{escape(json.dumps(chosen, indent=1, sort_keys=False))}</pre>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
