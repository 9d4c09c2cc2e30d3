"""What is written down of a job and of a block, as values."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from server.jobs.database import Row

ACTIVE = ("accepted", "running")
IMAGE = "sr"  # the part of a block that every other one stands beside
TASK_PROCESSES = frozenset({"ingest", "evaluate"})  # whose jobs are one task, see `task_jobs`
TASK_STEPS = 100  # `total` of such a job: its progress is counted in percent
RESULTS, JSON = "http://www.opengis.net/def/rel/ogc/1.0/results", "application/json"
ENDED = frozenset({"successful", "failed", "dismissed"})
Document = dict[str, Any]


@dataclass(frozen=True)
class BlockTask:
    """One block to compute: enough for a process elsewhere that sees the same catalog.

    `uid` pins the cube, `slot` the date, `model_key` the model's numbers, `path` the product
    (which names the cube's generation where all dates matter), `bbox` the place in degrees.
    `part` is the image with what comes along, or a plane that is computed by itself.
    """

    data: str
    cube_id: str
    uid: str
    slot: int
    model_id: str
    model_key: str
    path: str
    block: tuple[int, int]
    bbox: tuple[float, float, float, float]
    part: str = IMAGE

    @property
    def key(self) -> str:
        """The same for two tasks whose results would be the same pixels."""
        beside = () if self.part == IMAGE else (self.part,)
        return "/".join(map(str, (self.uid, self.path, self.slot, *self.block, *beside)))

    @property
    def kind(self) -> str:
        """The same for tasks that take about as long."""
        return kind_of(self.model_key, self.part)

    def text(self) -> str:
        """The task as the database keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a task back."""
        document = json.loads(text)
        row, col = document.pop("block")
        return cls(**document | {"block": (row, col), "bbox": tuple(document["bbox"])})


def kind_of(model_key: str, part: str) -> str:
    """The kind of a part's tasks, see `BlockTask.kind`."""
    return model_key if part == IMAGE else f"{model_key}+{part}"


@dataclass(frozen=True)
class NewJob:
    """A job to be written down: what was asked, by whom, and the blocks it lacks in their order."""

    id: str
    client: str
    process: str
    asked: Mapping[str, Any]
    total: int
    missing: tuple[BlockTask, ...]
    estimated_s: float

    @property
    def key(self) -> str:
        """The same for the same wish of the same client."""
        wish = json.dumps([self.client, self.process, self.asked], sort_keys=True)
        return hashlib.sha256(wish.encode()).hexdigest()


@dataclass(frozen=True)
class Job:
    """What was asked, how far it is, how it ended; states are those of OGC API Processes."""

    id: str
    client: str
    process: str
    asked: Mapping[str, Any]
    state: str
    message: str
    total: int
    cached: int
    done: int
    estimated_s: float
    created: float
    started: float | None
    finished: float | None
    updated: float

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """Read a row of the table of jobs."""
        values = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**values | {"asked": json.loads(row["asked"])})

    def document(self) -> Document:
        """The job as `/jobs/{id}` shows it."""
        done = self.cached + self.done
        whole = self.state == "successful"
        times = {
            name: _stamp(getattr(self, name))
            for name in ("created", "started", "finished", "updated")
            if getattr(self, name) is not None
        }
        return {
            "jobID": self.id,
            "processID": self.process,
            "type": "process",
            "status": self.state,
            "message": self.message,
            "progress": 100 if whole else round(99 * done / max(self.total, 1)),
            **self._counts(),
            **times,
            "links": self._links(),
        }

    def _counts(self) -> Document:
        if self.process in TASK_PROCESSES:
            return {}
        done = self.cached + self.done
        return {
            "blocks": {"total": self.total, "cached": self.cached, "done": done},
            "estimated_seconds": round(self.estimated_s, 2),
        }

    def _links(self) -> list[dict[str, str]]:
        ways = [("self", "", JSON), ("monitor", "/events", "text/event-stream")]
        if self.state == "successful":
            ways.append((RESULTS, "/results", JSON))
        path = f"/jobs/{self.id}"
        return [{"rel": rel, "href": path + tail, "type": media} for rel, tail, media in ways]


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
