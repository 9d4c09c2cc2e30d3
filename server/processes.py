"""Super-resolution as OGC processes: ask for a view, watch its job, see the tiles appear."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from datacube.errors import Conflict, InvalidInput
from datacube.scene import parse_rfc3339
from server.clients import client_of
from server.errors import JobFailed, NoSuchJob, NoSuchProcess, NotReady
from server.execution import ACCEPTED, INPUTS, Accepted_, Execution, results
from server.jobs.order import Order, Wish
from server.jobs.records import ACTIVE, TASK_PROCESSES, Job
from server.layers import find_layer, layers_of
from server.plain_inputs import ExecuteRoute
from server.services import Services, services_of
from server.tiles import default_scene_slot
from server.view_inputs import ALONG, ViewInputs
from sr_engine.model import SeriesModel
from sr_engine.planes import SALIENCY
from sr_engine.registry import DEFAULT_MODEL, find_model

router = APIRouter(route_class=ExecuteRoute)
Services_ = Annotated[Services, Depends(services_of)]
Document = dict[str, Any]

# The model that each process takes where none is named; `server.ogc` describes them.
PROCESSES = {"super-resolve": DEFAULT_MODEL, "fuse": "fusion-x4"}


class ViewExecution(Execution):
    """Body of an execute request."""

    output: ClassVar[str] = "layers"

    inputs: Annotated[ViewInputs, Field(description=INPUTS)]


class PlanQuery(BaseModel):
    """What may be asked of a plan."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    moment: Annotated[str | None, Field(alias="datetime", max_length=40)] = None
    model: Annotated[str, Field(max_length=80)] = DEFAULT_MODEL
    bbox: Annotated[str, Field(max_length=120, description="west,south,east,north in degrees")]
    products: Annotated[
        str, Field(max_length=120, description="to compute along, by commas: saliency,quality")
    ] = ""

    def along(self) -> list[str]:
        """The products as a list; raises InvalidInput."""
        names = [name for name in self.products.split(",") if name]
        unknown = [name for name in names if name not in ALONG]
        if unknown:
            raise InvalidInput(f"no product {unknown[0]!r}; there are {', '.join(ALONG)}")
        return names

    def edges(self) -> list[float]:
        """The box as numbers; raises InvalidInput."""
        try:
            edges = [float(part) for part in self.bbox.split(",")]
        except ValueError as error:
            raise InvalidInput(f"need bbox=west,south,east,north, got {self.bbox!r}") from error
        if len(edges) != 4:
            raise InvalidInput(f"need bbox=west,south,east,north, got {len(edges)} numbers")
        return edges


@router.post("/processes/{process_id}/execution", status_code=201, responses=ACCEPTED)
def execute(
    request: Request,
    services: Services_,
    process_id: str,
    body: ViewExecution,
    accepted: Accepted_,
) -> Document:
    """Start a job for the blocks of a view that are not there yet.

    The same wish of the same client, while its job is under way, gets that job.
    """
    order = _order(services, body.inputs, process_id)
    job = services.jobs.submit(
        order,
        body.inputs.collection,
        client=client_of(request),
        process=process_id,
        document=body.document,
    )
    return accepted.document(job)


@router.get("/collections/{cube_id}/layers/sr/plan")
def plan(services: Services_, cube_id: str, query: Annotated[PlanQuery, Query()]) -> Document:
    """How many blocks a view has, how many are computed, and how long the rest would take.

    A view beyond the limit is counted only (its `total` says so), and would not be executed.
    """
    place: Document = {"collection": cube_id, "bbox": query.edges(), "products": query.along()}
    inputs = ViewInputs.model_validate(query.model_dump(by_alias=True) | place)
    order = _order(services, inputs, "super-resolve")
    parts = {
        part: {
            "total": order.each,
            "cached": order.each - order.lacking(part),
            "estimated_seconds": round(services.jobs.estimate_part_s(order, part), 2),
        }
        for part in order.wish.parts()
    }
    return {
        "total": order.total,
        "cached": order.cached,
        "estimated_seconds": round(services.jobs.estimate_s(order), 2),
        "products": parts,
        "limit_blocks": services.settings.limit_blocks,
        "bbox": inputs.bbox,
    }


