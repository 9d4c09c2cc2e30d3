"""Why a super-resolved place looks as it does: an OGC process that answers at once.

It takes a second where a block of a job takes many, and who asks is looking at the place. One
thread computes, and few may wait, so that tiles never do.
"""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from datacube.scene import parse_rfc3339
from server.execution import INPUTS, Execution, results
from server.plain_inputs import ExecuteRoute
from server.problems import TooMany
from server.services import Services, services_of
from server.strict_json import Number
from server.tiles import default_scene_slot
from sr_engine.explain.pictures import png
from sr_engine.explain.report import Explanation
from sr_engine.explain.wish import Wish, explained
from sr_engine.registry import DEFAULT, find_model
from sr_engine.scenes.source import CubeScene
from sr_engine.threads import use_one_thread

SIZE_PX, MAX_SIZE_PX = 16, 64

router = APIRouter(route_class=ExecuteRoute)
Document = dict[str, Any]
Position = Annotated[
    list[Annotated[Number, Field(ge=-180, le=180)]],
    Field(min_length=2, max_length=2, description="longitude and latitude in degrees"),
]


class ExplainInputs(BaseModel):
    """A place of one scene of a cube, and the model whose answer is to be explained."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collection: Annotated[str, Field(max_length=64)]
    moment: Annotated[str | None, Field(alias="datetime", max_length=40)] = None
    model: Annotated[str, Field(max_length=80)] = DEFAULT
    position: Position
    size: Annotated[
        int,
        Field(
            strict=True, ge=1, le=MAX_SIZE_PX, description="side of the window in measured pixels"
        ),
    ] = SIZE_PX


class ExplainExecution(Execution):
    """Body of an execute request."""

    output: ClassVar[str] = "explanation"

    inputs: Annotated[ExplainInputs, Field(description=INPUTS)]


@dataclass(frozen=True, eq=False)
class Explainer:
    """The thread that explains, and the places in its queue; it starts when first needed.

    `most` explanations may have been asked for and not yet given.
    """

    most: int
    thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "srcube-explain", use_one_thread)
    )
    places: BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", BoundedSemaphore(self.most))

    async def explain(self, services: Services, inputs: ExplainInputs) -> Document:
        """Explain a place; raises TooMany where the queue is full."""
        if not self.places.acquire(blocking=False):
            raise TooMany(f"{self.most} explanations are under way, the most; try again")
        try:
            work = self.thread.submit(_explained, services, inputs)
        except RuntimeError:  # the server is ending
            self.places.release()
            raise
        # Not when the request ends, which may be long before the thread is free again.
        work.add_done_callback(lambda _: self.places.release())
        return await asyncio.wrap_future(work)


def explainer_of(request: Request) -> Explainer:
    """The explainer of the application that answers a request."""
    explainer: Explainer = request.app.state.explainer
    return explainer


@router.post("/processes/explain/execution")
async def execute_explain(
    services: Annotated[Services, Depends(services_of)],
    explainer: Annotated[Explainer, Depends(explainer_of)],
    body: ExplainExecution,
) -> Document:
    """Tell which pixels, bands and dates made a window, in numbers and pictures (data URIs)."""
    return results(await explainer.explain(services, body.inputs), body.document)


def _explained(services: Services, inputs: ExplainInputs) -> Document:
    cube = services.catalog.open(inputs.collection)
    slot = (
        default_scene_slot(cube)
        if inputs.moment is None
        else cube.scene_at(parse_rfc3339(inputs.moment)).slot
    )
    shown = next(one for one in cube.scenes if one.slot == slot)
    lon, lat = inputs.position
    wish = Wish((lon, lat), degrees=True, size_px=inputs.size, pixel=False)
    return _document(explained(CubeScene(cube, shown), find_model(inputs.model), wish))


def _document(found: Explanation) -> Document:
    def uri(data: bytes) -> str:
        return "data:image/png;base64," + base64.b64encode(data).decode()

    pictures = {name: uri(png(picture)) for name, picture in found.pictures.items()}
    inner = found.inner
    return found.document | {
        "pictures": pictures,
        "inner": {"row": inner.row, "col": inner.col, "height": inner.height, "width": inner.width},
    }
