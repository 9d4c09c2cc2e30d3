"""Which addresses may be asked: the rules against being sent to somebody's inside network.

An href comes from a catalog, so it is hostile until shown otherwise. It is taken apart by one
strict expression (what the expression does not know is refused, so that no two parsers can
disagree about the host), then its host must be on the operator's list, and last, when a
connection is made, the very address connected to must be a public one. Only a `host:port` that
the operator wrote out is exempt from the last rule and from https.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from datacube.stac.errors import HrefForbidden

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# No user info, no backslash, no control character, no blank, no unicode: ASCII that is meant.
HREF = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_](?:[a-z0-9_.-]{0,252})|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<target>(?:[/?][!$-;=?-\[\]_a-z~]*)?)(?:#[!-~]*)?",
    re.IGNORECASE,
)
BUCKET = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,62})/(?P<key>[!-~]+)")
ANY_HOST = "*"
PORTS = {"http": 80, "https": 443}
SHOWN_CHARACTERS = 120

# Ranges that carry an IPv4 address inside: what they lead to is judged, not what they look like.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """An href taken apart: where to connect, and what to ask for there."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """`host:port`, as an operator writes it."""
        return f"{self.host}:{self.port}"

    @property
    def href(self) -> str:
        """The whole address again."""
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.target}"


@dataclass(frozen=True)
class Policy:
    """What the operator allows.

    `hosts`: public hosts reached by https; `.example.org` stands for every host below it, `*`
    for any. `origins`: `host:port` pairs that may be http and may be private. `roots`: folders
    below which local files may be read. `buckets`: https address by `s3://bucket` name.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    roots: tuple[Path, ...] = ()
    buckets: Mapping[str, str] = field(default_factory=dict)

    def allowing(self, *names: str) -> Self:
        """The same and more: `host`, or `host:port` for one that may be private or plain http."""
        hosts, origins = set(self.hosts), set(self.origins)
        for name in names:
            text = name.strip().lower()
            (origins if re.search(r":[0-9]+$", text) else hosts).add(text)
        return type(self)(frozenset(hosts), frozenset(origins), self.roots, self.buckets)

    def below(self, *roots: Path) -> Self:
        """The same, and local files below `roots`."""
        resolved = tuple(root.resolve() for root in roots)
        return type(self)(self.hosts, self.origins, (*self.roots, *resolved), self.buckets)

    def check(self, href: str) -> Target:
        """Take an https (or allowed http, or mapped s3) href apart; raises HrefForbidden."""
        found = HREF.fullmatch(self._unbucketed(href))
        if not found:
            raise HrefForbidden(f"need a plain https:// address, got {shown(href)}")
        scheme = found["scheme"].lower()
        port = int(found["port"] or PORTS[scheme])
        place = Target(scheme, found["host"].lower().rstrip("."), port, found["target"] or "/")
        if not 0 < port < 65536:
            raise HrefForbidden(f"need a port of 1 to 65535, got {shown(href)}")
        if place.origin in self.origins:
            return place
        if scheme != "https":
            raise HrefForbidden(
                f"need https for {shown(href)}; allow {place.origin} by name if it is yours"
            )
        if not self._is_listed(place.host):
            raise HrefForbidden(
                f"host {place.host} is not on the list of allowed hosts; allow it by name "
                f"(--allow-host {place.host}) if you trust it"
            )
        return place

    def check_address(self, host: str, port: int, addresses: list[str]) -> str:
        """The address to connect to, of those that `host` resolved to.

        Raises HrefForbidden if one of them is not public: a name that answers with both kinds
        is trying something.
        """
        if not addresses:
            raise HrefForbidden(f"host {host} has no address")
        if f"{host}:{port}" in self.origins:
            return addresses[0]
        for text in addresses:
            if not is_public(ipaddress.ip_address(text.partition("%")[0])):
                raise HrefForbidden(f"host {host} leads to {text}, which is not a public address")
        return addresses[0]

    def local_path(self, href: str) -> Path:
        """The file of a path or `file://` href below one of the roots; raises HrefForbidden."""
        text = href
        if href.lower().startswith("file://"):
            rest = href[len("file://") :]
            host, _, path = rest.partition("/")
            if host not in {"", "localhost"}:
                raise HrefForbidden(f"need file:///path without a host, got {shown(href)}")
            text = unquote("/" + path)
        if "\0" in text or re.match(r"/?vsi|[a-z][a-z0-9+.-]*:|<", text, re.IGNORECASE):
            raise HrefForbidden(f"need a path of a file, got {shown(href)}")
        path_found = Path(text).resolve()
        if not any(path_found.is_relative_to(root) for root in self.roots):
            raise HrefForbidden(
                f"{shown(href)} is a local file outside the folders that may be read"
            )
        return path_found

    def is_remote(self, href: str) -> bool:
        """Whether `href` would be asked of a server rather than of the disk."""
        return bool(re.match(r"(https?|s3):", href, re.IGNORECASE))

    def _is_listed(self, host: str) -> bool:
        return any(
            name in (ANY_HOST, host) or (name.startswith(".") and host.endswith(name))
            for name in self.hosts
        )

    def _unbucketed(self, href: str) -> str:
        if not href.lower().startswith("s3:"):
            return href
        found = BUCKET.fullmatch(href)
        base = self.buckets.get(found["bucket"]) if found else None
        if found is None or base is None:
            raise HrefForbidden(
                f"no https address is configured for {shown(href)}; known buckets are "
                f"{', '.join(sorted(self.buckets)) or 'none'}"
            )
        return f"{base.rstrip('/')}/{found['key']}"


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the public internet, judged by what it finally leads to."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo:
            inner = address.teredo[1]
        if address in NAT64 or address in IPV4_COMPATIBLE:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in LOCAL_NAT64:
            return False
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def shown(href: str) -> str:
    """An href for a message: one line, no control characters, not endless, no query (tokens)."""
    text = href.partition("?")[0].encode("unicode_escape").decode("ascii")
    return repr(text[:SHOWN_CHARACTERS]).replace("\\\\", "\\")