@router.get("/jobs/{job_id}")
def job_status(services: Services_, job_id: str) -> Document:
    """How far a job is, or how it ended."""
    return services.jobs.find(job_id).document()


@router.get("/jobs/{job_id}/results")
def job_results(request: Request, services: Services_, job_id: str) -> Document:
    """Where the layers that a job computed are found, as TileJSON; of a task, what came of it.

    Where the job was asked for a document, under the name of the output. A job that failed is
    answered as what it failed of would be.
    """
    job = services.jobs.find(job_id)
    if job.state in ACTIVE:
        raise NotReady("the job has not ended; ask again when its status is successful")
    if job.state == "failed":
        raise JobFailed(job.message)
    if job.state != "successful":
        raise Conflict(f"the job has no results, it is {job.state}: {job.message}"[:300])
    task = job.process in TASK_PROCESSES
    found = request.app.state.tasks.result(job) if task else _layer_links(services, job)
    return results(found, job.asked.get("document", ""))


@router.delete("/jobs/{job_id}")
def dismiss(services: Services_, request: Request, job_id: str) -> Document:
    """Cancel a job of one's own; finished blocks are kept, and nothing more is computed.

    The block in hand ends within two seconds; on a Dask cluster, where nothing stops a running
    task, it ends by itself and is not counted. One that has ended is forgotten. Whoever has the id
    of another's job may watch it; to cancel, there is none of that id.
    """
    if services.jobs.find(job_id).client != client_of(request):
        raise NoSuchJob
    job = services.jobs.dismiss(job_id)
    if job.state != "dismissed":
        services.jobs.remove(job_id)
        job = replace(job, state="dismissed", message=f"was {job.state}, and is forgotten")
    return job.document()


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
def job_events(
    services: Services_,
    job_id: str,
    last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0,
) -> EventSourceResponse:
    """Server-sent events: `block` for each new block with its bbox, `status` for each change.

    Who was interrupted goes on after `Last-Event-ID`.
    """
    services.jobs.find(job_id)

    async def stream() -> AsyncIterator[ServerSentEvent]:
        async for event in services.jobs.events(job_id, last_event_id):
            yield ServerSentEvent(json.dumps(event.content), event=event.kind, id=str(event.number))

    return EventSourceResponse(stream())


def _layer_links(services: Services, job: Job) -> Document:
    asked = job.asked
    parts = asked.get("parts", {})
    cube = services.catalog.open(asked["collection"])
    query = f"datetime={asked['datetime']}&model={asked['model']}"
    base = f"/collections/{asked['collection']}/layers"
    return {
        layer.id: {
            "href": f"{base}/{layer.id}/WebMercatorQuad/tilejson.json?{query}",
            "type": "application/json",
            "title": layer.title,
        }
        for layer in layers_of(cube)
        if asked["model"] in layer.models_for(cube)
        and (layer.id != SALIENCY.name or layer.id in parts)
    }


def _order(services: Services, inputs: ViewInputs, process_id: str) -> Order:
    if process_id not in PROCESSES:
        raise NoSuchProcess(f"no process {process_id[:40]!r}; there are {', '.join(PROCESSES)}")
    cube = services.catalog.open(inputs.collection)
    model = find_model(inputs.model or PROCESSES[process_id])
    if process_id == "fuse" and not isinstance(model, SeriesModel):
        raise InvalidInput(f"{model.card.id} takes one date; ask super-resolve for it")
    if inputs.moment is None:
        slot = default_scene_slot(cube)
    else:
        slot = cube.scene_at(parse_rfc3339(inputs.moment)).slot
    find_layer(cube, "sr")
    along = inputs.variables(cube, model.card.id)
    return services.jobs.plan(Wish(cube, model, slot, inputs.area(cube.grid), along))
