"""STAC catalogs known by name, and what reading their assets takes.

Planetary Computer hands out its assets only to addresses that carry a token, which anybody may
ask for; it is asked through our own client and kept until shortly before it ends.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from datacube.errors import InvalidInput
from datacube.scene import parse_rfc3339
from datacube.stac.errors import Unreachable
from datacube.stac.fetch import Fetcher
from datacube.stac.hrefs import PORTS, Policy, shown

Sign = Callable[[str], str]

TOKEN_MARGIN_S = 120.0
BLOB = re.compile(r"https://([a-z0-9]{3,24})\.blob\.core\.windows\.net/([a-z0-9-]{3,63})/")


@dataclass(frozen=True)
class StacCatalog:
    """A STAC API: its root, the collection taken by default, and the hosts of its assets."""

    name: str
    url: str
    collection: str
    hosts: tuple[str, ...] = ()
    buckets: Mapping[str, str] = field(default_factory=dict)
    signing_url: str | None = None

    def policy(self) -> Policy:
        """What may be asked: the API itself and the hosts where its assets are."""
        policy = Policy(frozenset(self.hosts), buckets=self.buckets)
        place = urlsplit(self.url)
        if place.scheme == "https" and place.port in {None, PORTS["https"]}:
            return policy.allowing(place.hostname or "")
        return policy.allowing(f"{place.hostname}:{place.port or PORTS[place.scheme]}")

    def signer(self, fetcher: Fetcher) -> Sign:
        """What turns an href of this catalog into one that can be read."""
        return TokenSigner(fetcher, self.signing_url) if self.signing_url else unchanged


EARTH_SEARCH_DATA = "https://e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com"
EARTH_SEARCH_COGS = "https://sentinel-cogs.s3.us-west-2.amazonaws.com"

# Of Earth Search the reprocessed Collection 1, whose items say reliably whether the offset of
# baseline 04.00 is in their numbers; those of `sentinel-2-l2a` do not always.
CATALOGS = {
    one.name: one
    for one in (
        StacCatalog(
            "earth-search",
            "https://earth-search.aws.element84.com/v1",
            "sentinel-2-c1-l2a",
            hosts=tuple(urlsplit(url).netloc for url in (EARTH_SEARCH_DATA, EARTH_SEARCH_COGS)),
            buckets={
                "e84-earth-search-sentinel-data": EARTH_SEARCH_DATA,
                "sentinel-cogs": EARTH_SEARCH_COGS,
            },
        ),
        StacCatalog(
            "planetary-computer",
            "https://planetarycomputer.microsoft.com/api/stac/v1",
            "sentinel-2-l2a",
            hosts=("sentinel2l2a01.blob.core.windows.net",),
            signing_url="https://planetarycomputer.microsoft.com/api/sas/v1/token",
        ),
        # Its assets lie in a bucket that wants an account's signature: it can be searched here,
        # and read once the operator maps the bucket `eodata` to an address that answers.
        StacCatalog("cdse", "https://stac.dataspace.copernicus.eu/v1", "sentinel-2-l2a"),
    )
}
DEFAULT_CATALOG = "earth-search"


def find_catalog(name_or_url: str, collection: str | None = None) -> StacCatalog:
    """A catalog by its name, or by the http(s) address of its root; raises InvalidInput."""
    known = CATALOGS.get(name_or_url)
    if known:
        return StacCatalog(**{**vars(known), "collection": collection or known.collection})
    place = urlsplit(name_or_url) if re.match(r"https?://[!-~]+$", name_or_url) else None
    if place is None or not place.hostname:
        raise InvalidInput(
            f"need one of {', '.join(CATALOGS)} or the https:// address of a STAC API, "
            f"got {shown(name_or_url)}"
        )
    return StacCatalog(place.hostname, name_or_url.rstrip("/"), collection or "sentinel-2-l2a")


class TokenSigner:
    """Adds to addresses of Azure storage the token that their container asks for."""

    def __init__(self, fetcher: Fetcher, signing_url: str) -> None:
        self._fetcher = fetcher
        self._signing_url = signing_url
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenSigner, (self._fetcher, self._signing_url)

    def __call__(self, href: str) -> str:
        """The address with a token that is still good; others are returned as they are."""
        found = BLOB.match(href)
        if not found or "?" in href:
            return href
        place = f"{found[1]}/{found[2]}"
        with self._lock:
            token, ends = self._tokens.get(place, ("", 0.0))
            if time.time() > ends - TOKEN_MARGIN_S:
                token, ends = self._asked(place)
                self._tokens[place] = token, ends
        return f"{href}?{token}"

    def _asked(self, place: str) -> tuple[str, float]:
        href = f"{self._signing_url}/{place}"
        try:
            document = json.loads(self._fetcher.get(href, max_bytes=65_536).data)
            ends = parse_rfc3339(document["msft:expiry"]).timestamp()
            return str(document["token"]), ends
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise Unreachable(f"{shown(href)} did not answer with a token") from error


def unchanged(href: str) -> str:
    """The href itself: what needs no token."""
    return href
