"""Processes that are one task: search a catalog, ingest from it, evaluate what was made.

Searching and ingesting ask servers elsewhere, so that they are off unless the operator allows
them (`SRCUBE_ALLOW_INGEST`); catalogs are chosen by name, none is addressed by a visitor.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from datacube.bands import SENTINEL2
from datacube.errors import InvalidInput, NotFound
from datacube.lonlat import check_bbox
from datacube.scene import parse_rfc3339
from datacube.sources.naming import parse_interval
from datacube.stac.catalogs import find_catalog
from datacube.stac.errors import Unreachable
from datacube.stac.fetch import Fetcher, Limits
from datacube.stac.search import Found, Query, search
from server.clients import client_of, gone
from server.errors import NotAllowed, TooLarge, UpstreamSilent
from server.execution import ACCEPTED, INPUTS, Accepted_, Execution, results
from server.jobs.task_jobs import NewTask
from server.jobs.task_runner import TaskService
from server.ogc.answers import PROBLEM
from server.plain_inputs import ExecuteRoute
from server.registry import Id, Registry, Source
from server.services import Services, services_of
from server.strict_json import Number
from server.tiles import default_scene_slot
from sr_engine.registry import DEFAULT_MODEL, find_model

router = APIRouter(tags=["processes"], route_class=ExecuteRoute)
Document = dict[str, Any]
Services_ = Annotated[Services, Depends(services_of)]

MOST_LISTED = 200  # scenes of one search
KM_PER_DEGREE = 111.32
PATIENCE = Limits(idle_s=8, connect_s=5, patience_s=15, attempts=2)
FORBIDDEN: dict[int | str, dict[str, Any]] = {
    status: {"description": reason, "content": {PROBLEM: {"schema": {"type": "object"}}}}
    for status, reason in {
        401: "this takes a key with the scope ingest",
        403: "the operator does not allow it, or the key has not the scope",
    }.items()
}


class Place(BaseModel):
    """Where and when to look, in a catalog that is known by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    catalog: Annotated[Id, Field(description="one of those that /ingest names")]
    bbox: Annotated[
        list[Number],
        Field(min_length=4, max_length=4, description="west, south, east, north in degrees"),
    ]
    interval: Annotated[
        str, Field(alias="datetime", max_length=60, description="2024-06-01/2024-06-30")
    ]
    max_cloud: Annotated[Number | None, Field(ge=0, le=100, description="percent")] = None

    def query(self) -> Query:
        """The question to the catalog; raises InvalidInput."""
        west, south, east, north = self.bbox
        return Query((west, south, east, north), parse_interval(self.interval), self.max_cloud)

    @property
    def area_km2(self) -> float:
        """Roughly, as on a sphere."""
        west, south, east, north = self.bbox
        shrink = math.cos(math.radians((south + north) / 2))
        return (east - west) * (north - south) * KM_PER_DEGREE**2 * shrink


class IngestInputs(Place):
    """Which scenes of a catalog to take into which cube."""

    cube: Annotated[Id, Field(description="made if it is not there; a cube keeps its area")]
    title: Annotated[str | None, Field(max_length=120, description="of a new cube")] = None
    bands: Annotated[list[str], Field(max_length=13, description="default: B02 B03 B04 B08")] = []
    scenes: Annotated[
        list[Annotated[str, Field(max_length=128)]],
        Field(max_length=500, description="ids of a search; by default all that are found"),
    ] = []

    @field_validator("bands")
    @classmethod
    def _known(cls, bands: list[str]) -> list[str]:
        if len(set(bands)) < len(bands) or not set(bands) <= set(SENTINEL2):
            raise ValueError(f"need each band once, of {', '.join(SENTINEL2)}")
        return bands


