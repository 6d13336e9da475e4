"""Requests to web servers, as loads need them: patient with servers that are busy, careful with credentials.

An answer that says to come back later is waited for as long as it says, within `longest`; redirects are followed
without the credentials where they lead to another host. Knows nothing of files.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError, fault
from sluicegate.faults.http import LATER, code_of_status, seconds_asked
from sluicegate.faults.redact import MASK, secrets_in
from sluicegate.storage.credentials import ANONYMOUS, Credentials

if TYPE_CHECKING:
    import httpx

__all__ = ["Web", "refusal", "retry_after", "shown_url", "shown_words"]

_REDIRECTS = 10
_BODY_SHOWN = 300


@dataclass
class Web:
    """A client with the credentials of one connection.

    :param attempts: how often a request is made that finds the server busy or away
    :param longest: seconds that a server may ask to wait; longer, the step fails and comes back as a retry
    """

    credentials: Credentials = ANONYMOUS
    connect_timeout: float = 10
    read_timeout: float = 60
    attempts: int = 5
    longest: float = 120
    sleep: Callable[[float], None] = time.sleep
    _client: Any = field(default=None, repr=False)

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        accept: Callable[[httpx.Response], bool] = lambda answer: False,
    ) -> Iterator[httpx.Response]:
        """The answer, whose body is not read yet: one that is good, or that the caller takes as it is (`accept`).

        :raises FaultError: what `refusal` says of any other.
        """
        made: dict[str, Any] = {"headers": dict(headers or {}), "params": dict(params or {}), "json": json}
        answer = self._patiently(method, url, made, accept)
        try:
            yield answer
        finally:
            answer.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _patiently(
        self, method: str, url: str, made: Mapping[str, Any], accept: Callable[[httpx.Response], bool]
    ) -> httpx.Response:
        for attempt in range(1, self.attempts + 1):
            pause = _backoff(attempt)
            try:
                answer = self._follow(method, url, made)
            except FaultError:
                raise
            except Exception as error:
                found = classify(error)
                if found.code not in {"NETWORK", "TIMED_OUT"} or attempt == self.attempts:
                    detail = self.credentials.masked(found.detail)
                    raise fault(found.code, f"{shown_url(url)}: {detail}", uri=url) from error
            else:
                if answer.is_success or accept(answer):
                    return answer
                refused = refusal(answer, url, self.credentials)
                asked = retry_after(answer)
                if answer.status_code not in LATER or attempt == self.attempts or (asked or 0) > self.longest:
                    raise refused
                pause = pause if asked is None else asked
            self.sleep(pause)
        raise AssertionError("the last attempt raises")

    def _follow(self, method: str, url: str, made: Mapping[str, Any]) -> httpx.Response:
        import httpx

        first = httpx.URL(url)
        if first.userinfo:
            raise fault("WRONG_USE", f"{shown_url(url)}: a password belongs into an Airflow connection, not into a URI")
        request = self._made(method, url, made)
        for _ in range(_REDIRECTS):
            answer: httpx.Response = self._of_httpx().send(request, stream=True, follow_redirects=False)
            if answer.next_request is None:
                return answer
            answer.close()
            target = answer.next_request.url
            if request.url.scheme == "https" and target.scheme != "https":
                raise fault("SOURCE_REJECTED", f"{shown_url(url)} leads to {shown_url(str(target))}, without TLS")
            request = answer.next_request
            if _origin(target) != _origin(first):
                for name in (*self.credentials.headers, "Authorization", "Cookie"):
                    request.headers.pop(name, None)
        raise fault("SOURCE_REJECTED", f"{shown_url(url)} leads from one address to the next, without an end")

    def _made(self, method: str, url: str, made: Mapping[str, Any]) -> httpx.Request:
        import httpx

        known, own = self.credentials, httpx.URL(url)
        if known is not ANONYMOUS and known.host is not None and known.host.lower() != own.host.lower():
            raise fault(
                "WRONG_USE", f"{shown_url(url)}: its connection is one to {known.host}, and is sent to no other host"
            )
        params = {**made["params"], **known.query}
        request: httpx.Request = self._of_httpx().build_request(
            method,
            own.copy_merge_params(params) if params else own,
            headers={**made["headers"], **known.headers},
            json=made["json"],
        )
        if known.basic is not None:
            request = next(httpx.BasicAuth(*known.basic).auth_flow(request))
        return request

    def _of_httpx(self) -> Any:
        if self._client is None:
            import httpx

            timeout = httpx.Timeout(self.read_timeout, connect=self.connect_timeout)
            self._client = httpx.Client(timeout=timeout, headers={"User-Agent": "sluicegate"})
        return self._client


def refusal(answer: httpx.Response, url: str, credentials: Credentials = ANONYMOUS) -> FaultError:
    """The fault that an answer with an error status is; reads the beginning of its body, and closes it."""
    status = answer.status_code
    words = shown_words(_beginning(answer), answer, credentials)
    later = retry_after(answer)
    answer.close()
    detail = f"{shown_url(url)}: HTTP {status} {answer.reason_phrase}".rstrip()
    detail += "" if later is None else f", to be asked again in {later:.0f} s"
    facts: dict[str, object] = {"uri": url, "status": status}
    if later is not None:
        facts["retry_after"] = later
    return fault(code_of_status(status), detail + (f": {words}" if words else ""), **facts)


def retry_after(answer: httpx.Response) -> float | None:
    """The seconds that a server asks to wait, by a number or a date; None where it does not."""
    return seconds_asked(answer.headers.get("Retry-After", ""))


def shown_words(text: str, answer: httpx.Response, credentials: Credentials) -> str:
    """What a server says, without what is secret: of the connection, or of the address that it was asked by."""
    text = credentials.masked(text)
    for secret in secrets_in(str(answer.request.url)):
        for each in (secret, unquote_plus(secret)):
            text = text.replace(each, MASK) if len(each) > 3 else text
    return text


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: its query, and a password."""
    bare, query, _ = url.partition("?")
    scheme, _, rest = bare.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" + ("?..." if query else "")


def _beginning(answer: httpx.Response) -> str:
    if "html" in answer.headers.get("Content-Type", ""):
        return ""
    try:
        for chunk in answer.iter_bytes(_BODY_SHOWN * 4):
            return " ".join(chunk.decode("utf-8", "replace").split())[:_BODY_SHOWN]
    except Exception:
        return ""
    return ""


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _backoff(attempt: int) -> float:
    """Seconds before the next attempt: they double, and the upper half is by chance."""
    longest = min(30.0, 0.5 * (1 << attempt))
    return longest / 2 + longest / 2 * random.random()  # noqa: S311 - jitter, no secret
