"""When a file was seen, as its name says it."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from datacube.errors import InvalidInput
from datacube.scene import parse_rfc3339

_DATE = re.compile(r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)(?:T(\d\d)[:-]?(\d\d)[:-]?(\d\d))?(?!\d)")
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class Interval(NamedTuple):
    """From `start` to before `end`, in UTC; `instant` is what a single date or time said."""

    start: datetime
    end: datetime
    instant: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether a time lies in it."""
        return self.start <= moment < self.end


def parse_interval(text: str) -> Interval:
    """An interval from `A/B`, either end open as `..`, or one date or time.

    A date as the end includes that day. Raises InvalidInput for anything else, or where the end
    is not after the start.
    """
    first, slash, last = text.partition("/")
    if not slash:
        moment = parse_rfc3339(first)
        return Interval(moment, _end(moment, first), moment)
    start = _FIRST if first in {"", ".."} else parse_rfc3339(first)
    end = _LAST if last in {"", ".."} else _end(parse_rfc3339(last), last)
    if end <= start:
        raise InvalidInput(f"need a time before the slash that is the earlier, got {text[:80]!r}")
    return Interval(start, end)


def time_in(name: str) -> datetime | None:
    """The first date, and time if it follows as `T101559`, in a name; UTC, or None."""
    for found in _DATE.finditer(name):
        year, month, day, *clock = found.groups()
        hour, minute, second = (int(part) for part in clock) if clock[0] else (0, 0, 0)
        try:
            return datetime(int(year), int(month), int(day), hour, minute, second, tzinfo=UTC)
        except ValueError:
            continue  # a number that only looks like a date
    return None


def scene_id_of(text: str) -> str:
    """A text as a scene id: what an id may not hold becomes `_`."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-")
    return re.sub(r"_{2,}", "_", cleaned)[:128] or "scene"


def _end(moment: datetime, text: str) -> datetime:
    """Just after the day, or the second, that a text names."""
    step = timedelta(days=1) if len(text) <= len("2024-06-20") else timedelta(seconds=1)
    try:
        return moment + step
    except OverflowError as error:
        raise InvalidInput(f"need a time before the end of 9999, got {text[:40]!r}") from error
