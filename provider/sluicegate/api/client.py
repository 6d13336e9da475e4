"""HTTP calls to one Airflow: signed in, repeated while that is safe, ended by a deadline.

httpx is imported by the first call: a command that only prints its help does not pay for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from sluicegate.api.errors import NotReachable, NotSignedIn, Refused, UnexpectedAnswer
from sluicegate.api.tokens import Credential

if TYPE_CHECKING:
    import httpx

__all__ = ["Client", "Query", "path"]

Query = Mapping[str, str | int | list[str]]

DEADLINE = 120.0
"""Seconds after which a call gives up. An api-server that is started again is back within a minute."""
TIMEOUT = 60.0
"""Seconds that one request of a call may take."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_REPEATABLE = frozenset({"GET", "DELETE", "PUT"})
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500
_LONGEST_DETAIL = 500


class Client:
    """The API v2 of the Airflow at `url` (without `/api/v2`). Close it, or use it as a context manager.

    A call is repeated, with growing pauses and for `deadline` seconds at most, when no connection came about or
    Airflow answered 429; after any other connection error or a 5xx only if doing it twice does what doing it once
    does. Without `environment_proxies` no proxy is asked.

    Every call raises `NotReachable`, `NotSignedIn`, `UnexpectedAnswer` or, for a status of 400 and above, `Refused`.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        deadline: float = DEADLINE,
        timeout: float = TIMEOUT,
        environment_proxies: bool = True,
    ) -> None:
        self.url = url.rstrip("/")
        self._credential = credential
        self._deadline = deadline
        self._timeout = timeout
        self._environment_proxies = environment_proxies
        self._token: str | None = None
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def token(self) -> str:
        """The bearer token in use; signs in when there is none yet."""
        if self._token is None:
            self._token = self._credential.token(self._sign_in)
        return self._token

    def get(self, where: str, query: Query | None = None) -> object:
        return self._call("GET", where, query=query)

    def find(self, where: str, query: Query | None = None) -> object | None:
        """As `get`; None where Airflow answers 404."""
        try:
            return self.get(where, query)
        except Refused as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise

    def get_ui(self, where: str, query: Query | None = None) -> object:
        """As `get`, of what Airflow's own pages read (`/ui/…`): it may change with any version of Airflow."""
        return self._call("GET", where, query=query, root="/ui")

    def get_plugin(self, where: str, meant: frozenset[int] = frozenset()) -> object:
        """As `get`, of Sluicegate's own app in the api-server. A status of `meant` with JSON is an answer, no error."""
        return self._call("GET", where, root="/sluicegate", meant=meant)

    def post(self, where: str, body: Mapping[str, object], *, repeatable: bool = False) -> object:
        """`repeatable`: whether doing it twice does what doing it once does, as with a search."""
        return self._call("POST", where, body=body, repeatable=repeatable)

    def patch(
        self, where: str, body: Mapping[str, object], query: Query | None = None, *, repeatable: bool = False
    ) -> object:
        """`repeatable`: whether doing it twice does what doing it once does."""
        return self._call("PATCH", where, query=query, body=body, repeatable=repeatable)

    def put(self, where: str, body: Mapping[str, object], query: Query | None = None) -> object:
        """Twice is the same as once."""
        return self._call("PUT", where, query=query, body=body)

    def delete(self, where: str) -> None:
        """Does nothing where it is already gone, which a repeated call may find."""
        try:
            self._call("DELETE", where)
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def _call(
        self,
        method: str,
        where: str,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        repeatable: bool = False,
        root: str = "/api/v2",
        meant: frozenset[int] = frozenset(),
    ) -> object:
        def signed_in() -> httpx.Response:
            headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}

            def once(timeout: float) -> httpx.Response:
                return self._http().request(
                    method, f"{self.url}{root}{where}", params=query, json=body, headers=headers, timeout=timeout
                )

            return self._repeated(once, repeatable or method in _REPEATABLE, meant)

        answer = signed_in()
        if _is_unknown_token(answer):
            self._token = None  # it has expired, or the server has a new secret
            answer = signed_in()
        if _is_unknown_token(answer):
            raise NotSignedIn(f"Airflow at {self.url} does not accept the token.", "Give a token of this Airflow.")
        return answer.json() if _is_meant(answer, meant) else _content(answer)

    def _sign_in(self, user: str, password: str) -> str:
        def once(timeout: float) -> httpx.Response:
            credentials = {"username": user, "password": password}
            return self._http().post(f"{self.url}/auth/token", json=credentials, timeout=timeout)

        answer = self._repeated(once, repeatable=True)
        if answer.status_code == _UNAUTHORIZED:
            raise NotSignedIn(
                f"Airflow at {self.url} does not accept the password of {user}.", "Give the user's present password."
            )
        content = _content(answer)
        token = content.get("access_token") if isinstance(content, dict) else None
        if not isinstance(token, str):
            raise UnexpectedAnswer(
                f"{self.url}/auth/token answered without an access_token.",
                "Give a token instead of a password where Airflow's auth manager issues none.",
            )
        return token

    def _repeated(
        self, once: Callable[[float], httpx.Response], repeatable: bool, meant: frozenset[int] = frozenset()
    ) -> httpx.Response:
        """The first answer that is worth keeping, or the last one before the deadline.

        :raises NotReachable: when there is no answer by then
        """
        from httpx import ConnectError, ConnectTimeout, TransportError

        until = time.monotonic() + self._deadline
        pauses = _pauses()
        while True:
            answer, trouble = None, ""
            try:
                answer = once(max(0.1, min(self._timeout, until - time.monotonic())))
                if _is_meant(answer, meant) or not _is_worth_repeating(answer, repeatable):
                    return answer
            except TransportError as error:
                if not repeatable and not isinstance(error, ConnectError | ConnectTimeout):
                    raise NotReachable(
                        f"The connection to Airflow at {self.url} broke: {_words(error)}.",
                        "Airflow may have done what was asked: look before you ask again.",
                    ) from error
                trouble = _words(error)
            pause = next(pauses)
            if time.monotonic() + pause > until:
                if answer is not None:
                    return answer
                raise NotReachable(
                    f"Airflow at {self.url} has not answered for {self._deadline:.0f} s: {trouble}.",
                    "Check that its api-server runs, then try again.",
                )
            time.sleep(pause)

    def _http(self) -> httpx.Client:
        if self._client is None:
            import httpx

            self._client = httpx.Client(trust_env=self._environment_proxies)
        return self._client


