"""Use cases as places of the demo: where to look, when, at what, and where the figures are.

The words are the page's own, in its languages; here is what it needs to bring the map there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from pyproj import Transformer

from datacube import Cube
from datacube.cube import CommittedScene
from datacube.demo import EVENT
from server.ogc.answers import base_url
from server.services import Services, services_of
from sr_engine.registry import DEFAULT_MODEL

router = APIRouter()
Document = dict[str, Any]

FIGURES_PATH = "/usecases"
CLOUDY = 20.0  # percent: a date of more is not shown if there is another
ZOOM = 16


@dataclass(frozen=True)
class Side:
    """What one side of the comparison shows, on the date nearest to one of the season."""

    day: tuple[int, int]  # month, day
    layer: str = "lr"
    model: str = ""
    index: str = ""
    colormap: str = ""
    rescale: str = ""


@dataclass(frozen=True)
class Story:
    """A use case; `place` is (row, column) as shares of the demo's ground.

    One of an `event` is told only where the right side is a date after it.
    """

    id: str
    place: tuple[float, float]
    left: Side
    right: Side
    mode: str = "swipe"
    zoom: int = ZOOM
    event: bool = False


BICUBIC = "bicubic-x4"  # of the default model's factor: what it is compared with
JUNE, JULY, AUGUST = (6, 21), (7, 16), (8, 30)
STORIES = (
    Story("fields", (0.788, 0.638), Side(JUNE), Side(JUNE, "sr", DEFAULT_MODEL)),
    Story(
        "shoreline",
        (0.635, 0.670),
        Side(JUNE, index="NDWI", colormap="viridis"),
        Side(JUNE, "sr", DEFAULT_MODEL, "NDWI", "viridis"),
    ),
    Story(
        "settlements",
        (0.452, 0.637),
        Side(JUNE, "sr", BICUBIC),
        Side(JUNE, "sr", DEFAULT_MODEL),
        zoom=17,
    ),
    Story(
        "change",
        (0.525, 0.640),
        Side(JULY, "sr", DEFAULT_MODEL, "NDVI", "viridis", "0,1"),
        Side(AUGUST, "sr", DEFAULT_MODEL, "NDVI", "viridis", "0,1"),
        event=True,
    ),
)


@router.get("/collections/{cube_id}/stories")
def stories(
    request: Request, services: Annotated[Services, Depends(services_of)], cube_id: str
) -> Document:
    """Use cases of a collection: `place`, what each side shows, and `figures`; none but the demo's.

    The demo's places were laid out for its own size; in one made smaller for a test they lie at
    the same share of the ground.
    """
    cube = services.catalog.open(cube_id)
    known = [one for one in STORIES if _is_demo(cube) and _shows_its_event(cube, one)]
    return {"stories": [_document(base_url(request), cube, one) for one in known]}


@router.get(FIGURES_PATH, include_in_schema=False)
def figures() -> HTMLResponse:
    """The figures of the use cases as a page; asks for nothing else."""
    from sr_engine.usecases.figures_page import usecases_page  # noqa: PLC0415 - read when asked

    return HTMLResponse(usecases_page())


def nearest_date(scenes: Sequence[CommittedScene], day: tuple[int, int]) -> str:
    """The stamp of the scene nearest to a day of its year, of those that are mostly clear."""
    clear = [one for one in scenes if (one.scene.cloud_cover or 0) <= CLOUDY]
    return min(clear or scenes, key=lambda one: _days(one, day)).scene.stamp


def _days(one: CommittedScene, day: tuple[int, int]) -> int:
    taken = one.scene.datetime.date()
    return abs((taken - date(taken.year, *day)).days)


def _is_demo(cube: Cube) -> bool:
    return bool(cube.scenes) and "demo_truths" in cube.attributes


def _shows_its_event(cube: Cube, story: Story) -> bool:
    """A demo of before the storm has none; nor has one whose dates all lie before it."""
    if not story.event:
        return True
    happened = cube.attributes.get(EVENT, {}).get("date")
    return happened is not None and nearest_date(cube.scenes, story.right.day)[:10] >= happened


def _document(base: str, cube: Cube, story: Story) -> Document:
    lon, lat = _at(cube, story.place)
    return {
        "id": story.id,
        "place": {"lat": lat, "lon": lon, "zoom": story.zoom},
        "mode": story.mode,
        "left": _side(cube, story.left),
        "right": _side(cube, story.right),
        "figures": f"{base}{FIGURES_PATH}#{story.id}",
    }


def _at(cube: Cube, place: tuple[float, float]) -> tuple[float, float]:
    """Longitude and latitude of a place given as shares of rows and columns."""
    height, width = cube.grid.shape
    x, y = cube.grid.transform @ (place[1] * width, place[0] * height)
    lon, lat = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return round(float(lon), 6), round(float(lat), 6)


def _side(cube: Cube, side: Side) -> dict[str, str]:
    shown = {key: value for key, value in asdict(side).items() if key != "day"}
    return {**shown, "date": nearest_date(cube.scenes, side.day)}
