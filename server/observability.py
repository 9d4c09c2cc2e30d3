"""What the server tells its operator: structured logs and numbers.

A log line is one JSON object, whatever it holds: text from outside cannot begin a second one.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")


class JsonLines(logging.Formatter):
    """One JSON object a line, with the id of the request it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; what was given as `extra={"facts": {...}}` stands beside the rest."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


def log_to_stderr(level: str) -> None:
    """Send the logs of the server, and of what it is built on, to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("srcube", "uvicorn", "uvicorn.error", "distributed"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if "." not in name else []
        logger.propagate = "." in name
        logger.setLevel(level.upper())
