"""An API's records land once and whole, page by page, whatever its server and this process do meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import pytest

from sluicegate.faults import FaultError
from sluicegate.sources import fetch as fetching
from sluicegate.sources.fetch import FetchReport, fetch_api
from sluicegate.storage import Storage
from sluicegate.storage.credentials import Credentials
from sluicegate.storage.web import Web
from tests.sources.conftest import Folder
from tests.webserver import Answer, Asked, WebServer

JSON = {"Content-Type": "application/json"}


def answer(value: Any, **headers: str) -> Answer:
    return Answer(json.dumps(value).encode(), headers={**JSON, **headers})


def query(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(asked.path.partition("?")[2]))


def records(*ids: int) -> list[dict[str, int]]:
    return [{"id": each} for each in ids]


class Fetch:
    def __init__(self, folder: Folder, site: WebServer, credentials: Credentials | None = None) -> None:
        self.folder, self.site = folder, site
        self.pauses: list[float] = []
        words = {"credentials": credentials} if credentials else {}
        self.web = Web(**words, sleep=self.pauses.append)  # type: ignore[arg-type]

    def __call__(self, asked: Mapping[str, Any] | None = None, **words: Any) -> FetchReport:
        fetched = {"api": f"{self.site.url}/v1/orders", **(asked or {})}
        return fetch_api(self.folder.request(fetched, **words), self.web, Storage(), self.folder.work)

    def fails(self, asked: Mapping[str, Any] | None = None, **words: Any) -> FaultError:
        with pytest.raises(FaultError) as caught:
            self(asked, **words)
        return caught.value


@pytest.fixture
def fetch(folder: Folder, site: WebServer) -> Fetch:
    return Fetch(folder, site)


@pytest.fixture
def each_page_lands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PART_BYTES", 1)


def test_one_answer_is_one_part_with_its_numbers_as_they_came(fetch: Fetch) -> None:
    body = b'[{"id": 12345678901234567890, "price": 1.10, "x": [1e400, null], "t": "\\u00fc \\"q\\""}]'
    fetch.site.answers = [Answer(body, headers=JSON)]
    report = fetch()
    assert (report.rows, report.parts, report.pages) == (1, 1, 1)
    assert fetch.folder.lines == ['{"id":12345678901234567890,"price":1.10,"x":[1e400,null],"t":"ü \\"q\\""}']
    assert fetch.folder.names == ["_SUCCESS", "part-00000.jsonl.gz"]
    assert Storage().require_parts(f"{fetch.folder.path}/")


def test_pages_by_link(fetch: Fetch) -> None:
    pages = {"": (records(1), "Link", '</v1/orders?p=2>; rel="next"'), "2": (records(2), "X", "")}
    fetch.site.script = lambda asked: answer(
        pages[query(asked).get("p", "")][0], **dict([pages[query(asked).get("p", "")][1:]])
    )
    assert fetch({"pages": {"by": "link"}}).pages == 2
    assert fetch.folder.records == records(1, 2)


def test_pages_by_cursor_go_on_over_an_empty_one(fetch: Fetch) -> None:
    pages: dict[str, Any] = {"": ("a", [1]), "a": ("b", []), "b": ("", [2])}

    def script(asked: Asked) -> Answer:
        after, ids = pages[query(asked).get("after", "")]
        return answer({"data": {"items": records(*ids)}, "meta": {"next": after}})

    fetch.site.script = script
    fetch({"records": "data.items", "pages": {"by": "cursor", "path": "meta.next", "param": "after", "size": 50}})
    assert fetch.folder.records == records(1, 2)
    assert query(fetch.site.asked[1]) == {"limit": "50", "after": "a"}


def test_a_cursor_that_is_a_number_with_a_fraction_is_sent_as_it_came(fetch: Fetch) -> None:
    last = Answer(b'{"data": [{"id": 2}]}', headers=JSON)
    first = Answer(b'{"next": 1700000000.120, "data": [{"id": 1}]}', headers=JSON)
    fetch.site.script = lambda asked: last if query(asked).get("cursor") == "1700000000.120" else first
    fetch({"records": "data", "pages": {"by": "cursor", "path": "next"}})
    assert fetch.folder.records == records(1, 2)


def test_pages_by_an_address_in_the_answer(fetch: Fetch) -> None:
    def script(asked: Asked) -> Answer:
        return answer(
            {"items": records(2), "next": None} if "p" in query(asked) else {"items": records(1), "next": "?p=2"}
        )

    fetch.site.script = script
    fetch({"records": "items", "pages": {"by": "next_url", "path": "next"}})
    assert fetch.folder.records == records(1, 2)


@pytest.mark.parametrize("end", [answer([]), Answer(status=404)])
def test_pages_that_are_counted_end_with_an_empty_one_and_not_with_a_short_one(fetch: Fetch, end: Answer) -> None:
    pages = {"1": answer(records(1, 2)), "2": answer(records(3)), "3": answer(records(4, 5))}
    fetch.site.script = lambda asked: pages.get(query(asked)["page"], end)
    fetch({"pages": {"by": "page", "size": 2}})
    assert fetch.folder.records == records(1, 2, 3, 4, 5)
    assert query(fetch.site.asked[0]) == {"page": "1", "per_page": "2"}


def test_a_number_of_pages_that_is_a_text_is_one_too(fetch: Fetch) -> None:
    fetch.site.answers = [answer({"data": records(1), "pages": "2"}), answer({"data": records(2), "pages": "2"})]
    assert fetch({"records": "data", "pages": {"by": "page", "path": "pages"}}).pages == 2


def test_pages_whose_number_is_said_go_on_over_an_empty_one(fetch: Fetch) -> None:
    pages = {"0": records(1), "1": [], "2": records(3)}
    fetch.site.script = lambda asked: answer({"all": 3, "rows": pages[query(asked)["p"]]})
    fetch({"records": "rows", "pages": {"by": "page", "param": "p", "first": 0, "path": "all"}})
    assert fetch.folder.records == records(1, 3)


def test_an_offset_goes_on_by_what_came(fetch: Fetch) -> None:
    rows = records(*range(7))

    def script(asked: Asked) -> Answer:
        start = int(query(asked)["offset"])
        return answer(rows[start : start + 3])  # the server gives 3 at most

    fetch.site.script = script
    fetch({"pages": {"by": "offset", "size": 100}})
    assert fetch.folder.records == rows


@pytest.mark.parametrize(
    ("pages", "script", "words"),
    [
        ({"by": "cursor", "path": "next"}, lambda asked: {"next": "same", "d": records(1)}, "names itself"),
        (
            {"by": "cursor", "path": "next"},
            lambda asked: {"next": "a" if query(asked).get("cursor") == "b" else "b", "d": records(1)},
            "that was read before",
        ),
        ({"by": "page"}, lambda asked: {"d": records(1)}, "does the server know {'page': 2}"),
        ({"by": "offset"}, lambda asked: {"d": records(1)}, "the one before once more"),
        (
            {"by": "cursor", "path": "next", "most": 3},
            lambda asked: {"next": query(asked).get("cursor", "") + "x", "d": records(len(asked.path))},
            "more than 3 pages",
        ),
        (
            {"by": "next_url", "path": "next"},
            lambda asked: {"next": "http://localhost:1/x", "d": []},
            "on another server",
        ),
    ],
)  # fmt: skip
def test_pages_without_an_end_are_a_fault(fetch: Fetch, pages: Any, script: Any, words: str) -> None:
    fetch.site.script = lambda asked: answer(script(asked))
    error = fetch.fails({"records": "d", "pages": pages})
    assert (error.code, words in error.detail) == ("SOURCE_REJECTED", True)
    assert not (fetch.folder.path / "_SUCCESS").exists()


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"error": "plan expired"}', "application/json", "there is nothing at `records: data`"),
        (b'{"data": {"id": 1}}', "application/json", "`records: data` is not a list"),
        (b"<html>Maintenance</html>", "text/html", "does not answer with JSON"),
        (b'{"data": [1, 2]}', "application/json", "a record is not an object but a int"),
        (b'{"data": [{"id": 1, "id": 2}]}', "application/json", "the key 'id' twice"),
        (b'{"data": null}', "application/json", "there is nothing at `records: data`"),
    ],
)
def test_an_answer_that_is_not_records_is_a_fault_with_its_beginning(
    fetch: Fetch, body: bytes, kind: str, words: str
) -> None:
    fetch.site.answers = [Answer(body, headers={"Content-Type": kind})]
    error = fetch.fails({"records": "data"})
    assert error.code == "SOURCE_UNREADABLE"
    assert words in error.detail
    assert f"HTTP 200, {kind}: {body.decode()[:20]}" in error.detail


def test_an_answer_is_decoded_as_it_says_or_as_utf_8_and_nothing_of_it_is_replaced(fetch: Fetch) -> None:
    body = '[{"id": 1, "n": "ä"}]'
    for content, charset in [(body.encode("latin-1"), "; charset=iso-8859-1"), (body.encode("utf-8-sig"), ""),
                             (body.encode("utf-16"), "; charset=utf-16"), (body.encode(), "")]:  # fmt: skip
        fetch.site.answers = [Answer(content, headers={"Content-Type": f"application/json{charset}"})]
        fetch()
        assert fetch.folder.records == [{"id": 1, "n": "ä"}]
    for charset in ("", "; charset=us-ascii"):
        fetch.site.answers = [Answer(body.encode("latin-1"), headers={"Content-Type": f"application/json{charset}"})]
        error = fetch.fails()
        assert error.code == "SOURCE_UNREADABLE"
        assert "codec can't decode byte 0xe4" in error.detail


@pytest.mark.parametrize("status", [200, 401])
def test_a_secret_in_the_address_is_in_no_message_though_the_server_says_it(fetch: Fetch, status: int) -> None:
    fetch.site.answers = [Answer(b'{"message": "not a token: top secret!"}', status=status, headers=JSON)]
    error = fetch.fails({"params": {"access_token": "top secret!"}, "records": "data"})
    assert '"not a token: ***"' in error.detail


def test_the_first_page_being_missing_is_a_fault(fetch: Fetch) -> None:
    fetch.site.answers = [Answer(status=404)]
    assert fetch.fails({"pages": {"by": "page"}}).code == "SOURCE_MISSING"


def test_a_busy_server_is_asked_when_it_says_and_a_broken_body_again(fetch: Fetch) -> None:
    whole = answer(records(1))
    fetch.site.answers = [Answer(status=429, headers={"Retry-After": "9"}), Answer(whole.body, cut=3), whole]
    fetch()
    assert fetch.pauses == [9]
    assert fetch.folder.records == records(1)


def test_a_rate_is_kept(folder: Folder, site: WebServer) -> None:
    fetch = Fetch(folder, site)
    site.script = lambda asked: answer(
        records(*range(int(query(asked)["offset"]), min(3, int(query(asked)["offset"]) + 1)))
    )
    fetch({"pages": {"by": "offset"}, "rate": "1/h"})
    assert len(fetch.pauses) == 3
    assert all(3590 < pause <= 3600 for pause in fetch.pauses)


def test_templates_fill_in_the_request_and_a_body_is_posted(fetch: Fetch) -> None:
    fetch.site.answers = [answer([])]
    fetch(
        {
            "params": {"from": "{{ window.start.isoformat() }}", "shop": "{{ params.shop }}"},
            "headers": {"X-Day": "{{ ds }}"},
            "body": {"filter": {"day": "{{ ds }}", "n": 3}},
        },
        params={"shop": "a&b=c"},
    )
    [asked] = fetch.site.asked
    assert asked.method == "POST"
    assert query(asked) == {"from": "2026-01-01T00:00:00+00:00", "shop": "a&b=c"}
    assert asked.headers["X-Day"] == "2026-01-01"
    assert json.loads(asked.body) == {"filter": {"day": "2026-01-01", "n": 3}}


@pytest.mark.usefixtures("each_page_lands")
def test_a_fetch_that_was_killed_goes_on_with_its_next_page(folder: Folder, site: WebServer) -> None:
    class Killed(BaseException):
        pass

    pages = {"": ("a", 1), "a": ("b", 2), "b": (None, 3)}
    kill = True

    def script(asked: Asked) -> Answer:
        nonlocal kill
        after, number = pages[query(asked).get("cursor", "")]
        if number == 3 and kill:
            kill = False
            return Answer(status=400)
        return answer({"d": records(number), "next": after})

    site.script = script
    asked = {"records": "d", "pages": {"by": "cursor", "path": "next"}}
    Fetch(folder, site).fails(asked)
    assert not Storage().exists(f"{folder.path}/")
    with pytest.raises(FaultError, match="SOURCE_UNFINISHED"):
        Storage().require_parts(f"{folder.path}/")
    site.asked.clear()
    report = Fetch(folder, site)(asked)
    assert (report.pages, report.resumed, len(site.asked)) == (3, 2, 1)
    assert folder.records == records(1, 2, 3)
    assert folder.names == ["_SUCCESS", *(f"part-0000{number}.jsonl.gz" for number in range(3))]


@pytest.mark.usefixtures("each_page_lands")
def test_a_place_that_the_server_has_forgotten_begins_anew(folder: Folder, site: WebServer) -> None:
    broken = [True]

    def script(asked: Asked) -> Answer:
        cursor = query(asked).get("cursor", "")
        if cursor == "old":
            return Answer(status=500 if broken[0] else 410)
        return answer({"d": records(1), "next": "old"}) if broken[0] else answer({"d": records(7), "next": None})

    site.script = script
    asked = {"records": "d", "pages": {"by": "cursor", "path": "next"}}
    assert Fetch(folder, site).fails(asked).code == "SOURCE_UNAVAILABLE"
    broken[0] = False
    report = Fetch(folder, site)(asked)
    assert (folder.records, report.resumed) == (records(7), 0)


@pytest.mark.usefixtures("each_page_lands")
def test_a_fetch_again_replaces_what_was_there(fetch: Fetch) -> None:
    fetch.site.script = lambda asked: answer(
        records(int(query(asked)["page"])) if query(asked)["page"] in "123" else []
    )
    fetch({"pages": {"by": "page"}})
    fetch.site.script = lambda asked: answer(records(9) if query(asked)["page"] == "1" else [])
    fetch({"pages": {"by": "page"}})
    assert fetch.folder.records == records(9)


def test_a_dry_run_asks_for_one_page_and_lands_nothing(fetch: Fetch) -> None:
    fetch.site.answers = [answer({"d": [{"id": 1, "n": 2}], "next": "a"})]
    report = fetch({"records": "d", "pages": {"by": "cursor", "path": "next"}}, dry_run=True)
    assert len(fetch.site.asked) == 1
    assert report.line() == "dry run, nothing landed: 1 rows of 1 pages seen with id, n"
    assert not fetch.folder.path.exists()


@pytest.mark.usefixtures("each_page_lands")
def test_credentials_are_in_no_file_and_no_message(folder: Folder, site: WebServer) -> None:
    secret = "geheim-12345"
    site.script = lambda asked: (
        answer({"d": records(1), "next": f"{site.url}/v1/orders?key={secret}&p=2"})
        if "p" not in query(asked)
        else Answer(f"bad {secret}".encode(), 403)
    )
    fetch = Fetch(folder, site, Credentials(None, {"X-Key": secret}, {"key": secret}))
    error = fetch.fails({"records": "d", "pages": {"by": "next_url", "path": "next"}})
    assert error.code == "SOURCE_DENIED"
    assert secret not in f"{error} {error.facts}"
    assert query(site.asked[1]) == {"p": "2", "key": secret}
    assert not any(secret.encode() in path.read_bytes() for path in folder.path.rglob("*") if path.is_file())
