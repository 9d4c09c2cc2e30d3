"""Which jobs of a client a list is to show: the filters of OGC API Processes, as SQL."""

from collections.abc import Sequence
from dataclasses import dataclass

# A job that has not begun, or was never begun since nothing was lacking, has no duration: the
# comparison is with NULL then, and leaves it out.
DURATION = "coalesce(finished, ?) - started"


@dataclass(frozen=True)
class Choice:
    """What jobs have to be; by default all are chosen.

    `created` is from and before, `seconds` at least and at most, `before` the id of a job that
    is listed already: older ones are meant.
    """

    processes: Sequence[str] = ()
    states: Sequence[str] = ()
    created: tuple[float, float] | None = None
    seconds: tuple[float | None, float | None] = (None, None)
    before: str | None = None

    def condition(self, now: float) -> tuple[str, tuple[str | float, ...]]:
        """What follows a WHERE that has a condition already, and the values in it."""
        parts: list[tuple[str, tuple[str | float, ...]]] = []
        for column, names in (("process", self.processes), ("state", self.states)):
            if names:
                marks = ", ".join("?" * len(names))
                parts.append((f"{column} IN ({marks})", tuple(names)))
        if self.created is not None:
            parts.append(("created >= ? AND created < ?", self.created))
        for sign, seconds in zip((">=", "<="), self.seconds, strict=True):
            if seconds is not None:
                parts.append((f"{DURATION} {sign} ?", (now, seconds)))
        if self.before is not None:
            parts.append(("number < (SELECT number FROM jobs WHERE id = ?)", (self.before,)))
        text = "".join(f" AND {condition}" for condition, _ in parts)
        return text, tuple(value for _, values in parts for value in values)
