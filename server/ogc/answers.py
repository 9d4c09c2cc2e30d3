"""Documents with links, as JSON or as a plain page, whichever the client prefers.

The page shows the very document: nested lists, links that can be followed, nothing remote.
"""

import html
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

Document = dict[str, Any]
Format = Annotated[
    Literal["json", "html"] | None,
    Query(description="json or html; without it, what the Accept header prefers"),
]

JSON = "application/json"
GEOJSON = "application/geo+json"
HTML = "text/html"
OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
PROBLEM = "application/problem+json"
HTML_TOO: dict[int | str, Document] = {200: {"content": {HTML: {"schema": {"type": "string"}}}}}


def base_url(request: Request) -> str:
    """The address of the landing page, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def link(rel: str, href: str, media: str = JSON, title: str | None = None) -> Document:
    """One link of a document."""
    found = {"rel": rel, "href": href, "type": media}
    return found | ({"title": title} if title else {})


def templated(rel: str, href: str, media: str = JSON, title: str | None = None) -> Document:
    """A link with variables in braces."""
    return link(rel, href, media, title) | {"templated": True}


def answer(request: Request, document: Document, wanted: str | None, *, head: str = "") -> Response:
    """The document as JSON, or as a page where that is asked for; `head` goes into the page's."""
    if wanted == "html" or (wanted is None and prefers_html(request.headers.get("accept", ""))):
        return HTMLResponse(page(document, head), headers={"vary": "accept"})
    return JSONResponse(document, headers={"vary": "accept"})


def prefers_html(accept: str) -> bool:
    """Whether an Accept header ranks HTML strictly above JSON; nothing said means JSON."""
    return _quality(accept, "text", "html") > _quality(accept, "application", "json")


def _quality(accept: str, kind: str, name: str) -> float:
    best = (-1, 0.0)  # how specific the range is, and its quality
    for part in accept[:1000].split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        ranges = (f"{kind}/{name}", f"{kind}/*", "*/*")
        if media not in ranges:
            continue
        stated = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        quality = float(stated) if stated.replace(".", "", 1).isdecimal() else 0.0
        best = max(best, (len(ranges) - ranges.index(media), quality))
    return best[1]


def page(document: Document, head: str = "") -> str:
    """A document as HTML, everything in it escaped."""
    title = html.escape(str(document.get("title") or document.get("id") or "srcube"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}'
        f"<title>{title}</title></head><body><h1>{title}</h1>{_shown(document)}</body></html>"
    )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        if isinstance(value.get("href"), str) and "rel" in value:
            return _anchor(value)
        pairs = (f"<dt>{html.escape(str(k))}</dt><dd>{_shown(v)}</dd>" for k, v in value.items())
        return f"<dl>{''.join(pairs)}</dl>"
    if isinstance(value, list | tuple) and any(isinstance(one, dict | list) for one in value):
        return f"<ul>{''.join(f'<li>{_shown(one)}</li>' for one in value)}</ul>"
    if isinstance(value, list | tuple):
        return html.escape(", ".join(str(one) for one in value))
    return html.escape(str(value))


def _anchor(value: Document) -> str:
    text = html.escape(f"{value.get('title') or value['rel']} ({value.get('type', '')})")
    if value.get("templated"):
        return f"{text}: <code>{html.escape(value['href'])}</code>"
    return f'<a rel="{html.escape(value["rel"])}" href="{html.escape(value["href"])}">{text}</a>'
