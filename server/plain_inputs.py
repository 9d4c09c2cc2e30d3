"""Inputs of an execute request in every form of the standard, made plain before they are checked.

A value may come as it is, as `{"value": ...}` with its media type, as `{"href": ...}` where it lies
elsewhere, and a box as `{"bbox": ..., "crs": ...}`. Elsewhere is within the address itself
(`data:`), or at a host that the operator names (`SRCUBE_INPUT_HOSTS`); nothing else is ever asked.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from fastapi.routing import APIRoute

from datacube.errors import InvalidInput, SrcubeError
from datacube.stac.errors import Absent, Unreachable
from datacube.stac.fetch import Fetcher, Limits
from datacube.stac.hrefs import Policy
from server.clients import gone
from server.errors import UpstreamSilent
from server.strict_json import StrictRequest, StrictRoute, parse

MOST_REFERENCES = 4  # in one request
LARGEST_INPUT = 262_144  # bytes
PATIENCE = Limits(idle_s=4, connect_s=3, patience_s=8, attempts=1, max_bytes=LARGEST_INPUT)
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
MEDIA = frozenset({"application/json", "application/geo+json"})
DATA = re.compile(r"data:([^;,]*)(;base64)?,(.*)", re.DOTALL)
# Members by which a value in another form is known.
QUALIFIED = frozenset({"value", "mediaType"})
LINK = frozenset({"href", "type", "rel", "title", "hreflang"})
BOX = frozenset({"bbox", "crs"})


class ExecuteRoute(StrictRoute):
    """A route of execute requests, whose inputs are plain when they are checked."""

    def get_route_handler(self) -> Any:
        """The handler, which sees the request with plain inputs."""
        handler = APIRoute.get_route_handler(self)

        async def execute(request: Request) -> Response:
            asked = _ExecuteRequest(request.scope, request.receive)
            if request.method == "POST":
                await asked.make_plain()
            answer: Response = await handler(asked)
            return answer

        return execute


class _ExecuteRequest(StrictRequest):
    """A request whose body is what `make_plain` made of it."""

    _plain: Any = None

    async def make_plain(self) -> None:
        """Replace inputs by what they mean; raises InvalidInput, UpstreamSilent.

        A body that is no JSON, or has no inputs, is left for the route to refuse.
        """
        try:
            body = parse(await self.body())
        except json.JSONDecodeError:
            return
        inputs = body.get("inputs") if isinstance(body, dict) else None
        if not isinstance(inputs, dict):
            return
        links = [one for one in inputs.values() if _is(one, LINK, "href")]
        if len(links) > MOST_REFERENCES:
            raise InvalidInput(f"need at most {MOST_REFERENCES} inputs by reference")
        plain = {name: await self._value(name, one) for name, one in inputs.items()}
        self._plain = body | {"inputs": plain}

    async def json(self) -> Any:
        """The body with plain inputs."""
        return await super().json() if self._plain is None else self._plain

    async def _value(self, name: str, given: Any) -> Any:
        if _is(given, LINK, "href"):
            given = await self._fetched(name[:40], given)
        elif _is(given, QUALIFIED, "value"):
            _check_media(name[:40], given.get("mediaType"))
            given = given["value"]
        if _is(given, BOX, "bbox"):
            if given.get("crs", CRS84) != CRS84:
                raise InvalidInput(f"input {name[:40]}: need a box in {CRS84}")
            return given["bbox"]
        return given

    async def _fetched(self, name: str, link: Mapping[str, Any]) -> Any:
        """What a link leads to, parsed as strictly as a body is."""
        href = link["href"]
        _check_media(name, link.get("type"))
        if not isinstance(href, str):
            raise InvalidInput(f"input {name}: need an address in href")
        if within := DATA.fullmatch(href):
            data = _data(name, within)
        else:
            hosts = self.app.state.services.settings.input_hosts
            searches = self.app.state.tasks.searches
            data, _ = await searches.run(
                ("input", href), lambda: _asked(name, href, hosts), gone(self)
            )
        try:
            return parse(data)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"input {name}: its address leads to no JSON: {error}") from error


def _is(value: Any, members: frozenset[str], decisive: str) -> bool:
    return isinstance(value, dict) and decisive in value and members >= set(value)


def _check_media(name: str, media: Any) -> None:
    if media is not None and media not in MEDIA:
        raise InvalidInput(f"input {name}: need {' or '.join(sorted(MEDIA))}")


def _data(name: str, within: re.Match[str]) -> bytes:
    """The bytes that a `data:` address holds."""
    _check_media(name, within[1] or None)
    data = unquote_to_bytes(within[3])
    try:
        return base64.b64decode(data, validate=True) if within[2] else data
    except binascii.Error as error:
        raise InvalidInput(f"input {name}: its address holds no base64") from error


def _asked(name: str, href: str, hosts: tuple[str, ...]) -> bytes:
    """What a server elsewhere gives; raises InvalidInput, or UpstreamSilent where it does not."""
    try:
        with Fetcher(Policy().allowing(*hosts), PATIENCE) as fetcher:
            return fetcher.get(href).data
    except Absent as error:
        raise InvalidInput(f"input {name}: there is nothing at its address") from error
    except Unreachable as error:
        raise UpstreamSilent(f"input {name}: its address does not answer just now") from error
    except SrcubeError as error:
        raise InvalidInput(
            f"input {name}: nothing is taken from its address; need at most {LARGEST_INPUT} bytes "
            "at a host that the operator names (SRCUBE_INPUT_HOSTS), or a data: address"
        ) from error
