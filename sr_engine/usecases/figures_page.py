"""The use cases' figures as an HTML page beside the map, from the tables in the package.

`figures.json` is what `srcube experiment usecases` wrote beside its page.
"""

import json
import re
from functools import cache
from html import escape
from pathlib import Path

from sr_engine.usecases.prose import CLOSING, OPENING, PROSE, TITLE
from sr_engine.usecases.table import Table, shown

FIGURES = Path(__file__).parent / "figures.json"
STYLE = (
    "body{font:16px/1.55 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;"
    "color:#1d2529;background:#fff}h2{margin-top:2.5rem}div{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}"
    "caption{text-align:left;font-weight:600;padding:.8rem 0 .3rem}"
    "th,td{padding:3px 10px 3px 0;border-bottom:1px solid #d4dbdf;text-align:right}"
    "th:first-child{text-align:left;white-space:nowrap}"
)


@cache
def figures() -> dict[str, tuple[Table, ...]]:
    """Tables of every use case, and of `summary`, as they were last measured."""
    found = json.loads(FIGURES.read_text("utf-8"))
    return {
        name: tuple(
            Table(one["title"], tuple(one["columns"]), tuple(tuple(row) for row in one["rows"]))
            for one in tables
        )
        for name, tables in found.items()
    }


def usecases_page() -> str:
    """All of it as HTML that asks for nothing from elsewhere; each use case has its id."""
    told = figures()
    parts = [_prose(OPENING), *map(_table, told["summary"])]
    for name, text in PROSE.items():
        tables = "".join(map(_table, told[name]))
        parts.append(f'<section id="{name}">{_prose(text)}{tables}</section>')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Use cases - srcube</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(TITLE)}</h1>{''.join(parts)}{_prose(CLOSING)}</body></html>\n"
    )


def _prose(text: str) -> str:
    """Paragraphs, lists, headings, and words in bold or code: the Markdown of `prose`."""
    blocks = []
    for block in text.split("\n\n"):
        if block.startswith("## "):
            blocks.append(f"<h2>{escape(block.removeprefix('## '))}</h2>")
        elif block.startswith("- "):
            items = re.split(r"\n- ", block.removeprefix("- "))
            blocks.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
        else:
            blocks.append(f"<p>{_inline(block)}</p>")
    return "".join(blocks)


def _inline(text: str) -> str:
    bold = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text), flags=re.DOTALL)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", bold)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(shown(row[0]))}</th>'
        + "".join(f"<td>{escape(shown(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div tabindex="0"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
