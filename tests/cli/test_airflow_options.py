"""Which Airflow a command talks to, and how it signs in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.api.errors import ApiError, NotSignedIn, WrongParam
from sluicegate.cli.airflow_options import AirflowOptions, connected
from sluicegate.local.stack.errors import NotRunning
from tests.api.conftest import Server, serve

VERSION = {"GET /version": [(200, {"version": "3.3.2"})]}


@pytest.fixture
def server() -> Server:
    server = Server(answers=dict(VERSION))
    server.url = f"http://127.0.0.1:{serve(server).server_address[1]}"
    return server


def version_with(options: AirflowOptions) -> object:
    with connected(options, deadline=2) as client:
        return client.get("/version")


def test_a_token_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_TOKEN", "token-1")
    assert version_with(AirflowOptions(server.url)) == {"version": "3.3.2"}
    assert server.asked[-1].token == "token-1"


def test_an_address_with_the_path_of_the_api_is_understood(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_TOKEN", "token-1")
    assert version_with(AirflowOptions(server.url + "/api/v2/")) == {"version": "3.3.2"}


@pytest.mark.parametrize(
    "url", ["http://ada:geheim@host:8080", "http://host:8080/?token=geheim", "http://ada:geheim@", "ftp://a:geheim@b"]
)
def test_an_address_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(WrongParam) as error:
        version_with(AirflowOptions(url))
    assert "geheim" not in str(error.value)


def test_a_token_comes_from_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token-1\n")
    assert version_with(AirflowOptions(server.url, token_file=tmp_path / "token")) == {"version": "3.3.2"}


def test_a_user_signs_in_with_the_password_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_PASSWORD", "right")
    assert version_with(AirflowOptions(server.url, user="ada")) == {"version": "3.3.2"}
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_PASSWORD", "wrong")
    with pytest.raises(NotSignedIn, match="password of ada"):
        version_with(AirflowOptions(server.url, user="ada"))


def test_without_a_terminal_no_password_is_asked_for(server: Server) -> None:
    with pytest.raises(NotSignedIn, match="no password for ada"):
        version_with(AirflowOptions(server.url, user="ada"))


def test_without_a_credential_it_says_what_to_give(server: Server) -> None:
    with pytest.raises(NotSignedIn) as error:
        version_with(AirflowOptions(server.url))
    assert "--token-file" in error.value.remedy
    assert error.value.exit_code == 3


@pytest.mark.parametrize("url", ["airflow", "airflow:8080", "ftp://airflow", "http://"])
def test_what_is_not_an_address_is_wrong_use(url: str) -> None:
    with pytest.raises(WrongParam, match="Not the address") as error:
        version_with(AirflowOptions(url))
    assert error.value.exit_code == 2


def test_two_credentials_are_wrong_use(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WrongParam):
        version_with(AirflowOptions(server.url, token_file=tmp_path, user="ada"))


def test_without_an_address_the_embedded_stack_is_meant(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no other Airflow") as error:
        version_with(AirflowOptions(state=tmp_path / "none"))
    assert error.value.exit_code == 3


def test_an_airflow_that_is_away_ends_with_3(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token-1")
    with (
        pytest.raises(ApiError) as error,
        connected(AirflowOptions("http://127.0.0.1:9", tmp_path / "token"), deadline=0.3) as client,
    ):
        client.get("/version")
    assert error.value.exit_code == 3


def test_finding_the_embedded_stack_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, time; begun = time.process_time()\n"
        "from pathlib import Path\n"
        "from sluicegate.cli.airflow_options import *\n"
        "try:\n"
        f"    with connected(AirflowOptions(state=Path({str(tmp_path)!r}))): pass\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print([name for name in ('airflow', 'duckdb', 'boto3', 'moto') if name in sys.modules])\n"
        "print(time.process_time() - begun)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    kind, heavy, seconds = done.stdout.splitlines()
    assert (kind, heavy) == ("NotRunning", "[]")
    assert float(seconds) < 1
