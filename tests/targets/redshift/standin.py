"""A stand-in for Redshift: a Postgres behind Redshift's own driver, with what Postgres lacks done in its place.

COPY reads the same Parquet files from the same S3, by the order of their columns, and inserts them; a primary key is
not enforced; `super` and its functions are JSON.
"""

from __future__ import annotations

import json
import re
import socket
from types import SimpleNamespace
from typing import Any

import psycopg
import redshift_connector.core as driver
from psycopg.conninfo import conninfo_to_dict

from sluicegate.storage import parse_uri
from sluicegate.targets.redshift.connect import Cluster

FUNCTIONS = """
CREATE DOMAIN super AS jsonb;
CREATE FUNCTION json_parse(text) RETURNS super LANGUAGE sql IMMUTABLE AS 'SELECT $1::jsonb::super';
CREATE FUNCTION serialized(super) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::jsonb::text';
"""
ROLE = "arn:aws:iam::123456789012:role/load"
COPY = re.compile(r"COPY (\w+) FROM '([^']+)' IAM_ROLE '([^']+)' FORMAT AS PARQUET( MANIFEST)?")
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 ORDER BY attnum"
ONLY_REDSHIFT = (b"client_protocol_version", b"driver_version", b"os_version", b"driver_discovery_version")


class Startup:
    """The driver's file, without the words of its first message that only Redshift knows."""

    def __init__(self, file: Any) -> None:
        self._file, self._is_started = file, False
        self.read, self.flush, self.close = file.read, file.flush, file.close

    def write(self, data: bytes) -> None:
        if not self._is_started:
            if len(data) == 4:  # its length
                return
            words = bytes(data[4:-1]).split(b"\0")[:-1]
            pairs = zip(words[::2], words[1::2], strict=True)
            kept = b"".join(name + b"\0" + value + b"\0" for name, value in pairs if name not in ONLY_REDSHIFT)
            message = bytes(data[:4]) + kept + b"\0"
            data = (len(message) + 4).to_bytes(4, "big") + message
            self._is_started = True
        self._file.write(data)

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)


class Socket(socket.socket):
    def makefile(self, mode: str = "rwb", **words: Any) -> Any:  # type: ignore[override]
        return Startup(super().makefile(mode, **words))


def stand_in(client: Any) -> None:
    """Let the driver take a Postgres for a Redshift, which reads S3 by `client`."""
    whole = driver.Connection.execute

    def execute(self: Any, cursor: Any, operation: str, values: Any) -> None:
        if match := COPY.fullmatch(operation):
            table, uri, role, is_list = match.groups()
            assert role == ROLE
            whole(self, cursor, COLUMNS.format(table), None)
            names = [name for (name,) in cursor.fetchall()]
            operation = _inserted(table, names, _rows(_listed(client, uri) if is_list else _below(client, uri)))
        operation = operation.replace("json_serialize(", "serialized(")  # that name is Postgres's own
        whole(self, cursor, re.sub(r", PRIMARY KEY \([^)]*\)", "", operation), values)

    driver.Connection.execute = execute
    driver.socket = SimpleNamespace(
        **{name: getattr(socket, name) for name in dir(socket) if not name.startswith("__")} | {"socket": Socket}
    )


def _below(client: Any, uri: str) -> list[bytes]:
    at = parse_uri(uri)
    found = client.list_objects_v2(Bucket=at.bucket, Prefix=at.key).get("Contents", [])
    if not found:
        said = {"S": "ERROR", "C": "XX000", "M": f"The specified S3 prefix '{at.key}' does not exist"}
        raise driver.ProgrammingError(said)
    return [_get(client, f"s3://{at.bucket}/{key}") for key in sorted(one["Key"] for one in found)]


def _listed(client: Any, uri: str) -> list[bytes]:
    found = []
    for entry in json.loads(_get(client, uri))["entries"]:
        content = _get(client, entry["url"])
        assert len(content) == entry["meta"]["content_length"]
        found.append(content)
    return found


def _get(client: Any, uri: str) -> bytes:
    at = parse_uri(uri)
    content: bytes = client.get_object(Bucket=at.bucket, Key=at.key)["Body"].read()
    return content


def _rows(contents: list[bytes]) -> list[list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for content in contents:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        rows += [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]
    return rows


def _inserted(table: str, names: list[str], rows: list[list[Any]]) -> str:
    records = [dict(zip(names, row, strict=True)) for row in rows]
    text = json.dumps(records, default=str).replace("'", "''")
    return f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, '{text}')"


def cluster_of(conninfo: str, staging: str = "s3://stage/loads/") -> Cluster:
    words = conninfo_to_dict(conninfo)
    given = {
        "host": words["host"], "port": int(words["port"] or 5432), "user": words["user"], "database": words["dbname"],
        "password": words.get("password") or "x", "ssl": False,
    }  # fmt: skip
    return Cluster(given, staging, ROLE, "warehouse")


def make_functions(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(FUNCTIONS.encode())