class EvaluateInputs(BaseModel):
    """Which super-resolved pixels to audit: a date of a cube, by a model, in a box or all."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collection: Annotated[str, Field(max_length=64)]
    moment: Annotated[
        str | None, Field(alias="datetime", max_length=40, description="default: the clearest")
    ] = None
    model: Annotated[str, Field(max_length=80)] = DEFAULT_MODEL
    bbox: Annotated[
        list[Number] | None,
        Field(min_length=4, max_length=4, description="west, south, east, north in degrees"),
    ] = None


class SearchExecution(Execution):
    """Body of an execute request."""

    output: ClassVar[str] = "scenes"

    inputs: Annotated[Place, Field(description=INPUTS)]


class IngestExecution(Execution):
    """Body of an execute request."""

    output: ClassVar[str] = "summary"

    inputs: Annotated[IngestInputs, Field(description=INPUTS)]


class EvaluateExecution(Execution):
    """Body of an execute request."""

    output: ClassVar[str] = "evaluation"

    inputs: Annotated[EvaluateInputs, Field(description=INPUTS)]


async def tasks_of(request: Request) -> TaskService:
    """The tasks of the application that answers a request."""
    found: TaskService = request.app.state.tasks
    return found


async def registry_of(request: Request) -> Registry:
    """What the operator of the application offers."""
    found: Registry = request.app.state.overlays.registry
    return found


Tasks = Annotated[TaskService, Depends(tasks_of)]
Registry_ = Annotated[Registry, Depends(registry_of)]


@router.get("/ingest")
def ingest_options(request: Request, services: Services_, registry: Registry_) -> Document:
    """Whether whoever asks may search and ingest, in which catalogs, and how much at once."""
    settings = services.settings
    scopes: frozenset[str] = getattr(request.state, "scopes", frozenset())
    return {
        "allowed": settings.allow_ingest and "ingest" in scopes,
        "catalogs": [
            {"name": one.name, "title": one.title or one.name, "collection": one.collection}
            for one in registry.sources.values()
        ],
        "limit_km2": settings.limit_ingest_km2,
        "limit_scenes": settings.limit_ingest_scenes,
        "bands": list(SENTINEL2),
    }


@router.post("/processes/search/execution", responses=FORBIDDEN)
async def search_scenes(
    request: Request, services: Services_, registry: Registry_, tasks: Tasks, body: SearchExecution
) -> Document:
    """Scenes of a catalog, by time; nothing is read of their pixels."""
    place = body.inputs
    source = _allowed_source(services, registry, place)
    query = place.query()

    def ask() -> Found:
        return _asked(source, query)

    found, _ = await tasks.searches.run(("search", place.model_dump_json()), ask, gone(request))
    scenes = {
        "catalog": source.name,
        "matched": len(found.items),
        "scenes": [_scene(item) for item in found.items[:MOST_LISTED]],
        "refused": [{"id": one.name, "reason": one.reason} for one in found.refusals[:MOST_LISTED]],
    }
    return results(scenes, body.document)


@router.post("/processes/ingest/execution", status_code=201, responses=FORBIDDEN | ACCEPTED)
def ingest(
    request: Request,
    services: Services_,
    registry: Registry_,
    tasks: Tasks,
    body: IngestExecution,
    accepted: Accepted_,
) -> Document:
    """Start a job that takes scenes into a cube; asked again, what is there stays as it is."""
    wish, settings = body.inputs, services.settings
    source = _allowed_source(services, registry, wish)
    wish.query()  # raises where box or time are none
    if len(wish.scenes) > settings.limit_ingest_scenes:
        raise TooLarge(
            f"{len(wish.scenes)} scenes, at most {settings.limit_ingest_scenes} may be ingested at "
            "once; choose fewer"
        )
    asked = wish.model_dump(by_alias=True)
    order = {
        **asked,
        "task": "ingest",
        "data": settings.address,
        "place": source.place,
        "collection": source.collection,
        "hosts": [*source.hosts, *settings.allow_hosts],
        "most_scenes": settings.limit_ingest_scenes,
    }
    asked |= {"document": body.document} if body.document else {}
    job = tasks.submit(NewTask(client_of(request), "ingest", asked, order))
    return accepted.document(job)


@router.post("/processes/evaluate/execution", status_code=201, responses=ACCEPTED)
def evaluate(
    request: Request,
    services: Services_,
    tasks: Tasks,
    body: EvaluateExecution,
    accepted: Accepted_,
) -> Document:
    """Start a job that audits super-resolved pixels against their input, and truth if there is."""
    wish, settings = body.inputs, services.settings
    cube = services.catalog.open(wish.collection)
    model = find_model(wish.model)
    if wish.bbox is not None:
        west, south, east, north = wish.bbox
        check_bbox((west, south, east, north))
    if wish.moment is None:
        slot = default_scene_slot(cube)
        stamp = next(one.scene.stamp for one in cube.scenes if one.slot == slot)
    else:
        stamp = cube.scene_at(parse_rfc3339(wish.moment)).scene.stamp
    asked = {
        "collection": wish.collection, "datetime": stamp, "model": model.card.id,
        "bbox": wish.bbox, "key": model.card.key, "uid": cube.root.commit.uid,
    }  # fmt: skip
    order = {**asked, "task": "evaluate", "data": settings.address}
    asked |= {"document": body.document} if body.document else {}
    job = tasks.submit(NewTask(client_of(request), "evaluate", asked, order))
    return accepted.document(job)


def _allowed_source(services: Services, registry: Registry, place: Place) -> Source:
    """The catalog of a wish that may be granted; raises NotAllowed, NotFound or TooLarge."""
    settings = services.settings
    if not settings.allow_ingest:
        raise NotAllowed("the operator of this server does not allow to search and ingest")
    west, south, east, north = place.bbox
    check_bbox((west, south, east, north))
    if place.area_km2 > settings.limit_ingest_km2:
        raise TooLarge(
            f"the box has {place.area_km2:.0f} km2, at most {settings.limit_ingest_km2:g} may be "
            "asked for at once; draw a smaller one"
        )
    source = registry.sources.get(place.catalog)
    if source is None:
        listed = ", ".join(registry.sources)
        raise NotFound(f"no catalog {place.catalog[:40]!r}; there are {listed}")
    return source


def _asked(source: Source, query: Query) -> Found:
    """What a catalog answers; raises UpstreamSilent where it does not."""
    catalog = find_catalog(source.place, source.collection)
    policy = catalog.policy().allowing(*source.hosts)
    try:
        with Fetcher(policy, PATIENCE) as fetcher:
            return search(catalog, query, fetcher)
    except Unreachable as error:
        raise UpstreamSilent(f"the catalog {source.name} does not answer just now") from error
    except InvalidInput as error:
        raise UpstreamSilent(f"the catalog {source.name} gave no answer that is taken") from error


def _scene(item: Mapping[str, Any]) -> Document:
    properties = item["properties"]
    return {
        "id": str(item["id"])[:128],
        "datetime": str(properties.get("datetime"))[:40],
        "cloud_cover": properties.get("eo:cloud_cover"),
        "platform": str(properties.get("platform", ""))[:40],
        "bbox": item.get("bbox"),
    }
