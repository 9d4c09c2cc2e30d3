"""The client for addresses from catalogs: where it never goes, and how it fails."""

import http.server
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacube.errors import SrcubeError
from datacube.sources.refusals import AssetTooLarge
from datacube.stac.errors import HrefForbidden, Unreachable
from datacube.stac.fetch import Fetcher, Limits
from datacube.stac.hrefs import Policy, is_public

QUICK = Limits(idle_s=0.5, connect_s=0.5, patience_s=1.0, attempts=2, first_pause_s=0.01)
ANYWHERE = Policy(frozenset({"*"}))

# What an item could say in order to reach a listener inside. {port} is the canary's.
HOSTILE = (
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file://localhost/etc/passwd",
    "/etc/passwd",
    "../../../../etc/passwd",
    "ftp://127.0.0.1:{port}/x.tif",
    "gopher://127.0.0.1:{port}/_x",
    "dict://127.0.0.1:{port}/x",
    "ldap://127.0.0.1:{port}/x",
    "data:image/tiff;base64,SUkqAA==",
    "javascript:alert(1)",
    "jar:https://127.0.0.1:{port}!/x",
    "http://127.0.0.1:{port}/x.tif",
    "http://example.org/x.tif",
    "https://127.0.0.1:{port}/x.tif",
    "https://localhost:{port}/x.tif",
    "https://LOCALHOST.:{port}/x.tif",
    "https://127.1:{port}/x.tif",
    "https://0x7f.1:{port}/x.tif",
    "https://0x7f000001:{port}/x.tif",
    "https://2130706433:{port}/x.tif",
    "https://0177.0.0.1:{port}/x.tif",
    "https://017700000001:{port}/x.tif",
    "https://0:{port}/x.tif",
    "https://0.0.0.0:{port}/x.tif",
    "https://[::1]:{port}/x.tif",
    "https://[::]:{port}/x.tif",
    "https://[::ffff:127.0.0.1]:{port}/x.tif",
    "https://[::ffff:7f00:1]:{port}/x.tif",
    "https://[64:ff9b::7f00:1]:{port}/x.tif",
    "https://[2002:7f00:1::]:{port}/x.tif",
    "https://[fe80::1]:{port}/x.tif",
    "https://[fc00::1]:{port}/x.tif",
    "https://[ff02::1]:{port}/x.tif",
    "https://169.254.169.254/latest/meta-data",
    "https://10.0.0.1:{port}/x.tif",
    "https://172.16.0.1:{port}/x.tif",
    "https://192.168.1.1:{port}/x.tif",
    "https://100.64.0.1:{port}/x.tif",
    "https://224.0.0.1:{port}/x.tif",
    "https://255.255.255.255:{port}/x.tif",
    "https://example.org@127.0.0.1:{port}/x.tif",
    "https://127.0.0.1:{port}#@example.org/x.tif",
    "https://example.org\\@127.0.0.1:{port}/x.tif",
    "https://127.0.0.1%00.example.org:{port}/x.tif",
    "https://\uff11\uff12\uff17.0.0.1:{port}/x.tif",
    "https://\u24dbocalhost:{port}/x.tif",
    "https://127\u30020\u30020\u30021:{port}/x.tif",
    "https:///127.0.0.1:{port}/x.tif",
    "https:127.0.0.1:{port}/x.tif",
    "//127.0.0.1:{port}/x.tif",
    "https://127.0.0.1:{port}/x.tif\r\nHost: example.org",
    "https://127.0.0.1:{port}:443/x.tif",
    "https://127.0.0.1:99999/x.tif",
    " https://127.0.0.1:{port}/x.tif",
    "/vsicurl/http://127.0.0.1:{port}/x.tif",
    "/vsicurl_streaming/http://127.0.0.1:{port}/x.tif",
    "/vsis3/bucket/x.tif",
    "/vsizip//vsicurl/http://127.0.0.1:{port}/x.zip",
    "/vsimem/x.tif",
    "/vsistdin/",
    "/vsisubfile/0_1,/etc/passwd",
    "vrt:///etc/passwd",
    "vrt://http://127.0.0.1:{port}/x.tif",
    "GTIFF_DIR:1:/etc/passwd",
    "NETCDF:http://127.0.0.1:{port}/x.nc:a",
    "WMS:http://127.0.0.1:{port}/",
    "<VRTDataset><SourceFilename>http://127.0.0.1:{port}/x</SourceFilename></VRTDataset>",
    "<GDAL_WMS><Service><ServerUrl>http://127.0.0.1:{port}/</ServerUrl></Service></GDAL_WMS>",
    '{{"type":"GDALG","command_line":"gdal raster read http://127.0.0.1:{port}/"}}',
    "s3://bucket/x.tif",
    "s3://../etc/passwd",
    "gs://bucket/x.tif",
    "",
)


