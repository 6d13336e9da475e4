"""Answers of servers, and none, as clients of HTTP and of AWS raise them, each as the fault that decides rightly."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import httpx
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet
import pytest
import requests
import urllib3
from airflow.sdk.exceptions import AirflowException
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests.adapters import HTTPAdapter

from sluicegate.faults import classify
from tests.faults.answers import answering, closed_port, raised_by

DAY: Any = {"timeout": 60}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with answering() as address:
        yield address


def of_requests(name: str) -> Callable[[str], object]:
    return lambda server: requests.get(f"{server}/{name}", timeout=60).raise_for_status()


def of_httpx(name: str) -> Callable[[str], object]:
    return lambda server: httpx.get(f"{server}/{name}").raise_for_status()


def of_urllib(name: str) -> Callable[[str], object]:
    return lambda server: urllib.request.urlopen(f"{server}/{name}", timeout=60).read()


def of_aiohttp(name: str, timeout: float = 60) -> Callable[[str], object]:
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
    refused = classify(raised_by(lambda: of_requests("429")(server)))
    assert (refused.facts["status"], refused.facts["retry_after"]) == (429, 7.0)
    assert "retry_after" not in classify(raised_by(lambda: of_requests("500")(server))).facts
    assert classify(raised_by(lambda: of_httpx("503")(server))).facts["status"] == 503


ONCE = Config(retries={"max_attempts": 0}, connect_timeout=30, read_timeout=30, s3={"addressing_style": "path"})
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


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's, with a certificate that it has signed itself."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose certificate nobody knows."""
    context = certificate(tmp_path_factory.mktemp("tls"))
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


@pytest.mark.parametrize(
    ("bucket", "code"),
    [("s3-denied", "AWS_DENIED"), ("s3-no-key", "SOURCE_MISSING"), ("hangs-up", "AWS_UNAVAILABLE")],
)
def test_arrows_own_client_of_s3(bucket: str, code: str, server: str) -> None:
    found = pyarrow.fs.S3FileSystem(
        access_key="x", secret_key="y", endpoint_override=server, region="eu-central-1", connect_timeout=30,
        request_timeout=30, retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=0),
    )  # fmt: skip
    assert classify(raised_by(lambda: found.open_input_file(f"{bucket}/orders.csv").read())).code == code


def test_the_table_is_long_enough_to_rely_on() -> None:
    assert len(HTTP) + len(AWS) >= 60
