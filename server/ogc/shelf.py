"""What all cubes have to tell, one by one, so that a broken one costs nobody the others.

A cube whose documents cannot be read is left out of a list, named beside it, and logged once for
the operator. A store that does not answer is another matter: then there is no list at all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from datacube.errors import Damaged, SrcubeError
from server.errors import log
from server.ogc.answers import Document
from server.problems import reason_of

# What documents lead to that are damaged, of a later format, or nobody's of ours.
UNREADABLE = (Damaged, ValueError, LookupError, TypeError, AttributeError)
T = TypeVar("T")


@dataclass
class Shelf:
    """Hears one cube after the other, and remembers those that could not be read."""

    broken: dict[str, Document] = field(default_factory=dict)

    def told(self, cube_id: str, tell: Callable[[], Iterable[T]]) -> list[T]:
        """All that is told of a cube; nothing where it cannot be read."""
        try:
            return list(tell())
        except UNREADABLE as error:
            code = error.code if isinstance(error, SrcubeError) else Damaged.code
            _log_once(cube_id, f"{type(error).__name__}: {error}")
            self.broken[cube_id] = {"id": cube_id, "code": code, "reason": reason_of(error)}
            return []

    @property
    def unavailable(self) -> list[Document]:
        """The cubes that could not be read, each with the reason it gives by itself."""
        return list(self.broken.values())


@lru_cache(maxsize=1024)
def _log_once(cube_id: str, why: str) -> None:
    log.error("cube %s cannot be read and is left out of lists: %s", cube_id, why)
