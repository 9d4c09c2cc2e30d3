"""A server of srcube in a notebook: its tiles on a map that swipes, its jobs as they go.

Speaks HTTP and knows no model. leafmap's split map takes XYZ templates, not TileJSON, so the
addresses here are templates.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import httpx

if TYPE_CHECKING:
    from leafmap import Map

Document = dict[str, Any]
TIMEOUT_S = 30.0
MATRIX_SET = "WebMercatorQuad"


class NotebookExtraMissing(ImportError):
    """The packages of the extra `notebooks` are not installed."""


class RequestRefused(RuntimeError):
    """The server did not do what was asked; the message is its own."""


class Api:
    """A server at an address such as http://127.0.0.1:8000; `key` where it asks for one.

    A context, or closed by hand.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give its connections back."""
        self._http.close()

    def get(self, path: str, **query: str) -> Document:
        """The JSON at a path; raises RequestRefused with the server's reason."""
        return _answer(self._http.get(path, params=query))

    def collections(self) -> list[Document]:
        """Every collection that the server has, the one to look at first at the start."""
        found: list[Document] = self.get("/collections")["collections"]
        return found

    def xyz(self, collection: str, layer: str = "lr", **query: str) -> str:
        """A template with {z}, {x} and {y} for a layer's tiles, for any map that takes one.

        `query` as the tiles take it: datetime, model, bands, rescale, index, ...
        """
        path = f"/collections/{collection}/layers/{layer}/tiles/{MATRIX_SET}/{{z}}/{{x}}/{{y}}"
        return self.url + path + (f"?{urlencode(query)}" if query else "")

    def run(self, process: str, inputs: Mapping[str, Any]) -> Iterator[Document]:
        """Start a job (`super-resolve`, `fuse`) and yield how it goes until it has ended.

        What the server-sent events tell: `status` and `progress` in percent for each change,
        the `bbox` in degrees of each block that is there now. `event` says which it is. Raises
        RequestRefused where the server takes no such job, or the job fails.
        """
        job = _answer(
            self._http.post(f"/processes/{process}/execution", json={"inputs": dict(inputs)})
        )
        last = job
        with self._http.stream("GET", f"/jobs/{job['jobID']}/events", timeout=None) as events:
            for kind, content in _events(events.iter_lines()):
                last = content if kind == "status" else last
                yield {"event": kind} | content
        if last["status"] != "successful":
            raise RequestRefused(f"the job is {last['status']}: {last.get('message', '')}"[:300])


def swipe_map(
    left: str, right: str, bbox: list[float], *, labels: tuple[str, str] = ("left", "right")
) -> "Map":
    """A map of leafmap that swipes between two XYZ templates, at a box in degrees.

    Raises NotebookExtraMissing where leafmap is not installed.
    """
    try:
        from leafmap import leafmap  # noqa: PLC0415 - some fifty packages, four seconds
    except ImportError as error:
        raise NotebookExtraMissing(
            f'need leafmap for a map in a notebook ({error}): pip install "srcube[notebooks]"'
        ) from error
    west, south, east, north = bbox
    shown = leafmap.Map(center=[(south + north) / 2, (west + east) / 2], zoom=14)
    shown.split_map(left, right, left_label=labels[0], right_label=labels[1])
    return shown


def tile_under(template: str, lon: float, lat: float, zoom: int) -> str:
    """The address of the tile of an XYZ template that a place in degrees lies on."""
    across = (lon / 360 + 0.5) * 2**zoom
    down = (0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)) * 2**zoom
    return template.format(z=zoom, x=math.floor(across), y=math.floor(down))


def _answer(response: httpx.Response) -> Document:
    if response.is_error:
        raise RequestRefused(f"{response.status_code}: {_reason(response)}"[:400])
    document: Document = response.json()
    return document


def _reason(response: httpx.Response) -> str:
    try:
        problem = response.json()
    except ValueError:
        return response.text
    return str(problem.get("detail") or problem.get("title") or problem)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Document]]:
    """Kind and content of server-sent events (WHATWG HTML, 9.2)."""
    kind = "message"
    for line in lines:
        name, _, value = line.partition(":")
        if name == "event":
            kind = value.strip()
        elif name == "data":
            yield kind, json.loads(value)
