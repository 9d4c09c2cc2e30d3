"""Connections that end at an address which was judged, not at a name that may answer anew."""

import socket
from collections.abc import Callable, Iterable

import httpcore

from datacube.stac.errors import Unreachable
from datacube.stac.hrefs import Policy

Resolver = Callable[[str, int], list[str]]
SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


def addresses_of(host: str, port: int) -> list[str]:
    """Every address of a name, as the system resolves it; numbers in any notation included."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"host {host} cannot be resolved: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedBackend(httpcore.NetworkBackend):
    """Opens TCP connections for httpcore: resolve once, judge, connect to what was judged.

    TLS still verifies the certificate against the name, which httpcore passes on its own.
    """

    def __init__(self, policy: Policy, resolve: Resolver) -> None:
        self._policy = policy
        self._resolve = resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises HrefForbidden before any packet if an address of `host` is not allowed."""
        name = host.strip("[]")
        address = self._policy.check_address(host, port, self._resolve(name, port))
        return self._plain.connect_tcp(address, port, timeout, local_address, socket_options)

    def sleep(self, seconds: float) -> None:
        """Part of the interface; httpcore's own retries are not used."""
        self._plain.sleep(seconds)
