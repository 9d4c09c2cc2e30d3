"""Who may do what, and how often.

Looking takes the scope `view`; what computes or changes takes `compute`, ingest `ingest`. Without
a key one may do what the operator allows everybody. A request that is refused costs nothing of
the rate: only accepted work counts.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from server.keys import Caller, KeyRing
from server.middleware.asgi import ASGIApp, Receive, Scope, Send, header, refuse

LOOKING = frozenset({"/search"})  # what is too long for an address may be asked by POST
INGESTING = ("/processes/ingest/", "/processes/search/")  # what asks servers elsewhere
BURST_S = 10  # how many seconds' worth one may ask for at once
MOST_CLIENTS = 10_000  # whose last requests are remembered


@dataclass(eq=False)
class _Bucket:
    """What one client may still ask for, and when that was so."""

    tokens: float
    moment: float


class Buckets:
    """A token bucket for each client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, per_second: float) -> float:
        """Take a token: 0, or the seconds until there is one."""
        now, most = self._clock(), max(per_second * BURST_S, 1.0)
        bucket = self._held.pop(name, None) or _Bucket(most, now)
        bucket.tokens = min(bucket.tokens + (now - bucket.moment) * per_second, most)
        bucket.moment = now
        self._held[name] = bucket
        while len(self._held) > MOST_CLIENTS:
            self._held.popitem(last=False)
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / per_second
        bucket.tokens -= 1
        return 0.0


class Access:
    """Keys, scopes and rates; `anybody` is what holds for requests without a key."""

    def __init__(
        self, app: ASGIApp, *, keys: KeyRing, anybody: Caller, exempt: frozenset[str]
    ) -> None:
        self._app = app
        self._keys = keys
        self._anybody = anybody
        self._exempt = exempt
        self._buckets = Buckets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what this caller may ask for, so often."""
        if scope["type"] not in {"http", "websocket"} or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        key = _key_of(scope)
        caller = self._keys.find(key) if key else self._anonymous(scope)
        if caller is None:
            await _ask_for_key(scope, receive, send, "the key is not known here")
            return
        needed = scope_needed(scope)
        if needed not in caller.scopes and key:
            detail = f"this takes the scope {needed}, which the key has not"
            await refuse(scope, receive, send, (403, "ScopeMissing", detail))
            return
        if needed not in caller.scopes:
            await _ask_for_key(scope, receive, send, f"this takes a key with the scope {needed}")
            return
        wait_s = self._buckets.take(caller.name, caller.per_second) if caller.per_second else 0.0
        if wait_s > 0:
            detail = f"more than {caller.per_second:g} requests a second; come back"
            headers = {"retry-after": str(math.ceil(wait_s))}
            await refuse(scope, receive, send, (429, "TooManyRequests", detail), headers)
            return
        scope.setdefault("state", {}).update(caller=caller.name, scopes=caller.scopes)
        await self._app(scope, receive, send)

    def _anonymous(self, scope: Scope) -> Caller:
        client = scope.get("client")
        name = client[0] if client else "unknown"
        return Caller(name, self._anybody.scopes, self._anybody.per_second)


def scope_needed(scope: Scope) -> str:
    """What a request has to be allowed to do."""
    if scope["type"] == "websocket" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return "view"
    if scope["path"] in LOOKING:
        return "view"
    return "ingest" if scope["path"].startswith(INGESTING) else "compute"


def _key_of(scope: Scope) -> str:
    kind, _, key = header(scope, b"authorization").partition(" ")
    return key.strip() if kind.lower() == "bearer" else header(scope, b"x-api-key")


async def _ask_for_key(scope: Scope, receive: Receive, send: Send, detail: str) -> None:
    said = (401, "KeyNeeded", f"{detail}; send one as 'Authorization: Bearer ...'")
    await refuse(scope, receive, send, said, {"www-authenticate": "Bearer"})
