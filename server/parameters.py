"""Query parameters are known by name, or the request is refused.

A word that is ignored is a wish that is not granted: a misspelt `rescal`, or an `expression` that
some other tile server would run.
"""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from datacube.errors import InvalidInput

MOST_PARAMETERS = 64
LONGEST_QUERY = 8192
_FOUND: dict[Callable[..., Any], frozenset[str]] = {}


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise InvalidInput for a parameter that the route does not take, and for far too many."""
    length = len(request.scope.get("query_string", b""))
    if length > LONGEST_QUERY:
        raise InvalidInput(f"need a query of at most {LONGEST_QUERY} bytes, got {length}")
    names = [name for name, _ in request.query_params.multi_items()]
    if len(names) > MOST_PARAMETERS:
        raise InvalidInput(f"need at most {MOST_PARAMETERS} parameters, got {len(names)}")
    route = request.scope.get("route")
    if not names or not isinstance(route, APIRoute):
        return
    known = _known(route)
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InvalidInput(f"unknown parameter {name[:40]!r}; known here: {listed}")


def _known(route: APIRoute) -> frozenset[str]:
    """Names that a route takes, found once for each of them."""
    if route.endpoint not in _FOUND:
        _FOUND[route.endpoint] = frozenset(_taken(route.dependant))
    return _FOUND[route.endpoint]


def _taken(dependant: Dependant) -> Iterator[str]:
    """Names of the query parameters of a route and of all that it depends on."""
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (one.alias or name for name, one in kind.model_fields.items())
        else:
            yield field.alias
    for inner in dependant.dependencies:
        yield from _taken(inner)
