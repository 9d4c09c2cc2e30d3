"""Request bodies are JSON by the letter: no key twice, no NaN, no nesting without end.

Python's parser takes the last of two equal keys, so that what a proxy or a log saw of a request
may not be what is done; and it takes NaN, which is no JSON.
"""

import json
from typing import Annotated, Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import Field

Number = Annotated[float, Field(strict=True)]  # a number of JSON: no text that looks like one


class StrictRoute(APIRoute):
    """A route whose body is parsed by `parse`; what fails is answered as every invalid value."""

    def get_route_handler(self) -> Any:
        """The handler, which sees the request with the strict parser."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            answer: Response = await handler(StrictRequest(request.scope, request.receive))
            return answer

        return strict


class StrictRequest(Request):
    """A request whose body is parsed by `parse`."""

    async def json(self) -> Any:
        """The document in the body; raises JSONDecodeError."""
        return parse(await self.body())


def parse(data: bytes) -> Any:
    """The document in a body; raises JSONDecodeError saying what is wrong with it."""
    try:
        return json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        _refuse("nested too deeply")
    except ValueError:  # a number of thousands of digits, or bytes that are no text
        _refuse("a number without end, or not UTF-8")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(f"the key {twice[:40]!r} stands twice")
    return found


def _no_number(name: str) -> NoReturn:
    _refuse(f"{name} is no number of JSON")


def _refuse(why: str) -> NoReturn:
    raise json.JSONDecodeError(why, "", 0)
