"""What an Airflow connection says about a web server: who asks, and for which host that is. Never logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import fault

__all__ = ["ANONYMOUS", "Credentials", "credentials_of"]

_MASK = "***"
_TYPES = frozenset({"http", "https", "generic"})
_OF_AIRFLOW = frozenset(
    {"verify", "cert", "timeout", "allow_redirects", "max_redirects", "stream", "proxies", "proxy", "trust_env"}
    | {"check_response", "auth_type", "auth_kwargs", "headers", "query"}
)
"""Keys of a connection's extra that are not headers for Airflow's own HTTP hook either, and ours."""


@dataclass(frozen=True)
class Credentials:
    """`headers` and `query` are sent with each request to `host` and to no other; None: to that of the first."""

    host: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)

    def masked(self, text: str) -> str:
        """`text` without what is secret here: servers repeat it in their answers."""
        secrets = [*self.headers.values(), *self.query.values(), *(self.basic or ())[1:]]
        for secret in sorted({part for value in secrets for part in (value, value.rpartition(" ")[2])}, key=len)[::-1]:
            text = text.replace(secret, _MASK) if len(secret) > 3 else text
        return text


ANONYMOUS = Credentials()


def credentials_of(connection_id: str) -> Credentials:
    """Those of an Airflow connection: login and password (HTTP basic), a password alone (a bearer token), and `headers`
    and `query` in its extra, which are mappings. Without these two, all of the extra's texts are headers, as for
    Airflow's own hook.

    :raises FaultError: CONNECTION_MISSING when there is none, WRONG_USE when it is not one to a web server.
    """
    from airflow.sdk import BaseHook

    try:
        connection: Any = BaseHook.get_connection(connection_id)
    except Exception as missing:
        raise classify(missing) from missing
    if connection.conn_type not in _TYPES:
        raise fault("WRONG_USE", f"the connection {connection_id} is of type {connection.conn_type!r}, not http")
    extra: Mapping[str, Any] = connection.extra_dejson
    headers = dict(extra.get("headers") or {})
    if not {"headers", "query"} & extra.keys():
        headers = {key: value for key, value in extra.items() if isinstance(value, str) and key not in _OF_AIRFLOW}
    basic = None
    if connection.login:
        basic = (connection.login, connection.password or "")
    elif connection.password:
        headers |= {"Authorization": f"Bearer {connection.password}"}
    host = (connection.host or "").rpartition("://")[2].partition("/")[0].partition(":")[0] or None
    texts = {str(key): str(value) for key, value in headers.items()}
    query = {str(key): str(value) for key, value in (extra.get("query") or {}).items()}
    return Credentials(host, texts, query, basic)