class Canary:
    """Listens on an address of this machine, and notes who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self._sockets[0].getsockname()[1]
        if socket.has_ipv6:
            with_v6 = socket.socket(socket.AF_INET6)
            with_v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            with_v6.bind(("::1", self.port))
            with_v6.listen()
            self._sockets.append(with_v6)
        for listener in self._sockets:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        for listener in self._sockets:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    listener = Canary()
    yield listener
    listener.close()


@dataclass
class Served:
    """A server of this test, its `host:port` and the paths asked of it."""

    origin: str
    asked: list[str] = field(default_factory=list)

    @property
    def policy(self) -> Policy:
        return ANYWHERE.allowing(self.origin)


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer) -> Iterator[Served]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *_words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield Served(f"127.0.0.1:{one.server_address[1]}", asked)
        one.shutdown()
        thread.join()


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def redirect(location: str) -> Answer:
    return reply(302, Location=location)


def asked_for(fetcher: Fetcher, href: str) -> None:
    """What an asset's href goes through: the network, or the disk."""
    if fetcher.policy.is_remote(href):
        fetcher.get(href)
    else:
        fetcher.policy.local_path(href)


def test_there_are_enough_hostile_addresses() -> None:
    assert len(set(HOSTILE)) >= 70


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_address_is_refused_and_no_packet_is_sent(text: str, canary: Canary) -> None:
    with Fetcher(ANYWHERE, QUICK) as fetcher, pytest.raises(HrefForbidden) as caught:
        asked_for(fetcher, text.format(port=canary.port))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert canary.visits == 0


@pytest.mark.parametrize(
    "text", [href for href in HOSTILE if href.startswith(("http", "/vsi", "<", "vrt", "s3"))]
)
def test_a_redirect_to_a_hostile_address_is_refused(text: str, canary: Canary) -> None:
    location = text.format(port=canary.port).splitlines()[0]
    if not location.isascii():
        location = location.encode("utf-8").decode("latin-1")
    with server(redirect(location)) as served, Fetcher(served.policy, QUICK) as fetcher:
        with pytest.raises(SrcubeError) as caught:
            fetcher.get(f"http://{served.origin}/start")
        assert isinstance(caught.value, HrefForbidden)
    assert canary.visits == 0


def test_the_canary_would_have_been_reached_without_the_rules(canary: Canary) -> None:
    policy = ANYWHERE.allowing(f"127.0.0.1:{canary.port}", f"localhost:{canary.port}")
    with Fetcher(policy, QUICK) as fetcher, pytest.raises(Unreachable):
        fetcher.get(f"http://127.0.0.1:{canary.port}/x.tif")
    assert canary.visits >= 1


def test_a_name_is_resolved_once_and_its_address_judged(canary: Canary) -> None:
    answers = [["127.0.0.1"], ["93.184.215.14", "10.0.0.7"], ["::ffff:127.0.0.1"], []]
    for addresses in answers:

        def resolve(_host: str, _port: int, found: list[str] = addresses) -> list[str]:
            return found

        with Fetcher(ANYWHERE, QUICK, resolve) as fetcher, pytest.raises(HrefForbidden):
            fetcher.get(f"https://rebinding.example:{canary.port}/x.tif")
    assert canary.visits == 0


