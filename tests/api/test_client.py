"""Calls to an Airflow that refuses, breaks off, or is away for a while."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sluicegate.api import Bearer, Client, Login, NotReachable, Refused, TokenFile, TokenVariable
from sluicegate.api.client import path
from sluicegate.api.errors import NotSignedIn, UnexpectedAnswer
from tests.api.conftest import Server, serve


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.api.client._FIRST_PAUSE", 0.02)


def client_of(server: Server, deadline: float = 60) -> Client:
    return Client(server.url, Bearer("token-1"), deadline=deadline, environment_proxies=False)


def test_it_is_imported_at_once_and_without_an_http_library() -> None:
    code = (
        "import sys, sluicegate.api, sluicegate.api.run_and_wait;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = ["airflow", "httpx", "requests", "pydantic", "rich", "typer", "yaml", "psycopg", "jinja2"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_read_is_repeated_until_airflow_answers(server: Server, status: int) -> None:
    server.answers["GET /version"] = [(status, {"detail": "busy"}), None, (200, {"version": "3.3.2"})]
    with client_of(server) as client:
        assert client.get("/version") == {"version": "3.3.2"}
    assert len(server.paths()) == 3


def test_a_write_is_not_repeated_once_it_may_have_been_done(server: Server) -> None:
    server.answers["POST /backfills"] = [(500, {"detail": "out of memory"}), None]
    with client_of(server) as client:
        with pytest.raises(Refused, match="500 to POST /api/v2/backfills: out of memory") as refused:
            client.post("/backfills", {})
        with pytest.raises(NotReachable, match="broke") as broken:
            client.post("/backfills", {})
    assert refused.value.status == 500
    assert "look before you ask again" in broken.value.remedy
    assert len(server.paths("POST")) == 2


def test_a_write_is_repeated_while_there_is_no_connection() -> None:
    """Nothing has been sent then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(url=f"http://127.0.0.1:{port}", answers={"POST /backfills": [(200, {"id": 1})]})
    started = []

    def later() -> None:
        from http.server import ThreadingHTTPServer

        time.sleep(0.2)
        late = serve(server)
        handler = late.RequestHandlerClass
        late.shutdown()
        late.server_close()
        again = ThreadingHTTPServer(("127.0.0.1", port), handler)
        started.append(again)
        again.serve_forever(0.02)

    threading.Thread(target=later, daemon=True).start()
    with client_of(server, deadline=60) as client:
        assert client.post("/backfills", {}) == {"id": 1}
    assert len(server.paths("POST")) == 1
    started[0].shutdown()
    started[0].server_close()


def test_the_deadline_ends_all_repeating() -> None:
    url = "http://127.0.0.1:1"  # nobody listens there
    begun = time.monotonic()
    with (
        Client(url, Bearer("x"), deadline=0.6, environment_proxies=False) as client,
        pytest.raises(NotReachable, match="has not answered for 1 s") as caught,
    ):
        client.get("/version")
    assert time.monotonic() - begun < 60
    assert caught.value.exit_code == 3


def test_the_deadline_holds_for_a_server_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        with (
            Client(url, Bearer("x"), deadline=0.3, environment_proxies=False) as client,
            pytest.raises(NotReachable),
        ):
            client.get("/version")
        assert time.monotonic() - begun < 60


def test_an_answer_that_stays_an_error_is_given_back_at_the_deadline(server: Server) -> None:
    server.answers["GET /version"] = [(503, {"detail": "still starting"})]
    with client_of(server, deadline=0.2) as client, pytest.raises(Refused, match=r"503 to GET .*: still starting"):
        client.get("/version")


def test_a_login_serves_all_calls_and_is_renewed_when_the_token_has_expired(server: Server) -> None:
    server.answers["GET /version"] = [(200, {})]
    with Client(server.url, Login("admin", "right"), environment_proxies=False) as client:
        client.get("/version")
        client.get("/version")
        server.tokens.append("token-2")
        client.get("/version")
    assert server.paths("POST") == ["/auth/token"] * 2
    assert [each.token for each in server.asked if each.method == "GET"] == ["token-1"] * 3 + ["token-2"]
    assert server.asked[0].body == {"username": "admin", "password": "right"}


def test_a_wrong_password_is_said_without_showing_it(server: Server) -> None:
    login = Login("admin", "wrong-secret")
    with (
        Client(server.url, login, environment_proxies=False) as client,
        pytest.raises(NotSignedIn, match="does not accept the password of admin") as caught,
    ):
        client.get("/version")
    assert "wrong-secret" not in str(caught.value) + repr(login)


def test_a_token_that_airflow_does_not_know_is_said(server: Server) -> None:
    with (
        Client(server.url, Bearer("old"), environment_proxies=False) as client,
        pytest.raises(NotSignedIn, match="does not accept the token"),
    ):
        client.get("/version")
    assert "old" not in repr(Bearer("old"))


def test_a_token_file_is_read_again_when_the_token_has_expired(server: Server, tmp_path: Path) -> None:
    server.answers["GET /version"] = [(200, {})]
    file = tmp_path / "token"
    file.write_text("token-1\n")
    with Client(server.url, TokenFile(file), environment_proxies=False) as client:
        client.get("/version")
        server.tokens.append("token-2")
        file.write_text("token-2\n")
        client.get("/version")


def test_a_token_is_found_in_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["GET /version"] = [(200, {})]
    monkeypatch.setenv("MY_AIRFLOW_TOKEN", "token-1")
    with Client(server.url, TokenVariable("MY_AIRFLOW_TOKEN"), environment_proxies=False) as client:
        client.get("/version")


def test_a_token_that_is_not_there_is_said_with_its_place(tmp_path: Path) -> None:
    def sign_in(user: str, password: str) -> str:
        raise AssertionError((user, password))

    (tmp_path / "empty").touch()
    with pytest.raises(NotSignedIn, match="NO_SUCH_TOKEN is not set"):
        TokenVariable("NO_SUCH_TOKEN").token(sign_in)
    with pytest.raises(NotSignedIn, match=r"No such file or directory.*none"):
        TokenFile(tmp_path / "none").token(sign_in)
    with pytest.raises(NotSignedIn, match="empty is empty"):
        TokenFile(tmp_path / "empty").token(sign_in)


def test_a_login_page_where_airflow_should_be_is_said(server: Server) -> None:
    server.answers["GET /version"] = [(200, "<html>Sign in to our proxy</html>")]
    with client_of(server) as client, pytest.raises(UnexpectedAnswer, match="not JSON: '<html>Sign in"):
        client.get("/version")


def test_deleting_what_is_gone_is_done(server: Server) -> None:
    server.answers["DELETE /dags/a/dagRuns/b"] = [(404, {"detail": "not found"})]
    with client_of(server) as client:
        client.delete("/dags/a/dagRuns/b")


def test_what_is_not_there_is_none_when_it_is_looked_for(server: Server) -> None:
    server.answers["GET /dags/a"] = [(404, {"detail": "not found"})]
    with client_of(server) as client:
        assert client.find("/dags/a") is None


def test_the_parts_of_a_path_are_quoted() -> None:
    assert path("dags", "~", "dagRuns", "manual__2026-01-01T00:00:00+00:00/x") == (
        "/dags/~/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2Fx"
    )