def path(*segments: str) -> str:
    """The segments as a path, each quoted: a run's id may contain `/` and `+`."""
    return "".join("/" + quote(segment, safe="~") for segment in segments)


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 (many clients shall not come back at once)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _is_worth_repeating(answer: httpx.Response, repeatable: bool) -> bool:
    return answer.status_code == _TOO_MANY or (repeatable and answer.status_code >= _SERVER_ERROR)


def _is_meant(answer: httpx.Response, meant: frozenset[int]) -> bool:
    """A proxy in front of an Airflow that is away answers 503 too, but no JSON."""
    return answer.status_code in meant and answer.headers.get("Content-Type", "").startswith("application/json")


def _is_unknown_token(answer: httpx.Response) -> bool:
    """Airflow says 401 to a token that has expired, and 403 to one that it cannot read."""
    return answer.status_code == _UNAUTHORIZED or (
        answer.status_code == _FORBIDDEN and _detail(answer) == "Invalid JWT token"
    )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _content(answer: httpx.Response) -> object:
    request = f"{answer.request.method} {answer.request.url.path}"
    if answer.is_error:
        raise Refused(
            f"Airflow answered {answer.status_code} to {request}: {_detail(answer)}",
            "The log of the api-server may say why.",
            answer.status_code,
        )
    try:
        return answer.json() if answer.content else None
    except ValueError as error:
        raise UnexpectedAnswer(
            f"The answer to {request} is not JSON: {answer.text[:80]!r}.",
            f"Check that {answer.request.url.copy_with(path='/', query=None)} is an Airflow 3, and no login page.",
        ) from error


def _detail(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        content = None
    detail = content.get("detail") if isinstance(content, dict) else None
    return (detail if isinstance(detail, str) else answer.text)[:_LONGEST_DETAIL]
