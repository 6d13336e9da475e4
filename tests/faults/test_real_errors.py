"""Errors as libraries really raise them, each as the fault by which a step is rightly retried or given up."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import smtplib
import socket
import sqlite3
import subprocess
import sys
import tarfile
import threading
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet
import pytest

from sluicegate.faults import classify
from sluicegate.faults.spark_log import cause
from tests.faults.answers import closed_port, raised_by

CSV = b"a,b\n1\n"


def to_postgres(**options: Any) -> Callable[[], object]:
    where = {"host": "127.0.0.1", "port": closed_port(), "dbname": "w", "user": "etl", "connect_timeout": 2}
    return lambda: psycopg.connect(**(where | options))


def sqlstate(state: str, words: str = "words of the server") -> psycopg.Error:
    return psycopg.errors.lookup(state)(words)


def server_that_hangs_up() -> object:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            connection.recv(64)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return psycopg.connect(host="127.0.0.1", port=listening.getsockname()[1], dbname="w", sslmode="disable")


POSTGRES: list[tuple[str, Callable[[], object], str]] = [
    ("refused", to_postgres(), "WAREHOUSE_UNREACHABLE"),
    ("no such host", to_postgres(host="nowhere.invalid"), "WAREHOUSE_UNREACHABLE"),
    ("hangs up", server_that_hangs_up, "WAREHOUSE_UNREACHABLE"),
    ("no socket", to_postgres(host="/nowhere"), "WAREHOUSE_UNREACHABLE"),
    ("a wrong option", to_postgres(sslmode="sometimes"), "WAREHOUSE_ERROR"),
]  # fmt: skip


@pytest.mark.parametrize(("work", "code"), [case[1:] for case in POSTGRES], ids=[case[0] for case in POSTGRES])
def test_a_connection_to_a_database_that_is_not_made(work: Callable[[], object], code: str) -> None:
    assert classify(raised_by(work)).code == code


def of_psycopg2(words: str) -> BaseException:
    import psycopg2

    return psycopg2.OperationalError(words)


STATES = [
    (sqlstate("40001", "canceling statement due to conflict with recovery"), "WAREHOUSE_BUSY"),
    (sqlstate("40P01", "deadlock detected"), "WAREHOUSE_BUSY"),
    (sqlstate("55P03", "canceling statement due to lock timeout"), "WAREHOUSE_BUSY"),
    (sqlstate("53300", "remaining connection slots are reserved"), "WAREHOUSE_BUSY"),
    (sqlstate("XX000", "tuple concurrently updated"), "WAREHOUSE_BUSY"),
    (sqlstate("0A000", "cached plan must not change result type"), "WAREHOUSE_BUSY"),
    (sqlstate("57014", "canceling statement due to statement timeout"), "TIMED_OUT"),
    (sqlstate("57P01", "terminating connection due to administrator command"), "WAREHOUSE_UNREACHABLE"),
    (sqlstate("25006", "cannot execute INSERT in a read-only transaction"), "WAREHOUSE_UNREACHABLE"),
    (sqlstate("53100", "could not extend file: No space left on device"), "DISK_FULL"),
    (sqlstate("42501", "permission denied for table orders"), "WAREHOUSE_DENIED"),
    (sqlstate("42P01", 'relation "orders" does not exist'), "SCHEMA_MISMATCH"),
    (sqlstate("3F000", 'schema "sales" does not exist'), "SCHEMA_MISMATCH"),
    (sqlstate("22P02", "invalid input syntax for type integer"), "CONSTRAINT_VIOLATED"),
    (sqlstate("23505", "duplicate key value violates unique constraint"), "CONSTRAINT_VIOLATED"),
    (sqlstate("42601", "syntax error at or near"), "WAREHOUSE_ERROR"),
    (sqlstate("0A000", "cross-database references are not implemented"), "WAREHOUSE_ERROR"),
    (of_psycopg2("SSL SYSCALL error: EOF detected"), "WAREHOUSE_UNREACHABLE"),
    (of_psycopg2("server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally"),
     "WAREHOUSE_UNREACHABLE"),
    (of_psycopg2('connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  sorry, too many clients already'),
     "WAREHOUSE_BUSY"),
    (of_psycopg2('FATAL:  password authentication failed for user "etl"'), "WAREHOUSE_DENIED"),
    (of_psycopg2('could not translate host name "db" to address: Temporary failure in name resolution'),
     "WAREHOUSE_UNREACHABLE"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code"), STATES, ids=lambda value: str(value)[:50])
def test_what_a_database_says(error: BaseException, code: str) -> None:
    assert classify(error).code == code


def through_sqlalchemy() -> object:
    import sqlalchemy

    url = f"postgresql+psycopg://etl:secret@127.0.0.1:{closed_port()}/w"
    return sqlalchemy.create_engine(url).connect()


def pool_that_is_used_up() -> object:
    import sqlalchemy
    from sqlalchemy.pool import QueuePool

    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect():
        return engine.connect()


def on_sqlite(statement: str) -> Callable[[], object]:
    return lambda: sqlite3.connect(":memory:").executescript(statement)


def locked_sqlite(folder: Path) -> object:
    first = sqlite3.connect(folder / "d", isolation_level=None)
    first.execute("BEGIN EXCLUSIVE")
    return sqlite3.connect(folder / "d", timeout=0).execute("CREATE TABLE t (i int)")


def locked_duckdb(folder: Path) -> object:
    held = f"import duckdb, sys; c = duckdb.connect({str(folder / 'd')!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        return duckdb.connect(folder / "d")


def full_disk(folder: Path) -> object:
    with Path("/dev/full").open("wb", buffering=0) as full:
        return full.write(b"x")


def truncated_gzip(folder: Path) -> object:
    (folder / "x.gz").write_bytes(gzip.compress(b"a,b\n" * 10_000)[:-20])
    with gzip.open(folder / "x.gz") as reading:
        return reading.read()


def written(folder: Path, content: bytes) -> str:
    path = folder / "file"
    path.write_bytes(content)
    return str(path)


def bad_csv(folder: Path) -> object:
    columns = "columns={'a': 'INT', 'b': 'INT'}, auto_detect=false, header=true, null_padding=false"
    return duckdb.sql(f"SELECT * FROM read_csv('{written(folder, CSV)}', {columns})").fetchall()


def limited(code: str) -> Callable[[Path], object]:
    """`code` in a process, whose error comes back pickled as a pool's would."""
    return lambda _: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def of_mail(answer: bytes) -> Callable[[Path], object]:
    def send(_: Path) -> object:
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def serve() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(b"220 mail\r\n")
                    reading = connection.makefile("rb")
                    for line in map(bytes.upper, reading):
                        told = b"250-mail\r\n250 AUTH PLAIN\r\n" if line.startswith(b"EHLO") else b"250 ok\r\n"
                        told = b"221 bye\r\n" if line.startswith(b"QUIT") else told
                        connection.sendall(answer if line.startswith((b"AUTH", b"RCPT")) else told)

            threading.Thread(target=serve, daemon=True).start()
            with smtplib.SMTP("127.0.0.1", listening.getsockname()[1], timeout=60) as mail:
                if b"authentication" in answer:
                    mail.login("etl", "wrong")
                return mail.sendmail("a@example.com", ["b@example.com"], "words")

    return send


