"""The options by which a command finds an Airflow and signs in to it; without any, the embedded stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from sluicegate.api import Client
    from sluicegate.api.tokens import Credential

__all__ = ["URL_VARIABLE", "AirflowOptions", "StateOption", "TokenFileOption", "UrlOption", "UserOption", "connected"]

URL_VARIABLE, _TOKEN, _PASSWORD = "SLUICEGATE_AIRFLOW_URL", "SLUICEGATE_AIRFLOW_TOKEN", "SLUICEGATE_AIRFLOW_PASSWORD"

UrlOption = Annotated[
    str | None,
    typer.Option(
        help="Airflow's address; without it, the embedded stack that runs.", envvar=URL_VARIABLE, show_default=False
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(help=f"A file with a token of Airflow's API; else the variable {_TOKEN}.", show_default=False),
]
UserOption = Annotated[
    str | None,
    typer.Option(help=f"Sign in with a password: that in {_PASSWORD}, else it is asked for.", show_default=False),
]
StateOption = Annotated[Path, typer.Option(help="State folder of the embedded stack.")]


@dataclass(frozen=True)
class AirflowOptions:
    """Which Airflow is meant, and how to sign in."""

    url: str | None = None
    token_file: Path | None = None
    user: str | None = None
    state: Path = Path(".sluicegate")


@contextmanager
def connected(options: AirflowOptions, *, deadline: float | None = None) -> Iterator[Client]:
    """A client of that Airflow, signed in; closed in the end. A token is first looked at by the first call.

    `deadline` is for how many seconds a call is repeated; it does not count for the embedded stack.

    :raises WrongParam: for options that cannot be meant
    :raises NotSignedIn: when there is no credential, or Airflow does not accept it
    :raises NotReachable: when Airflow does not answer
    :raises NotRunning: without a url, when no embedded stack runs
    """
    client = _embedded(options.state) if options.url is None else _remote(options, options.url, deadline)
    with client:
        _ = client.token
        yield client


def _embedded(state: Path) -> Client:
    from sluicegate.local.stack.errors import NotRunning
    from sluicegate.local.stack.stack import running

    stack = running(state)
    if stack is None:
        raise NotRunning(
            f"No stack runs on {state}, and no other Airflow is named.",
            f"Name one with --url or {URL_VARIABLE}; or start the stack with `sluicegate up`, or say which "
            "with --state.",
        )
    return stack.api()


def _remote(options: AirflowOptions, url: str, deadline: float | None) -> Client:
    from sluicegate.api.client import DEADLINE, Client
    from sluicegate.api.errors import WrongParam

    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        raise WrongParam(
            f"The address of the Airflow on {parts.hostname} has more in it than host and path: it would be in plans.",
            f"Write it as http://host:8080, and sign in with {_TOKEN}, --token-file or --user.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongParam(f"Not the address of an Airflow: {url!r}.", "Write it as http://host:8080.")
    return Client(
        url.rstrip("/").removesuffix("/api/v2"),
        _credential(options),
        deadline=DEADLINE if deadline is None else deadline,
        environment_proxies=parts.hostname not in ("localhost", "127.0.0.1", "::1"),
    )


def _credential(options: AirflowOptions) -> Credential:
    from sluicegate.api.errors import NotSignedIn, WrongParam
    from sluicegate.api.tokens import Login, TokenFile, TokenVariable

    if options.token_file is not None and options.user is not None:
        raise WrongParam("--token-file and --user are given.", "Sign in with one of them.")
    if options.token_file is not None:
        return TokenFile(options.token_file)
    if options.user is not None:
        return Login(options.user, _password(options.user))
    if not os.environ.get(_TOKEN):
        raise NotSignedIn(
            "Nothing says how to sign in to Airflow.",
            f"Set {_TOKEN} to a token of its API, name a file with one by --token-file, or a user by --user.",
        )
    return TokenVariable(_TOKEN)


def _password(user: str) -> str:
    from sluicegate.api.errors import NotSignedIn

    given = os.environ.get(_PASSWORD)
    if given:
        return given
    if not sys.stdin.isatty():
        raise NotSignedIn(
            f"There is no password for {user}.", f"Set {_PASSWORD}: without a terminal none is asked for."
        )
    asked: str = typer.prompt(f"Password of {user}", hide_input=True, err=True)
    return asked
