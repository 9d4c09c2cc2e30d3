"""Super-resolution as an OGC process: ask for a view, watch its job, see the tiles appear."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from datacube.errors import InvalidInput
from datacube.scene import parse_rfc3339
from server.jobs import Order
from server.layers import View, find_layer
from server.services import Services, services_of
from server.tiles import default_scene_slot
from sr_engine.registry import DEFAULT_MODEL, find_model

router = APIRouter()
Services_ = Annotated[Services, Depends(services_of)]
Document = dict[str, Any]
Bbox = Annotated[list[float], Field(min_length=4, max_length=4)]


class ViewInputs(BaseModel):
    """A view: a box in degrees of one scene of a cube, and the model to use."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collection: Annotated[str, Field(max_length=64)]
    moment: Annotated[str | None, Field(alias="datetime", max_length=40)] = None
    model: Annotated[str, Field(max_length=80)] = DEFAULT_MODEL
    bbox: Bbox


class Execution(BaseModel):
    """Body of an execute request."""

    model_config = ConfigDict(extra="forbid")

    inputs: ViewInputs


class PlanQuery(BaseModel):
    """What may be asked of a plan."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    moment: Annotated[str | None, Field(alias="datetime", max_length=40)] = None
    model: Annotated[str, Field(max_length=80)] = DEFAULT_MODEL
    bbox: Annotated[str, Field(max_length=120, description="west,south,east,north in degrees")]

    def edges(self) -> list[float]:
        """The box as numbers; raises InvalidInput."""
        try:
            edges = [float(part) for part in self.bbox.split(",")]
        except ValueError as error:
            raise InvalidInput(f"need bbox=west,south,east,north, got {self.bbox!r}") from error
        if len(edges) != 4:
            raise InvalidInput(f"need bbox=west,south,east,north, got {len(edges)} numbers")
        return edges


@router.get("/processes/super-resolve")
def describe(services: Services_) -> Document:
    """What the process takes, and the operator's limit."""
    return {
        "id": "super-resolve",
        "version": "1.0.0",
        "title": "Super-resolve a view",
        "jobControlOptions": ["async-execute", "dismiss"],
        "inputs": ViewInputs.model_json_schema(by_alias=True)["properties"],
        "limit_blocks": services.settings.limit_blocks,
    }


@router.post("/processes/super-resolve/execution", status_code=201)
def execute(services: Services_, body: Execution, response: Response) -> Document:
    """Start a job for the blocks of a view that are not there yet."""
    job = services.jobs.submit(_order(services, body.inputs))
    response.headers["location"] = f"/jobs/{job.id}"
    return job.document()


@router.get("/collections/{cube_id}/layers/sr/plan")
def plan(services: Services_, cube_id: str, query: Annotated[PlanQuery, Query()]) -> Document:
    """How many blocks a view has, how many are computed, and how long the rest would take.

    A view beyond the limit is planned too (its `total` says so), but would not be executed.
    """
    asked = query.model_dump(by_alias=True) | {"collection": cube_id, "bbox": query.edges()}
    inputs = ViewInputs.model_validate(asked)
    order = _order(services, inputs)
    return {
        "total": len(order.plan.blocks),
        "cached": order.plan.cached,
        "estimated_seconds": round(services.jobs.estimate_s(order), 2),
        "limit_blocks": services.settings.limit_blocks,
        "bbox": inputs.bbox,
    }


@router.get("/jobs/{job_id}")
def job_status(services: Services_, job_id: str) -> Document:
    """How far a job is, or how it ended."""
    return services.jobs.find(job_id).document()


@router.delete("/jobs/{job_id}")
def dismiss(services: Services_, job_id: str) -> Document:
    """Cancel a job; the block in hand is finished and kept, nothing after it is computed."""
    return services.jobs.dismiss(job_id).document()


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
def job_events(services: Services_, job_id: str) -> EventSourceResponse:
    """Server-sent events: `block` for each new block with its bbox, `status` for each change."""
    services.jobs.find(job_id)

    async def stream() -> AsyncIterator[ServerSentEvent]:
        async for kind, content in services.jobs.events(job_id):
            yield ServerSentEvent(json.dumps(content), event=kind)

    return EventSourceResponse(stream())


def _order(services: Services, inputs: ViewInputs) -> Order:
    cube = services.catalog.open(inputs.collection)
    model = find_model(inputs.model)
    if inputs.moment is None:
        slot = default_scene_slot(cube)
    else:
        slot = cube.scene_at(parse_rfc3339(inputs.moment)).slot
    view = View(cube, find_layer(cube, "sr"), slot, model)
    west, south, east, north = inputs.bbox
    window = cube.grid.window_of(lonlat_bbox=(west, south, east, north))
    return services.jobs.plan(view.cube, model, slot, window)
