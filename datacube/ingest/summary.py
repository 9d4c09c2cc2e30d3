"""What an ingest did, and how far it is while it is at it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datacube.scene import Scene
from datacube.sources.plan import Refusal


@dataclass(frozen=True)
class Summary:
    """What an ingest did.

    `differing` names, of scenes that were there already, what is said otherwise now and was not
    taken over; `restated` are those of which only that was replaced.
    """

    cube_id: str
    generation: int
    taken: tuple[Scene, ...]
    unchanged: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    pixel_bytes: int
    seconds: float
    differing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    restated: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The summary as JSON holds it."""
        return {
            "cube": self.cube_id,
            "generation": self.generation,
            "taken": [
                {"id": one.scene_id, "datetime": one.stamp, **one.properties} for one in self.taken
            ],
            "already_there": list(self.unchanged),
            "other_metadata": {name: list(keys) for name, keys in self.differing.items()},
            "metadata_replaced": list(self.restated),
            "refused": [vars(refusal) for refusal in self.refusals],
            "bytes": self.pixel_bytes,
            "seconds": round(self.seconds, 2),
        }


@dataclass
class Progress:
    """How far an ingest is, in bytes of pixels read; `report` is told after every step."""

    total: int
    report: Callable[["Progress"], None] = field(default=lambda _progress: None)
    done: int = 0
    label: str = ""

    def advance(self, count: int, label: str | None = None) -> None:
        """Count bytes, and say what is being read."""
        self.done += count
        self.label = self.label if label is None else label
        self.report(self)
