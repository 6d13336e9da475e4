"""Errors as libraries really raise them, each as the fault by which a step is rightly retried or given up."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import os
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import threading
import urllib.request
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import duckdb
import httpx
import jinja2
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet
import pytest
import requests
import urllib3
from airflow.sdk.exceptions import AirflowException
from botocore.config import Config
from requests.adapters import HTTPAdapter

from sluicegate.faults import classify
from sluicegate.faults.spark_log import cause
from tests.faults.answers import answering

DAY: Any = {"timeout": 5}
CSV = b"a,b\n1\n"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with answering() as address:
        yield address


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raised_by(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def of_requests(name: str) -> Callable[[str], object]:
    return lambda server: requests.get(f"{server}/{name}", timeout=5).raise_for_status()


def of_httpx(name: str) -> Callable[[str], object]:
    return lambda server: httpx.get(f"{server}/{name}").raise_for_status()


def of_urllib(name: str) -> Callable[[str], object]:
    return lambda server: urllib.request.urlopen(f"{server}/{name}", timeout=5).read()


def of_aiohttp(name: str, timeout: float = 5) -> Callable[[str], object]:
    async def ask(server: str) -> object:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout)) as session,
            session.get(f"{server}/{name}", raise_for_status=True) as answer,
        ):
            return await answer.json()

    return lambda server: asyncio.run(ask(server))


def requests_that_retries(server: str) -> object:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=urllib3.Retry(1, backoff_factor=0, status_forcelist=[503],
                                                                   respect_retry_after_header=False)))  # fmt: skip
    return session.get(f"{server}/503", **DAY)


def hook_of_airflow(name: str) -> Callable[[str], object]:
    def ask(server: str) -> object:
        from airflow.providers.http.hooks.http import HttpHook

        hook = HttpHook("GET")
        return hook.check_response(requests.get(f"{server}/{name}", **DAY))

    return ask


HTTP: list[tuple[str, Callable[[str], object], str]] = [
    *((f"requests {status}", of_requests(status), code) for status, code in {
        "400": "SOURCE_REJECTED", "401": "SOURCE_DENIED", "403": "SOURCE_DENIED", "404": "SOURCE_MISSING",
        "409": "SOURCE_REJECTED", "410": "SOURCE_MISSING", "412": "SOURCE_CHANGED", "422": "SOURCE_REJECTED",
        "429": "SOURCE_UNAVAILABLE", "500": "SOURCE_UNAVAILABLE", "502": "SOURCE_UNAVAILABLE",
        "503": "SOURCE_UNAVAILABLE", "504": "SOURCE_UNAVAILABLE",
    }.items()),
    *((f"httpx {status}", of_httpx(status), code) for status, code in {
        "401": "SOURCE_DENIED", "404": "SOURCE_MISSING", "422": "SOURCE_REJECTED", "429": "SOURCE_UNAVAILABLE",
        "503": "SOURCE_UNAVAILABLE",
    }.items()),
    *((f"urllib {status}", of_urllib(status), code) for status, code in {
        "401": "SOURCE_DENIED", "404": "SOURCE_MISSING", "429": "SOURCE_UNAVAILABLE", "500": "SOURCE_UNAVAILABLE",
    }.items()),
    *((f"aiohttp {status}", of_aiohttp(status), code) for status, code in {
        "403": "SOURCE_DENIED", "404": "SOURCE_MISSING", "503": "SOURCE_UNAVAILABLE",
    }.items()),
    *((f"HttpHook {status}", hook_of_airflow(status), code) for status, code in {
        "401": "SOURCE_DENIED", "404": "SOURCE_MISSING", "429": "SOURCE_UNAVAILABLE", "503": "SOURCE_UNAVAILABLE",
    }.items()),
    ("requests retries used up", requests_that_retries, "SOURCE_UNAVAILABLE"),
    ("requests cut", of_requests("cut"), "NETWORK"),
    ("requests hangs up", of_requests("hangs-up"), "NETWORK"),
    ("requests too slow", lambda server: requests.get(f"{server}/sleeps", timeout=0.05), "TIMED_OUT"),
    ("requests refused", lambda _: requests.get(f"http://127.0.0.1:{closed_port()}", **DAY), "NETWORK"),
    ("requests no such host", lambda _: requests.get("http://nowhere.invalid/", **DAY), "NETWORK"),
    ("requests not JSON", lambda server: requests.get(f"{server}/html", **DAY).json(), "SOURCE_UNREADABLE"),
    ("requests broken gzip", of_requests("broken-gzip"), "SOURCE_UNREADABLE"),
    ("requests in a circle", of_requests("round"), "SOURCE_REJECTED"),
    ("requests without a scheme", lambda _: requests.get("api.example.com/v1", **DAY), "WRONG_USE"),
    ("requests TLS to a server without", lambda server: requests.get(server.replace("http", "https"), **DAY),
     "NETWORK"),
    ("requests proxy away", lambda server: requests.get(f"{server}/html", proxies={
        "http": f"http://127.0.0.1:{closed_port()}"}, **DAY), "NETWORK"),
    ("httpx cut", of_httpx("cut"), "NETWORK"),
    ("httpx hangs up", of_httpx("hangs-up"), "NETWORK"),
    ("httpx too slow", lambda server: httpx.get(f"{server}/sleeps", timeout=0.05), "TIMED_OUT"),
    ("httpx refused", lambda _: httpx.get(f"http://127.0.0.1:{closed_port()}"), "NETWORK"),
    ("httpx broken gzip", of_httpx("broken-gzip"), "SOURCE_UNREADABLE"),
    ("httpx no scheme", lambda _: httpx.get("api.example.com/v1"), "WRONG_USE"),
    ("httpx TLS to a server without", lambda server: httpx.get(server.replace("http", "https")), "NETWORK"),
    ("httpx not JSON", lambda server: httpx.get(f"{server}/html").json(), "SOURCE_UNREADABLE"),
    ("urllib cut", of_urllib("cut"), "NETWORK"),
    ("urllib refused", lambda _: urllib.request.urlopen(f"http://127.0.0.1:{closed_port()}", **DAY), "NETWORK"),
    ("urllib too slow", lambda server: urllib.request.urlopen(f"{server}/sleeps", timeout=0.05), "TIMED_OUT"),
    ("urllib no such host", lambda _: urllib.request.urlopen("http://nowhere.invalid/", **DAY), "NETWORK"),
    ("urllib3 refused", lambda _: urllib3.PoolManager().request(
        "GET", f"http://127.0.0.1:{closed_port()}", retries=False), "NETWORK"),
    ("aiohttp too slow", of_aiohttp("sleeps", 0.05), "TIMED_OUT"),
    ("aiohttp refused", lambda _: of_aiohttp("")(f"http://127.0.0.1:{closed_port()}"), "NETWORK"),
    ("aiohttp hangs up", of_aiohttp("hangs-up"), "NETWORK"),
    ("aiohttp not JSON", of_aiohttp("html"), "SOURCE_UNREADABLE"),
]  # fmt: skip


@pytest.mark.parametrize(("work", "code"), [case[1:] for case in HTTP], ids=[case[0] for case in HTTP])
def test_an_answer_or_none_to_a_client_of_http(work: Callable[[str], object], code: str, server: str) -> None:
    assert classify(raised_by(lambda: work(server))).code == code


def test_the_status_of_an_answer_is_kept_for_rules_and_receipts(server: str) -> None:
    assert classify(raised_by(lambda: of_requests("429")(server))).facts["status"] == 429
    assert classify(raised_by(lambda: of_httpx("503")(server))).facts["status"] == 503


ONCE = Config(retries={"max_attempts": 0}, connect_timeout=1, read_timeout=1, s3={"addressing_style": "path"})
KEYS = {"region_name": "eu-central-1", "aws_access_key_id": "x", "aws_secret_access_key": "y"}


@pytest.fixture(scope="module")
def aws(server: str) -> Callable[[str, str], Any]:
    made: dict[tuple[str, str], Any] = {}

    def client(service: str, path: str = "") -> Any:
        if (service, path) not in made:
            url = f"{server}/{path}".rstrip("/")
            made[service, path] = boto3.client(service, endpoint_url=url, config=ONCE, **KEYS)
        return made[service, path]

    return client


def get(name: str) -> Callable[[Any], object]:
    return lambda aws: aws("s3").get_object(Bucket=name, Key="orders.csv")["Body"].read()


def head(name: str) -> Callable[[Any], object]:
    return lambda aws: aws("s3").head_object(Bucket=name, Key="orders.csv")


AWS: list[tuple[str, Callable[[Any], object], str]] = [
    ("SlowDown", get("s3-slow-down"), "AWS_THROTTLED"),
    ("InternalError", get("s3-internal"), "AWS_UNAVAILABLE"),
    ("NoSuchKey", get("s3-no-key"), "SOURCE_MISSING"),
    ("NoSuchBucket", get("s3-no-bucket"), "AWS_NOT_FOUND"),
    ("AccessDenied", get("s3-denied"), "AWS_DENIED"),
    ("SignatureDoesNotMatch", get("s3-signature"), "AWS_DENIED"),
    ("ExpiredToken", get("s3-expired"), "AWS_UNAVAILABLE"),
    ("InvalidObjectState", get("s3-archived"), "AWS_REJECTED"),
    ("PreconditionFailed", get("s3-changed"), "SOURCE_CHANGED"),
    ("InvalidRange", get("s3-shorter"), "SOURCE_CHANGED"),
    ("a body that is cut", get("s3-cut"), "AWS_UNAVAILABLE"),
    ("a gateway in front", get("s3-gateway"), "AWS_UNAVAILABLE"),
    ("HEAD 404", head("404"), "SOURCE_MISSING"),
    ("HEAD 403", head("403"), "AWS_DENIED"),
    ("HEAD 503", head("503"), "AWS_UNAVAILABLE"),
    ("hangs up", get("hangs-up"), "AWS_UNAVAILABLE"),
    ("an upload", lambda aws: aws("s3").upload_file(__file__, "s3-denied", "x"), "AWS_DENIED"),
    ("EMR throttles", lambda aws: aws("emr", "emr-throttled").list_clusters(), "AWS_THROTTLED"),
    ("EMR refuses a cluster", lambda aws: aws("emr", "emr-invalid").run_job_flow(Name="x", Instances={}),
     "CLUSTER_INVALID"),
    ("EMR knows no cluster", lambda aws: aws("emr", "emr-not-found").describe_cluster(ClusterId="j-1"), "AWS_REJECTED"),
    ("EMR denies", lambda aws: aws("emr", "emr-denied").list_clusters(), "AWS_DENIED"),
    ("EMR fails", lambda aws: aws("emr", "emr-internal").list_clusters(), "AWS_UNAVAILABLE"),
    ("STS knows no token", lambda aws: aws("sts", "sts-token").get_caller_identity(), "AWS_DENIED"),
    ("STS expired", lambda aws: aws("sts", "sts-expired").get_caller_identity(), "AWS_UNAVAILABLE"),
    ("a wrong argument", lambda aws: aws("s3").list_objects_v2(Bucket="b", MaxKeys="ten"), "AWS_REJECTED"),
    ("no such profile", lambda _: boto3.Session(profile_name="nobody"), "AWS_REJECTED"),
]  # fmt: skip


@pytest.mark.parametrize(("work", "code"), [case[1:] for case in AWS], ids=[case[0] for case in AWS])
def test_an_answer_of_aws_as_botocore_reads_it(work: Callable[[Any], object], code: str, aws: Any) -> None:
    assert classify(raised_by(lambda: work(aws))).code == code


def test_the_words_that_a_trigger_keeps_of_an_error_of_aws_are_enough(aws: Any) -> None:
    words = str(raised_by(lambda: aws("emr", "emr-throttled").list_clusters()))
    assert classify(AirflowException(f"Error while running job: {words}")).code == "AWS_THROTTLED"


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
            with smtplib.SMTP("127.0.0.1", listening.getsockname()[1], timeout=5) as mail:
                if b"authentication" in answer:
                    mail.login("etl", "wrong")
                return mail.sendmail("a@example.com", ["b@example.com"], "words")

    return send


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    key, made = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-keyout", str(key), "-out", str(made), "-days", "1", "-subj", "/CN=localhost"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context, str(made)


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose certificate nobody knows."""
    context, _ = certificate(tmp_path_factory.mktemp("tls"))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"


