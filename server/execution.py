"""What every execute request of OGC API Processes may say, whichever process it is of.

Its `inputs` are those of its process, made plain before (`server.plain_inputs`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from fastapi import Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from server.jobs.records import Job

Document = dict[str, Any]
ACCEPTED: dict[int | str, Document] = {
    201: {
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "of the job"},
            "Preference-Applied": {"schema": {"type": "string"}, "description": "respond-async"},
        }
    }
}
INPUTS = "each as it is, as {value, mediaType} or as a link {href, type}; a box also as {bbox, crs}"


class Format(BaseModel):
    """In which format an output is wanted."""

    model_config = ConfigDict(extra="forbid")

    mediaType: Literal["application/json"]  # noqa: N815 (the standard's name)


class Output(BaseModel):
    """How an output is wanted."""

    model_config = ConfigDict(extra="forbid")

    transmissionMode: Literal["value"] = "value"  # noqa: N815
    format: Format | None = None


class Execution(BaseModel):
    """Body of an execute request; each process adds its `inputs`, and names its one `output`."""

    model_config = ConfigDict(extra="forbid")

    output: ClassVar[str]

    outputs: Annotated[
        dict[str, Output] | None,
        Field(min_length=1, max_length=1, description="by default all there are, which is one"),
    ] = None
    response: Annotated[
        Literal["raw", "document"],
        Field(description="the output itself, or a document that names it"),
    ] = "raw"

    @model_validator(mode="before")
    @classmethod
    def _without_subscriber(cls, body: Any) -> Any:
        if isinstance(body, dict) and "subscriber" in body:
            raise ValueError(
                "no subscriber is called back here; leave it out, and watch /jobs/{id} or its "
                "events"
            )
        return body

    @model_validator(mode="after")
    def _known_outputs(self) -> Self:
        for name in self.outputs or ():
            if name != self.output:
                raise ValueError(f"no output {name[:40]!r} here, need {self.output!r}")
        return self

    @property
    def document(self) -> str:
        """The output to be named in a document of results; empty where it is wanted raw."""
        return self.output if self.response == "document" else ""


def results(value: Document, document: str) -> Document:
    """An output as it was wanted: raw, or in a document of results under its name."""
    return {document: {"value": value}} if document else value


@dataclass(frozen=True)
class Accepted:
    """The answer of a process that is always carried out as a job."""

    response: Response
    wishes: Sequence[str]

    def document(self, job: Job) -> Document:
        """The job's status, its place in a header, and whether that is what was preferred."""
        self.response.headers["location"] = f"/jobs/{job.id}"
        if "respond-async" in self.wishes:
            self.response.headers["preference-applied"] = "respond-async"
        return job.document()


async def accepted_of(
    response: Response,
    prefer: Annotated[str | None, Header(max_length=200, description="respond-async")] = None,
) -> Accepted:
    """The answer to whoever asks, with what his request prefers."""
    return Accepted(response, [one.strip().lower() for one in re.split("[,;]", prefer or "")])


Accepted_ = Annotated[Accepted, Depends(accepted_of)]
