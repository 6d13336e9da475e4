"""Files on a web server: one version, whole, whatever the server and the line do meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from airflow.sdk import Connection

from sluicegate.faults import FaultError
from sluicegate.storage import Part, Storage, parse_uri
from sluicegate.storage.credentials import Credentials, credentials_of
from sluicegate.storage.http import WebFiles
from sluicegate.storage.web import Web
from tests.webserver import Answer, Asked, WebServer, ranged, web_server

CSV = b"id,n\n" + b"".join(b"%d,x\n" % number for number in range(2000))
STRONG = {"ETag": '"v1"'}


@pytest.fixture
def site() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


class Client:
    """Reads with pauses that only are noted."""

    def __init__(self, site: WebServer, credentials: Credentials | None = None, **words: float) -> None:
        self.pauses: list[float] = []
        web = Web(*([credentials] if credentials else []), sleep=self.pauses.append, **words)  # type: ignore[arg-type]
        self.files = WebFiles(web=web)
        self.uri = f"{site.url}/a.csv"

    def part(self, uri: str | None = None) -> Part:
        (found,) = self.files.list_parts(parse_uri(uri or self.uri))
        return found

    def read(self, folder: Path, uri: str | None = None) -> bytes:
        part = self.part(uri)
        return self.files.fetch(part, parse_uri(part.uri), folder).read_bytes()

    def fails(self, folder: Path, uri: str | None = None) -> FaultError:
        with pytest.raises(FaultError) as caught:
            self.read(folder, uri)
        return caught.value


def test_a_strong_etag_is_the_version_and_the_file_is_fetched_once(site: WebServer, tmp_path: Path) -> None:
    site.answers = [Answer(CSV, headers=STRONG)]
    client = Client(site)
    assert (client.part().version, client.part().size) == ("v1", len(CSV))
    assert client.read(tmp_path) == CSV
    assert [asked.method for asked in site.asked] == ["HEAD", "HEAD", "HEAD", "GET"]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"v1"'}, {"Last-Modified": "Sat, 28 Nov 2026 11:00:00 GMT"}])
def test_without_a_strong_etag_the_content_is_the_version_and_comes_once(
    site: WebServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    site.answers = [Answer(CSV, headers=headers)]
    client = Client(site)
    part = client.part()
    assert part.version == hashlib.sha256(CSV).hexdigest()
    assert client.files.fetch(part, parse_uri(part.uri), tmp_path).read_bytes() == CSV
    assert [asked.method for asked in site.asked] == ["HEAD", "GET"]
    # Another process, which only knows the version, fetches it anew and holds it against that.
    assert Client(site).files.fetch(part, parse_uri(part.uri), tmp_path).read_bytes() == CSV
    site.answers = [Answer(CSV + b"3,x\n", headers=headers)]
    with pytest.raises(FaultError, match="SOURCE_CHANGED"):
        Client(site).files.fetch(part, parse_uri(part.uri), tmp_path)


def test_a_body_that_breaks_off_goes_on_where_it_was(site: WebServer, tmp_path: Path) -> None:
    cuts = iter([1000, 5000, None])

    def script(asked: Asked) -> Answer:
        answer = ranged(asked, Answer(CSV, headers=STRONG))
        if asked.method == "HEAD":
            return answer
        return Answer(answer.body, answer.status, answer.headers, next(cuts))

    site.script = script
    assert Client(site).read(tmp_path) == CSV
    assert [asked.headers.get("Range") for asked in site.asked] == [None, None, "bytes=1000-", "bytes=6000-"]
    assert site.asked[-1].headers["If-Range"] == '"v1"'


def test_a_file_that_is_replaced_half_way_is_not_mixed(site: WebServer, tmp_path: Path) -> None:
    first = [Answer(CSV, headers=STRONG), Answer(CSV, headers=STRONG, cut=1000)]

    def script(asked: Asked) -> Answer:
        return first.pop(0) if first else ranged(asked, Answer(CSV.upper(), headers={"ETag": '"v2"'}))

    site.script = script
    assert Client(site).fails(tmp_path).code == "SOURCE_CHANGED"


def test_a_body_without_a_version_that_breaks_off_is_read_anew(site: WebServer, tmp_path: Path) -> None:
    site.answers = [Answer(CSV), Answer(CSV, cut=1000), Answer(CSV)]
    assert Client(site).read(tmp_path) == CSV
    assert all("Range" not in asked.headers for asked in site.asked)


def test_a_body_that_always_breaks_off_is_a_fault_that_passes(site: WebServer, tmp_path: Path) -> None:
    site.answers = [Answer(CSV, cut=1000)]
    error = Client(site, attempts=2).fails(tmp_path)
    assert (error.code, error.fault.kind) == ("NETWORK", "transient")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(site: WebServer, tmp_path: Path, status: int) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    site.answers = [
        Answer(status=status, headers={"Retry-After": "7"}),
        Answer(status=status, headers={"Retry-After": later}),
        Answer(status=status),
        Answer(CSV, headers=STRONG),
    ]
    client = Client(site)
    assert client.read(tmp_path) == CSV
    assert client.pauses[0] == 7
    assert 50 < client.pauses[1] <= 60
    assert 2 <= client.pauses[2] <= 4


def test_a_server_that_asks_for_hours_is_left_to_the_retry(site: WebServer, tmp_path: Path) -> None:
    site.answers = [Answer(status=429, headers={"Retry-After": "7200"})]
    client = Client(site)
    error = client.fails(tmp_path)
    assert (error.code, client.pauses) == ("SOURCE_UNAVAILABLE", [])
    assert "to be asked again in 7200 s" in error.detail


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "SOURCE_DENIED"), (403, "SOURCE_DENIED"), (418, "SOURCE_REJECTED"), (502, "SOURCE_UNAVAILABLE")],
)
def test_a_refusal_says_the_servers_words(site: WebServer, tmp_path: Path, status: int, code: str) -> None:
    site.answers = [Answer(b'{"error": "no plan"}', status, {"Content-Type": "application/json"})]
    error = Client(site, attempts=2).fails(tmp_path, f"{site.url}/a.csv?key=geheim")
    assert error.code == code
    assert f"/a.csv?...: HTTP {status}" in error.detail
    assert ("no plan" in error.detail) is (status != 502)  # which was said to a HEAD already
    assert "geheim" not in error.detail


def test_a_file_that_is_not_there_is_missing_and_can_be_waited_for(site: WebServer) -> None:
    site.answers = [Answer(status=404)]
    uri = f"{site.url}/a.csv"
    assert not Storage().exists(uri)
    with pytest.raises(FaultError) as caught:
        Storage().require_parts(uri)
    assert caught.value.code == "SOURCE_MISSING"
    site.answers = [Answer(CSV)]
    assert Storage().exists(uri)


def test_the_bytes_of_a_file_are_those_that_the_server_says(site: WebServer) -> None:
    storage, uri = Storage(), f"{site.url}/a.csv"
    site.answers = [Answer(b"id,1"), Answer(status=404), Answer(b"")]
    assert [storage.size(uri), storage.size(uri)] == [4, 0]
    with pytest.raises(FaultError, match="does not say how long it is"):
        storage.size(uri)


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_server_that_refuses_head_is_asked_with_get(site: WebServer, tmp_path: Path, status: int) -> None:
    site.script = lambda asked: Answer(status=status) if asked.method == "HEAD" else Answer(CSV, headers=STRONG)
    client = Client(site)
    assert client.part().version == "v1"
    assert client.read(tmp_path) == CSV


def test_gzip_for_the_way_is_taken_off_and_a_gzip_file_stays_one(site: WebServer, tmp_path: Path) -> None:
    packed = gzip.compress(CSV)
    site.answers = [Answer(packed, headers={"Content-Encoding": "gzip", **STRONG})]
    assert Client(site).read(tmp_path) == CSV
    assert Client(site).read(tmp_path, f"{site.url}/a.csv.gz") == packed
    assert site.asked[0].headers["Accept-Encoding"] == "identity"


def test_redirects_are_followed_without_the_credentials_to_another_host(site: WebServer, tmp_path: Path) -> None:
    credentials = Credentials("127.0.0.1", {"X-Key": "geheim"}, {"token": "t0ken"}, ("me", "pw"))
    with web_server() as other:
        other.answers = [Answer(CSV, headers=STRONG)]
        site.script = lambda asked: (
            Answer(CSV, headers=STRONG)
            if asked.path.startswith("/b")
            else Answer(status=302, headers={"Location": f"{other.url}/x" if "far" in asked.path else "/b.csv"})
        )
        client = Client(site, credentials)
        assert client.read(tmp_path) == CSV
        assert client.read(tmp_path, f"{site.url}/far.csv") == CSV
    assert all(asked.headers["X-Key"] == "geheim" for asked in site.asked)
    assert all(asked.headers["Authorization"].startswith("Basic ") for asked in site.asked)
    assert site.asked[0].path == "/a.csv?token=t0ken"
    assert not any({"X-Key", "Authorization"} & asked.headers.keys() for asked in other.asked)
    assert not any("t0ken" in asked.path for asked in other.asked)


def test_a_connection_is_sent_to_its_own_host_alone(site: WebServer, tmp_path: Path) -> None:
    site.answers = [Answer(CSV)]
    error = Client(site, Credentials("api.example.com", {"X-Key": "geheim"})).fails(tmp_path)
    assert (error.code, site.asked) == ("WRONG_USE", [])
    assert "geheim" not in str(error)


def test_what_a_server_repeats_of_the_credentials_is_masked(site: WebServer, tmp_path: Path) -> None:
    site.answers = [Answer(b"bad key geheim123", 401)]
    error = Client(site, Credentials(None, {"Authorization": "Bearer geheim123"})).fails(tmp_path)
    assert "bad key ***" in error.detail
    assert "geheim123" not in repr(Credentials(None, {"a": "geheim123"}))


def test_a_password_in_the_address_is_refused(site: WebServer, tmp_path: Path) -> None:
    error = Client(site).fails(tmp_path, site.url.replace("//", "//me:geheim@") + "/a.csv")
    assert error.code == "WRONG_USE"
    assert "geheim" not in str(error)


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ({"login": "me", "password": "pw"}, Credentials(None, {}, {}, ("me", "pw"))),
        ({"password": "pw"}, Credentials(None, {"Authorization": "Bearer pw"})),
        ({"host": "https://api.x.org:8443/v1"}, Credentials("api.x.org")),
        ({"extra": '{"X-Key": "k", "verify": false, "timeout": 3}'}, Credentials(None, {"X-Key": "k"})),
        ({"extra": '{"headers": {"A": "b"}, "query": {"key": 1}}'}, Credentials(None, {"A": "b"}, {"key": "1"})),
    ],
)
def test_a_connection_says_who_asks(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, str], expected: Credentials
) -> None:
    made = Connection(conn_id="api", conn_type="http", **connection)  # type: ignore[arg-type]
    monkeypatch.setenv("AIRFLOW_CONN_API", made.as_json() if hasattr(made, "as_json") else made.get_uri())
    assert credentials_of("api") == expected


def test_a_folder_of_a_web_server_is_refused_with_words() -> None:
    with pytest.raises(FaultError, match="cannot be listed"):
        Storage().require_parts("https://127.0.0.1/in/")
    with pytest.raises(FaultError, match="nothing can be written"):
        Storage().put_atomic(Path(__file__), "https://127.0.0.1/a.csv")


@pytest.mark.parametrize("status", [202, 204])
def test_a_file_that_is_not_made_yet_is_not_an_empty_one(site: WebServer, tmp_path: Path, status: int) -> None:
    site.answers = [Answer(b"", status=status)]
    client = Client(site)
    assert client.files.list_parts(parse_uri(client.uri)) == ()
    assert not client.files.exists(parse_uri(client.uri))
    site.answers = [Answer(CSV, headers=STRONG), Answer(b"", status=status)]
    assert client.fails(tmp_path).code == "SOURCE_MISSING"


@pytest.mark.parametrize("etag", [STRONG, {}])
def test_what_a_server_compresses_is_undone_to_its_end(site: WebServer, tmp_path: Path, etag: dict[str, str]) -> None:
    packed = {"Content-Encoding": "gzip", **etag}
    two = gzip.compress(CSV[:100]) + gzip.compress(CSV[100:])
    for body, way in [(gzip.compress(CSV), "gzip"), (two, "x-gzip"), (zlib.compress(CSV), "deflate"), (b"", "gzip")]:
        site.answers = [Answer(body, headers=packed | {"Content-Encoding": way})]
        assert Client(site).read(tmp_path) == (CSV if body else b"")
    for body, way, code in [
        (gzip.compress(CSV)[:-9], "gzip", "NETWORK"),
        (gzip.compress(CSV)[:100], "gzip", "NETWORK"),
        (CSV, "gzip", "SOURCE_UNREADABLE"),
        (CSV, "br", "SOURCE_UNREADABLE"),
    ]:
        site.answers = [Answer(body, headers=packed | {"Content-Encoding": way})]
        assert Client(site).fails(tmp_path).code == code


@pytest.mark.parametrize(("range_", "whole"), [("bytes 0-99/200", False), ("bytes 0-99/100", True), ("", False)])
def test_a_part_that_was_not_asked_for_is_not_the_file(
    site: WebServer, tmp_path: Path, range_: str, whole: bool
) -> None:
    site.answers = [Answer(CSV[:100], 206, {**STRONG, "Content-Range": range_})]
    if whole:
        assert Client(site).read(tmp_path) == CSV[:100]
    else:
        assert "sends only a part of it" in Client(site).fails(tmp_path).detail