def test_the_connection_goes_to_the_very_address_that_was_judged(canary: Canary) -> None:
    calls: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        calls.append(host)  # a second question would be answered with the canary's address
        return ["127.0.0.1"] if len(calls) == 1 else ["::1"]

    with server(reply(200, b"judged")) as served:
        port = served.origin.rpartition(":")[2]
        policy = ANYWHERE.allowing(f"rebinding.example:{port}")
        with Fetcher(policy, QUICK, resolve) as fetcher:
            assert fetcher.get(f"http://rebinding.example:{port}/a").data == b"judged"
    assert calls == ["rebinding.example"]
    assert canary.visits == 0


def test_only_listed_hosts_are_asked() -> None:
    policy = Policy(frozenset({"data.example.org", ".storage.example"}))
    assert policy.check("https://data.example.org/a.tif?sig=x%2By&se=1").origin == (
        "data.example.org:443"
    )
    assert policy.check("https://one.storage.example/a").host == "one.storage.example"
    for href in (
        "https://example.org/a",
        "https://data.example.org.evil.example/a",
        "https://storage.example/a",
        "https://evilstorage.example/a",
        "https://xdata.example.org/a",
    ):
        with pytest.raises(HrefForbidden, match="allow"):
            policy.check(href)


def test_an_s3_address_goes_where_the_operator_mapped_it() -> None:
    policy = Policy(frozenset({"mirror.example"}), buckets={"eodata": "https://mirror.example/b"})
    assert policy.check("s3://eodata/S2/a.tif").href == "https://mirror.example/b/S2/a.tif"
    with pytest.raises(HrefForbidden, match="eodata"):
        policy.check("s3://other/S2/a.tif")