CLIENTS: dict[str, Callable[[str], object]] = {
    "requests": lambda url: requests.get(url, **DAY),
    "httpx": lambda url: httpx.get(url),
    "urllib": lambda url: urllib.request.urlopen(url, **DAY),
    "urllib3": lambda url: urllib3.PoolManager(cert_reqs="CERT_REQUIRED").request("GET", url, retries=False),
    "aiohttp": lambda url: of_aiohttp("")(url),
    "boto3": lambda url: boto3.client("s3", endpoint_url=url, config=ONCE, **KEYS).get_object(Bucket="b", Key="k"),
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_that_is_not_trusted_is_not_tried_again(client: str, untrusted: str) -> None:
    assert classify(raised_by(lambda: CLIENTS[client](untrusted))).code == "CERTIFICATE_REFUSED"


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


@pytest.mark.parametrize(
    ("bucket", "code"),
    [("s3-denied", "AWS_DENIED"), ("s3-no-key", "SOURCE_MISSING"), ("hangs-up", "AWS_UNAVAILABLE")],
)
def test_arrows_own_client_of_s3(bucket: str, code: str, server: str) -> None:
    found = pyarrow.fs.S3FileSystem(
        access_key="x", secret_key="y", endpoint_override=server, region="eu-central-1", connect_timeout=1,
        request_timeout=1, retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=0),
    )  # fmt: skip
    assert classify(raised_by(lambda: found.open_input_file(f"{bucket}/orders.csv").read())).code == code


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


def test_the_table_is_long_enough_to_rely_on() -> None:
    assert len(HTTP) + len(AWS) + len(POSTGRES) + len(OTHERS) >= 60
