"""What can be computed here, as OGC API Processes describes it.

A process is described by the very model that its execute request is parsed with, so that the
description cannot say anything else than what is accepted.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from server.errors import NoSuchProcess
from server.execution import Execution
from server.explain import ExplainExecution
from server.ogc.answers import HTML, HTML_TOO, Document, Format, answer, base_url, link
from server.processes import ViewExecution
from server.services import Services, services_of
from server.task_processes import EvaluateExecution, IngestExecution, SearchExecution

router = APIRouter(tags=["processes"])

EXECUTE = "http://www.opengis.net/def/rel/ogc/1.0/execute"
EXPLANATION = {
    "title": "Diffusion index, completeness, shares, and pictures as data URIs",
    "schema": {"type": "object", "contentMediaType": "application/json"},
}
LAYERS = {
    "title": "Where the layers of the product are: of each its TileJSON, as a link",
    "schema": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["href", "type"],
            "properties": {name: {"type": "string"} for name in ("href", "type", "title")},
        },
        "contentMediaType": "application/json",
    },
}
SCENES = {
    "title": "Ids, times and cloud cover of scenes",
    "schema": {"type": "object", "contentMediaType": "application/json"},
}
SUMMARY = {
    "title": "Scenes that were taken in, were there already, or were refused and why",
    "schema": {"type": "object", "contentMediaType": "application/json"},
}
EVALUATION = {
    "title": "Consistency, flags, information added and, with truth, errors and resolution",
    "schema": {"type": "object", "contentMediaType": "application/json"},
}


@dataclass(frozen=True)
class Process:
    """One process: what it takes, and what comes of it."""

    id: str
    title: str
    description: str
    request: type[Execution]
    output: Document
    version: str = "1.0.0"
    control: tuple[str, ...] = ("async-execute", "dismiss")

    def summary(self, base: str) -> Document:
        """The entry of the list of processes."""
        path = f"{base}/processes/{self.id}"
        return {
            "id": self.id,
            "version": self.version,
            "title": self.title,
            "description": self.description,
            "jobControlOptions": list(self.control),
            "outputTransmission": ["value"],
            "links": [
                link("self", path, title="Description"),
                link(EXECUTE, f"{path}/execution", title="Execute (POST)"),
            ],
        }

    def document(self, base: str) -> Document:
        """The description, with a JSON schema for each input."""
        kind: Any = self.request.model_fields["inputs"].annotation
        schema = kind.model_json_schema(by_alias=True)
        required = schema.get("required", [])
        shared = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        inputs = {
            name: {
                "title": one.get("title", name),
                "description": one.get("description", ""),
                "schema": one | shared,
                "minOccurs": int(name in required),
                "maxOccurs": 1,
            }
            for name, one in schema["properties"].items()
        }
        outputs = {self.request.output: self.output}
        return self.summary(base) | {"inputs": inputs, "outputs": outputs}


PROCESSES = {
    process.id: process
    for process in (
        Process(
            "super-resolve",
            "Super-resolve a view",
            "Compute those blocks of a view that no one has asked for yet; they stay in the cube "
            "as a finer level, with what the model tells beside them. Where is a bbox or a "
            "polygon; what else to compute along is named by products.",
            ViewExecution,
            LAYERS,
        ),
        Process(
            "fuse",
            "Super-resolve a view from several dates",
            "The same for a model that joins the dates around the one asked for.",
            ViewExecution,
            LAYERS,
        ),
        Process(
            "explain",
            "Explain a place",
            "Tell what made a super-resolved window: which pixels, bands and, of a fusion, dates.",
            ExplainExecution,
            EXPLANATION,
            control=("sync-execute",),
        ),
        Process(
            "search",
            "Search a catalog",
            "Scenes that a STAC catalog, known by name, has of a box and a time; only where the "
            "operator allows it.",
            SearchExecution,
            SCENES,
            control=("sync-execute",),
        ),
        Process(
            "ingest",
            "Ingest scenes",
            "Take scenes of such a catalog into a cube: only the pixels of the box are read. Asked "
            "again, what is there stays as it is. Only where the operator allows it.",
            IngestExecution,
            SUMMARY,
        ),
        Process(
            "evaluate",
            "Evaluate super-resolution",
            "Audit what is super-resolved of a view: against its input, and against truth where "
            "the cube has one; bicubic stands beside it.",
            EvaluateExecution,
            EVALUATION,
        ),
    )
}


@router.get("/processes", responses=HTML_TOO)
def processes(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
    f: Format = None,
) -> Response:
    """Every process there is, or `limit` of them from `offset` on."""
    base = base_url(request)
    path, end = f"{base}/processes", offset + limit
    listed = [process.summary(base) for process in list(PROCESSES.values())[offset:end]]
    links = [
        link("self", str(request.url)),
        link("alternate", f"{path}?limit={limit}&offset={offset}&f=html", HTML, "As HTML"),
        link("root", f"{base}/"),
    ]
    if end < len(PROCESSES):
        links.append(link("next", f"{path}?limit={limit}&offset={end}"))
    return answer(request, {"title": "Processes", "processes": listed, "links": links}, f)


@router.get("/processes/{process_id}", responses=HTML_TOO)
def process_description(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    process_id: str,
    f: Format = None,
) -> Response:
    """What one process takes and gives, and the operator's limit."""
    if process_id not in PROCESSES:
        known = ", ".join(PROCESSES)
        raise NoSuchProcess(f"no process {process_id[:40]!r}; there are {known}")
    document = PROCESSES[process_id].document(base_url(request))
    return answer(request, document | {"limit_blocks": services.settings.limit_blocks}, f)