def test_local_files_are_read_below_the_given_folders_only(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a b.tif").touch()
    (tmp_path / "outside.tif").touch()
    (inside / "link.tif").symlink_to(tmp_path / "outside.tif")
    policy = Policy().below(inside)
    assert policy.local_path(f"file://{inside}/a%20b.tif") == inside / "a b.tif"
    assert policy.local_path(str(inside / "a b.tif")) == inside / "a b.tif"
    for href in (
        str(tmp_path / "outside.tif"),
        f"{inside}/../outside.tif",
        f"file://{inside}/%2e%2e/outside.tif",
        f"file://server{inside}/a.tif",
        str(inside / "link.tif"),
        f"{inside}-other/a.tif",
        f"{inside}/a\0.tif",
    ):
        with pytest.raises(HrefForbidden):
            policy.local_path(href)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_address_inside_another_is_judged_by_where_it_leads(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.version == 4:
        number = int(address)
        for wrapped in (
            (0xFFFF << 32) | number,
            (0x0064FF9B << 96) | number,
            (0x2002 << 112) | (number << 80),
        ):
            assert is_public(ipaddress.IPv6Address(wrapped)) == is_public(address)
    if is_public(address):
        assert not address.is_private
        assert not address.is_multicast


def test_redirects_are_followed_three_times(canary: Canary) -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        step = int(request.path.strip("/"))
        reply(200, b"there")(request) if step == 0 else redirect(f"/{step - 1}")(request)

    with server(answer) as served, Fetcher(served.policy, QUICK) as fetcher:
        assert fetcher.get(f"http://{served.origin}/3").data == b"there"
        with pytest.raises(HrefForbidden, match="redirects"):
            fetcher.get(f"http://{served.origin}/4")
    assert canary.visits == 0


def test_a_body_larger_than_allowed_is_not_taken() -> None:
    body = b"x" * 5000
    with server(reply(200, body)) as served, Fetcher(served.policy, QUICK) as fetcher:
        assert fetcher.get(f"http://{served.origin}/a", max_bytes=5000).data == body
        with pytest.raises(AssetTooLarge, match="5000 bytes"):
            fetcher.get(f"http://{served.origin}/a", max_bytes=4999)


def test_a_body_without_an_end_is_cut_off() -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            for _ in range(100_000):
                request.wfile.write(b"x" * 1000)
        except OSError:
            pass

    with server(answer) as served, Fetcher(served.policy, QUICK) as fetcher:
        with pytest.raises(AssetTooLarge):
            fetcher.get(f"http://{served.origin}/a", max_bytes=50_000)
        assert fetcher.traffic.received_bytes < 400_000


@pytest.mark.parametrize("status", [404, 403, 500, 503, 429, 204])
def test_a_failing_status_is_one_typed_line(status: int) -> None:
    with server(reply(status)) as served, Fetcher(served.policy, QUICK) as fetcher:
        with pytest.raises(Unreachable, match=str(status)):
            fetcher.get(f"http://{served.origin}/a?token=secret")
        expected = QUICK.attempts if status in {500, 503, 429} else 1
        assert len(served.asked) == expected


def test_a_passing_failure_is_tried_again() -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        fine = len(served.asked) > 1
        (reply(200, b"well") if fine else reply(503))(request)

    with server(answer) as served, Fetcher(served.policy, QUICK) as fetcher:
        assert fetcher.get(f"http://{served.origin}/a").data == b"well"


def test_a_truncated_body_is_an_error_and_never_bytes() -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"x" * 10)

    with (
        server(answer) as served,
        Fetcher(served.policy, QUICK) as fetcher,
        pytest.raises(Unreachable),
    ):
        fetcher.get(f"http://{served.origin}/a")


def test_a_silent_server_ends_in_an_error() -> None:
    held = threading.Event()
    with server(lambda _request: bool(held.wait(10))) as served:  # type: ignore[arg-type]
        with Fetcher(served.policy, QUICK) as fetcher, pytest.raises(Unreachable, match="attempts"):
            fetcher.get(f"http://{served.origin}/a")
        held.set()


def test_a_closed_port_and_an_unknown_name_are_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    policy = ANYWHERE.allowing(f"127.0.0.1:{port}")
    with Fetcher(policy, QUICK) as fetcher:
        with pytest.raises(Unreachable, match="2 attempts"):
            fetcher.get(f"http://127.0.0.1:{port}/a")
        with pytest.raises(Unreachable, match="resolved"):
            fetcher.get("https://no-such-host.invalid/a")


def test_a_compressed_body_is_not_taken() -> None:
    answer = reply(200, b"\x1f\x8b", Content_Encoding="gzip")
    with (
        server(answer) as served,
        Fetcher(served.policy, QUICK) as fetcher,
        pytest.raises(Unreachable, match="compressed"),
    ):
        fetcher.get(f"http://{served.origin}/a")


def test_a_server_without_ranges_is_refused_and_not_read_whole() -> None:
    with server(reply(200, b"x" * 300)) as served, Fetcher(served.policy, QUICK) as fetcher:
        with pytest.raises(Unreachable, match="ranges"):
            fetcher.read_range(f"http://{served.origin}/a", 0, 400)
        with pytest.raises((Unreachable, AssetTooLarge)):
            fetcher.read_range(f"http://{served.origin}/a", 0, 100)


def test_a_staged_file_is_whole_or_not_there(tmp_path: Path) -> None:
    with server(reply(200, b"x" * 3000)) as served, Fetcher(served.policy, QUICK) as fetcher:
        href = f"http://{served.origin}/a"
        fetcher.save(href, tmp_path / "a.jp2", max_bytes=3000)
        assert (tmp_path / "a.jp2").read_bytes() == b"x" * 3000
        with pytest.raises(AssetTooLarge):
            fetcher.save(href, tmp_path / "b.jp2", max_bytes=2999)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jp2"]


def test_tokens_in_an_address_stay_out_of_messages() -> None:
    with Fetcher(Policy(), QUICK) as fetcher, pytest.raises(HrefForbidden) as caught:
        fetcher.get("http://example.org/a.tif?sig=secret")
    assert "secret" not in str(caught.value)