OTHERS: list[tuple[str, Callable[[Path], object], str]] = [
    ("SQLAlchemy refused", lambda _: through_sqlalchemy(), "WAREHOUSE_UNREACHABLE"),
    ("SQLAlchemy pool", lambda _: pool_that_is_used_up(), "WAREHOUSE_BUSY"),
    ("another driver's missing table", lambda _: on_sqlite("SELECT * FROM t")(), "SCHEMA_MISMATCH"),
    ("another driver's syntax error", lambda _: on_sqlite("SELEC 1")(), "WAREHOUSE_ERROR"),
    ("another driver's constraint", lambda _: on_sqlite(
        "CREATE TABLE t (i int UNIQUE); INSERT INTO t VALUES (1), (1)")(), "CONSTRAINT_VIOLATED"),
    ("another driver's lock", locked_sqlite, "WAREHOUSE_BUSY"),
    ("DuckDB locked", locked_duckdb, "WAREHOUSE_BUSY"),
    ("DuckDB bad CSV", bad_csv, "SOURCE_UNREADABLE"),
    ("DuckDB no file", lambda f: duckdb.sql(f"SELECT * FROM '{f}/none.parquet'"), "SOURCE_MISSING"),
    ("DuckDB not Parquet", lambda f: duckdb.sql(f"SELECT * FROM read_parquet('{written(f, b'no')}')"),
     "SOURCE_UNREADABLE"),
    ("DuckDB unknown column", lambda _: duckdb.sql("SELECT nowhere"), "WRONG_USE"),
    ("DuckDB constraint", lambda _: duckdb.connect().execute(
        "CREATE TABLE t (i int UNIQUE); INSERT INTO t VALUES (1), (1)"), "CONSTRAINT_VIOLATED"),
    ("Arrow not Parquet", lambda f: pyarrow.parquet.read_table(written(f, b"no")), "SOURCE_UNREADABLE"),
    ("Arrow ragged CSV", lambda _: pyarrow.csv.read_csv(io.BytesIO(b"a,b\n1\n")), "SOURCE_UNREADABLE"),
    ("Arrow unknown column", lambda _: pa.table({"a": [1]}).column("b"), "CODE_BROKEN"),
    ("pandas empty", lambda _: pd.read_csv(io.StringIO("")), "SOURCE_UNREADABLE"),
    ("pandas ragged", lambda _: pd.read_csv(io.StringIO("a\n1\n1,2,3\n")), "SOURCE_UNREADABLE"),
    ("JSON", lambda _: json.loads("{'a': 1}"), "SOURCE_UNREADABLE"),
    ("XML", lambda _: ET.fromstring("<a>"), "SOURCE_UNREADABLE"),
    ("CSV", lambda _: list(csv.reader(["a" * 200_000])), "SOURCE_UNREADABLE"),
    ("zip", lambda f: zipfile.ZipFile(written(f, b"no")), "SOURCE_UNREADABLE"),
    ("tar", lambda f: tarfile.TarFile(written(f, b"no")), "SOURCE_UNREADABLE"),
    ("truncated gzip", truncated_gzip, "SOURCE_UNREADABLE"),
    ("Jinja undefined", lambda _: jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        "{{ ds }}").render(), "WRONG_USE"),
    ("Jinja syntax", lambda _: jinja2.Template("{{ ds"), "WRONG_USE"),
    ("disk full", full_disk, "DISK_FULL"),
    ("no such file", lambda f: (f / "none").read_text(), "SOURCE_MISSING"),
    ("a folder", lambda f: f.read_text(), "WRONG_USE"),
    ("too long a name", lambda f: (f / ("x" * 300)).read_text(), "WRONG_USE"),
    ("no module", lambda _: __import__("partner_sdk"), "CODE_MISSING"),
    ("refused", lambda _: socket.create_connection(("127.0.0.1", closed_port())), "NETWORK"),
    ("no such host", lambda _: socket.getaddrinfo("nowhere.invalid", 80), "NETWORK"),
    ("killed for its memory", limited("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), "OUT_OF_MEMORY"),
    ("no such command", lambda _: subprocess.run("nosuchcommand", shell=True, check=True, capture_output=True),
     "CODE_MISSING"),
    ("a command that fails", limited("raise SystemExit(3)"), "UNKNOWN"),
    ("a command too slow", lambda _: subprocess.run(["sleep", "5"], timeout=0.05), "TIMED_OUT"),
    ("mail refused login", of_mail(b"535 authentication failed\r\n"), "SOURCE_DENIED"),
    ("mail later", of_mail(b"451 come back later\r\n"), "SOURCE_UNAVAILABLE"),
    ("mail unknown recipient", of_mail(b"550 RCPT no such user\r\n"), "SOURCE_REJECTED"),
    ("mail server away", lambda _: smtplib.SMTP("127.0.0.1", closed_port()), "NETWORK"),
]  # fmt: skip


@pytest.mark.parametrize(("work", "code"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_an_error_of_a_library_or_the_system(work: Callable[[Path], object], code: str, tmp_path: Path) -> None:
    assert classify(raised_by(lambda: work(tmp_path))).code == code


@pytest.mark.system  # importing it takes ten seconds
def test_errors_of_great_expectations_are_broken_checks_unless_they_wrap_what_is_known() -> None:
    import great_expectations as gx
    from great_expectations.exceptions import MetricResolutionError

    def wrapped() -> None:
        try:
            psycopg.connect(host="127.0.0.1", port=closed_port(), dbname="w")
        except psycopg.Error as error:
            raise MetricResolutionError(message=str(error), failed_metrics=()) from error

    unknown = raised_by(lambda: gx.get_context(mode="ephemeral").suites.get("orders"))
    assert classify(unknown).code == "CHECK_BROKEN"
    assert classify(raised_by(wrapped)).code == "WAREHOUSE_UNREACHABLE"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").touch(mode=0)
    assert classify(raised_by(lambda: (tmp_path / "x").read_text())).code == "FILE_DENIED"


SPARK = [
    ("pyspark.sql.utils.AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://lake/in/", "SOURCE_MISSING"),
    ("org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 2.0 failed 4 times: "
     "ExecutorLostFailure (executor 7 exited caused by one of the running tasks) Reason: Container from a bad node",
     "SPARK_MACHINES_LOST"),
    ("Caused by: org.apache.spark.shuffle.FetchFailedException: Failed to connect", "SPARK_MACHINES_LOST"),
    ("java.lang.OutOfMemoryError: Java heap space", "SPARK_OUT_OF_MEMORY"),
    ("ModuleNotFoundError: No module named 'partner_sdk'", "SPARK_MODULE_MISSING"),
    ("java.io.IOException: No space left on device", "SPARK_DISK_FULL"),
    ("com.amazonaws.services.s3.model.AmazonS3Exception: Access Denied (Service: Amazon S3; Status Code: 403)",
     "SPARK_DENIED"),
    ("pyspark.errors.exceptions.captured.AnalysisException: [UNRESOLVED_COLUMN] cannot resolve", "SPARK_CODE_BROKEN"),
    ("com.amazon.ws.emr.hadoop.fs.shaded.com.amazonaws.services.s3.model.AmazonS3Exception: Please reduce your "
     "request rate. (Service: Amazon S3; Status Code: 503; Error Code: SlowDown)", "AWS_THROTTLED"),
    ("KeyError: 'carrier'", "SPARK_STEP_FAILED"),
]  # fmt: skip


@pytest.mark.parametrize(("last", "code"), SPARK, ids=[case[1] for case in SPARK])
def test_the_log_of_a_spark_job(last: str, code: str) -> None:
    log = f"26/01/05 02:00:11 WARN TaskSetManager: Lost task 0.0\nTraceback (most recent call last):\n{last}\n"
    assert cause("", log).code == code
