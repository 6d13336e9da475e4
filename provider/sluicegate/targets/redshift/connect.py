"""From an Airflow connection of type `redshift` to a session, and where loads are staged. Secrets stay here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sluicegate.faults import FaultError, classify, fault

if TYPE_CHECKING:
    from redshift_connector.core import Connection

__all__ = ["Cluster", "RedshiftConnection"]

_ROLE = re.compile(r"default|arn:[\w+=,.@:/-]+")
_OURS = ("staging", "iam_role")
_WORDS: dict[str, Any] = {
    "timeout": 30, "port": 5439, "ssl": True, "sslmode": "verify-full", "tcp_keepalive_idle": 30,
    "tcp_keepalive_interval": 10, "tcp_keepalive_count": 6,
}  # fmt: skip
_EXAMPLE = '`{"staging": "s3://bucket/folder/", "iam_role": "arn:aws:iam::123456789012:role/load"}`'


@dataclass(frozen=True)
class Cluster:
    """A Redshift: how its driver reaches it (`words`), the folder in S3 through which records go, and the IAM role that
    may read there. `login`: the connection whose AWS identity makes a password for each session.
    """

    words: Mapping[str, Any] = field(repr=False)
    staging: str | None = None
    iam_role: str | None = None
    connection_id: str = "redshift"
    login: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, connection: Any, connection_id: str) -> Cluster:
        """That of an Airflow connection: its fields, and of its extra what the driver knows, `staging` and `iam_role`.

        :raises FaultError: CODE_MISSING without the driver.
        """
        try:
            import redshift_connector
        except ImportError as missing:
            remedy = "pip install apache-airflow-providers-amazon"
            raise fault("CODE_MISSING", f"Redshift needs redshift_connector: {remedy}") from missing
        extra = connection.extra_dejson
        known = inspect.signature(redshift_connector.connect).parameters
        given = {
            "host": connection.host, "port": connection.port, "user": connection.login,
            "password": connection.password, "database": connection.schema,
        }  # fmt: skip
        words = {name: value for name, value in extra.items() if name in known}
        words |= {name: value for name, value in given.items() if value not in (None, "")}
        login = None
        if words.pop("iam", False):
            login = connection
        staging, role = (str(extra[name]) if extra.get(name) else None for name in _OURS)
        return cls(_WORDS | words, staging, role, connection_id, login)

    def require_staging(self) -> tuple[str, str]:
        """The folder, with a slash at its end, and the role.

        :raises FaultError: WRONG_USE where the connection does not say them.
        """
        if self.staging is None or not re.fullmatch(r"s3://[^/\\]+/([^\\]*/)?", self.staging):
            raise fault(
                "WRONG_USE",
                f"the connection {self.connection_id} does not say through which folder in S3 records go, by `staging` "
                f"in its extra, an s3:// URI with a slash at its end: {_EXAMPLE}",
            )
        if self.iam_role is None or not _ROLE.fullmatch(self.iam_role):
            raise fault(
                "WRONG_USE",
                f"the connection {self.connection_id} does not say by which role Redshift reads {self.staging}, by "
                f"`iam_role` in its extra, an ARN or `default`: {_EXAMPLE}",
            )
        return self.staging, self.iam_role

    def connect(self, application: str) -> RedshiftConnection:
        """A session outside a transaction.

        :raises FaultError: what the driver or AWS reports.
        """
        import redshift_connector

        words = dict(self.words)
        try:
            if self.login is not None:
                from airflow.providers.amazon.aws.hooks.redshift_sql import RedshiftSQLHook

                hook = RedshiftSQLHook(aws_conn_id=self.login.extra_dejson.get("aws_conn_id", "aws_default"))
                words["user"], words["password"], words["port"] = hook.get_iam_token(self.login)
            words |= {"application_name": f"sluicegate {application}"[:63], "max_prepared_statements": 0}
            driver = redshift_connector.connect(**words)
        except Exception as error:
            raise classify(error) from None  # the driver's own message may show what it was given
        # It has one limit for all that it waits for, and a COPY takes its time.
        driver._usock.settimeout(None)
        driver.autocommit = True
        session = RedshiftConnection(driver)
        # Keys and versions of what was deleted are kept as texts, which are to mean the same tomorrow.
        session.execute("SET timezone TO 'UTC'")
        session.execute("SET datestyle TO 'ISO'")
        session.pid = session.number("SELECT pg_backend_pid()")
        return session


class RedshiftConnection:
    """A session. What it raises is a `FaultError` without the values that the server's detail shows."""

    def __init__(self, driver: Connection) -> None:
        self._driver = driver
        self._cursor = driver.cursor()
        self.pid = 0
        """Of its server process."""
        self.is_interrupted = False
        """Whether a statement was left while the server worked on it: what it answers belongs to no other one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, statement: str) -> list[list[Any]]:
        """The rows that it returns."""
        is_answered = False
        try:
            self._cursor.execute(statement)
            is_answered = True
            return [list(row) for row in self._cursor.fetchall()] if self._cursor.description else []
        except Exception as error:
            is_answered = bool(error.args) and isinstance(error.args[0], dict)  # by the server
            raise classify(error) from None
        finally:
            self.is_interrupted |= not is_answered

    def number(self, query: str) -> int:
        """The one number that a query returns."""
        return int(self.execute(query)[0][0])

    def begin(self) -> None:
        self.execute("BEGIN")

    def commit(self) -> None:
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo what was not committed. One that is lost or waits for an answer is closed: the server undoes it."""
        if self.is_interrupted:
            self.close()
            return
        with suppress(FaultError):
            self.execute("ROLLBACK")

    def close(self) -> None:
        with suppress(Exception):
            self._driver.close()
