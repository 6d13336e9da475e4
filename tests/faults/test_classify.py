"""Every library's error becomes the fault that decides rightly on the retry; and nothing can break this."""

from __future__ import annotations

import builtins
import errno
import gzip
import inspect
import socket
import subprocess
import zlib
from collections.abc import Callable
from itertools import pairwise

import botocore.exceptions as aws
import duckdb
import jinja2
import psycopg
import pyarrow as pa
import pydantic
import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
)
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.faults import CATALOGUE, FaultClass, classify, fault


def client_error(code: str, operation: str = "GetObject", status: int = 400) -> aws.ClientError:
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(response, operation)


def sqlstate(state: str) -> psycopg.Error:
    return psycopg.errors.lookup(state)("words of the server")


def raised(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


AWS = [
    (client_error("Throttling"), "AWS_THROTTLED"),
    (client_error("ThrottlingException", "ListClusters"), "AWS_THROTTLED"),
    (client_error("RequestLimitExceeded"), "AWS_THROTTLED"),
    (client_error("SlowDown", status=503), "AWS_THROTTLED"),
    (client_error("WhoKnows", status=429), "AWS_THROTTLED"),
    (client_error("InternalError", status=500), "AWS_UNAVAILABLE"),
    (client_error("WhoKnows", status=502), "AWS_UNAVAILABLE"),
    (client_error("ServiceUnavailable", status=503), "AWS_UNAVAILABLE"),
    (client_error("ExpiredToken", status=400), "AWS_UNAVAILABLE"),
    (client_error("ExpiredTokenException", status=403), "AWS_UNAVAILABLE"),
    (client_error("RequestTimeout"), "AWS_UNAVAILABLE"),
    (client_error("AccessDenied", status=403), "AWS_DENIED"),
    (client_error("AccessDeniedException", "RunJobFlow"), "AWS_DENIED"),
    (client_error("UnrecognizedClientException"), "AWS_DENIED"),
    (client_error("InvalidAccessKeyId", status=403), "AWS_DENIED"),
    (client_error("403", "HeadObject", 403), "AWS_DENIED"),
    (client_error("NoSuchKey", status=404), "SOURCE_MISSING"),
    (client_error("404", "HeadObject", 404), "SOURCE_MISSING"),
    (client_error("404", "HeadBucket", 404), "AWS_NOT_FOUND"),
    (client_error("NoSuchBucket", status=404), "AWS_NOT_FOUND"),
    (client_error("PreconditionFailed", status=412), "SOURCE_CHANGED"),
    (client_error("412", status=412), "SOURCE_CHANGED"),
    (client_error("ValidationException", "RunJobFlow"), "CLUSTER_INVALID"),
    (client_error("InvalidRequestException", "DescribeCluster"), "AWS_REJECTED"),
    (client_error("InvalidArgument"), "AWS_REJECTED"),
    (aws.EndpointConnectionError(endpoint_url="https://s3"), "AWS_UNAVAILABLE"),
    (aws.ConnectTimeoutError(endpoint_url="https://s3"), "AWS_UNAVAILABLE"),
    (aws.ReadTimeoutError(endpoint_url="https://s3"), "AWS_UNAVAILABLE"),
    (aws.ConnectionClosedError(endpoint_url="https://s3"), "AWS_UNAVAILABLE"),
    (aws.IncompleteReadError(actual_bytes=1, expected_bytes=2), "AWS_UNAVAILABLE"),
    (aws.ResponseStreamingError(error=OSError("reset")), "AWS_UNAVAILABLE"),
    (aws.NoCredentialsError(), "AWS_DENIED"),
    (aws.PartialCredentialsError(provider="env", cred_var="x"), "AWS_DENIED"),
    (aws.CredentialRetrievalError(provider="imds", error_msg="timeout"), "AWS_UNAVAILABLE"),
    (aws.NoRegionError(), "AWS_REJECTED"),
    (aws.ParamValidationError(report="x"), "AWS_REJECTED"),
    (aws.WaiterError("w", "Max attempts exceeded", {}), "TIMED_OUT"),
    (aws.WaiterError("w", "failed", {"Error": {"Code": "Throttling"}}), "AWS_THROTTLED"),
]

POSTGRES = [
    (sqlstate("08006"), "WAREHOUSE_UNREACHABLE"),
    (sqlstate("57P01"), "WAREHOUSE_UNREACHABLE"),
    (sqlstate("57P03"), "WAREHOUSE_UNREACHABLE"),
    (sqlstate("25006"), "WAREHOUSE_UNREACHABLE"),
    (sqlstate("53300"), "WAREHOUSE_BUSY"),
    (sqlstate("53200"), "WAREHOUSE_BUSY"),
    (sqlstate("40001"), "WAREHOUSE_BUSY"),
    (sqlstate("40P01"), "WAREHOUSE_BUSY"),
    (sqlstate("55P03"), "WAREHOUSE_BUSY"),
    (sqlstate("53100"), "DISK_FULL"),
    (sqlstate("57014"), "TIMED_OUT"),
    (sqlstate("28P01"), "WAREHOUSE_DENIED"),
    (sqlstate("42501"), "WAREHOUSE_DENIED"),
    (sqlstate("23505"), "CONSTRAINT_VIOLATED"),
    (sqlstate("23502"), "CONSTRAINT_VIOLATED"),
    (sqlstate("22003"), "CONSTRAINT_VIOLATED"),
    (sqlstate("42P01"), "SCHEMA_MISMATCH"),
    (sqlstate("42703"), "SCHEMA_MISMATCH"),
    (sqlstate("42804"), "SCHEMA_MISMATCH"),
    (sqlstate("42601"), "WAREHOUSE_ERROR"),
    (sqlstate("XX000"), "WAREHOUSE_ERROR"),
    (psycopg.OperationalError("connection refused"), "WAREHOUSE_UNREACHABLE"),
    (psycopg.OperationalError("server closed the connection unexpectedly"), "WAREHOUSE_UNREACHABLE"),
    (psycopg.OperationalError('FATAL: password authentication failed for user "u"'), "WAREHOUSE_DENIED"),
    (psycopg.OperationalError('FATAL: role "u" does not exist'), "WAREHOUSE_DENIED"),
    (psycopg.OperationalError("FATAL: sorry, too many clients already"), "WAREHOUSE_BUSY"),
    (psycopg.OperationalError("FATAL: the database system is starting up"), "WAREHOUSE_UNREACHABLE"),
    (psycopg.InterfaceError("the connection is closed"), "WAREHOUSE_UNREACHABLE"),
    (psycopg.errors.ConnectionTimeout("connection timeout expired"), "WAREHOUSE_UNREACHABLE"),
    (psycopg.DataError("text fields cannot contain NUL"), "CONSTRAINT_VIOLATED"),
    (psycopg.ProgrammingError("the query has 2 placeholders"), "WAREHOUSE_ERROR"),
]

SYSTEM = [
    (OSError(errno.ENOSPC, "full"), "DISK_FULL"),
    (OSError(errno.EDQUOT, "quota"), "DISK_FULL"),
    (OSError(errno.ENOMEM, "memory"), "OUT_OF_MEMORY"),
    (MemoryError(), "OUT_OF_MEMORY"),
    (PermissionError(errno.EACCES, "no", "/f"), "FILE_DENIED"),
    (FileNotFoundError(errno.ENOENT, "no", "/f"), "SOURCE_MISSING"),
    (FileNotFoundError("by hand"), "SOURCE_MISSING"),
    (IsADirectoryError(errno.EISDIR, "dir", "/f"), "WRONG_USE"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "no"), "NETWORK"),
    (ConnectionResetError("reset"), "NETWORK"),
    (BrokenPipeError(errno.EPIPE, "pipe"), "NETWORK"),
    (OSError(errno.EHOSTUNREACH, "no route"), "NETWORK"),
    (socket.gaierror(-2, "Name or service not known"), "NETWORK"),
    (TimeoutError(), "TIMED_OUT"),
    (TimeoutError("timed out"), "TIMED_OUT"),
    (subprocess.TimeoutExpired("x", 1), "TIMED_OUT"),
    (ModuleNotFoundError("No module named 'x'", name="x"), "CODE_MISSING"),
    (ImportError("cannot import name"), "CODE_MISSING"),
    (SyntaxError("invalid syntax"), "CODE_BROKEN"),
    (raised(lambda: compile("def (", "f.py", "exec")), "CODE_BROKEN"),
    (raised(lambda: b"\xff".decode()), "SOURCE_UNREADABLE"),
    (raised(lambda: gzip.decompress(b"no gzip at all")), "SOURCE_UNREADABLE"),
    (raised(lambda: zlib.decompress(b"x")), "SOURCE_UNREADABLE"),
    (RuntimeError("?"), "UNKNOWN"),
    (OSError("no number"), "UNKNOWN"),
    (SystemExit(1), "UNKNOWN"),
]

BUGS = [
    (raised(lambda: [][0]), "CODE_BROKEN"),
    (raised(lambda: {}["k"]), "CODE_BROKEN"),
    (raised(lambda: "a" + 1), "CODE_BROKEN"),  # type: ignore[operator]
    (raised(lambda: 1 / 0), "CODE_BROKEN"),
    (raised(lambda: int("x")), "CODE_BROKEN"),
    (raised(lambda: None.x), "CODE_BROKEN"),  # type: ignore[attr-defined]
    (raised(lambda: next(iter(()))), "CODE_BROKEN"),
    (AssertionError("never"), "CODE_BROKEN"),
    (NameError("x"), "CODE_BROKEN"),
    (NotImplementedError("later"), "CODE_BROKEN"),
    (RecursionError("deep"), "CODE_BROKEN"),
]

FILES = [
    (duckdb.OutOfMemoryException("failed to allocate"), "OUT_OF_MEMORY"),
    (duckdb.InvalidInputException("CSV Error on Line: 3"), "SOURCE_UNREADABLE"),
    (duckdb.ConversionException("Could not convert"), "SOURCE_UNREADABLE"),
    (duckdb.IOException('No files found that match the pattern "x"'), "SOURCE_MISSING"),
    (duckdb.IOException("Could not write: No space left on device"), "DISK_FULL"),
    (duckdb.IOException("not a Parquet file"), "SOURCE_UNREADABLE"),
    (duckdb.BinderException("Referenced column not found"), "WRONG_USE"),
    (duckdb.InternalException("bug"), "UNKNOWN"),
    (pa.ArrowInvalid("CSV parse error"), "SOURCE_UNREADABLE"),
    (pa.lib.ArrowMemoryError("malloc"), "OUT_OF_MEMORY"),
    (raised(lambda: jinja2.Template("{{ a.b.c }}").render()), "WRONG_USE"),
    (raised(lambda: pydantic.TypeAdapter(int).validate_python("x")), "WRONG_USE"),
]

AIRFLOW = [
    (AirflowNotFoundException("The conn_id `warehouse` isn't defined"), "CONNECTION_MISSING"),
    (AirflowTaskTimeout("timeout"), "TIMED_OUT"),
    (AirflowSensorTimeout("timeout"), "TIMED_OUT"),
    (TaskDeferralTimeout("timeout"), "TIMED_OUT"),
    (AirflowException("?"), "UNKNOWN"),
]


def label(value: object) -> str | None:
    return f"{type(value).__name__}-{value}"[:60] if isinstance(value, BaseException) else None


@pytest.mark.parametrize(("error", "code"), [*AWS, *POSTGRES, *SYSTEM, *BUGS, *FILES, *AIRFLOW], ids=label)
def test_an_error_is_the_fault_that_the_table_says(error: BaseException, code: str) -> None:
    assert classify(error).code == code


def test_a_fault_stays_itself() -> None:
    error = fault("CHECK_FAILED")
    assert classify(error) is error


def test_where_the_outer_error_says_nothing_its_cause_decides() -> None:
    def load() -> None:
        try:
            raise client_error("NoSuchKey")
        except aws.ClientError as inner:
            raise RuntimeError("could not load") from inner

    assert classify(raised(load)).code == "SOURCE_MISSING"


def test_an_upload_that_boto3_wrapped_is_what_it_wraps() -> None:
    from boto3.exceptions import S3UploadFailedError

    def upload() -> None:
        try:
            raise client_error("AccessDenied", "PutObject", 403)
        except aws.ClientError as inner:
            raise S3UploadFailedError(f"Failed to upload: {inner}")  # noqa: B904 - as boto3 does

    assert classify(raised(upload)).code == "AWS_DENIED"


def test_an_error_that_was_hidden_on_purpose_does_not_decide() -> None:
    def load() -> None:
        try:
            raise TimeoutError
        except TimeoutError:
            raise ValueError("the real reason") from None

    assert classify(raised(load)).code == "CODE_BROKEN"


@pytest.mark.parametrize("lost", [ConnectionResetError("reset"), TimeoutError("slow")])
def test_a_bug_met_while_a_connection_was_lost_is_tried_again(lost: Exception) -> None:
    def load() -> None:
        try:
            raise lost
        except OSError:
            {}["cached"]

    assert classify(raised(load)).fault.kind is FaultClass.TRANSIENT


def test_an_error_of_a_librarys_own_class_is_no_bug() -> None:
    class QuotaError(ValueError):
        pass

    assert classify(QuotaError("come back later")).code == "UNKNOWN"


def test_a_fault_inside_decides_and_keeps_its_facts() -> None:
    def load() -> None:
        try:
            raise fault("TOO_MANY_DEAD_LETTERS", "28 of 929", dead=28)
        except Exception as inner:
            raise AirflowException("failed") from inner

    outer = raised(load)
    found = classify(outer)
    assert (found.code, found.facts) == ("TOO_MANY_DEAD_LETTERS", {"dead": 28})
    assert found is not outer.__cause__  # raised from `outer` it would close a circle


def test_a_group_is_what_one_of_its_errors_is() -> None:
    assert classify(ExceptionGroup("two", [ValueError("?"), MemoryError()])).code == "OUT_OF_MEMORY"


def test_the_record_that_a_constraint_refused_is_not_shown() -> None:
    error = psycopg.errors.UniqueViolation("duplicate key\nDETAIL:  Key (email)=(a@b.example) already exists.")
    assert "a@b.example" not in classify(error).detail


def test_the_value_that_pydantic_refused_is_not_shown() -> None:
    error = raised(lambda: pydantic.TypeAdapter(dict[str, int]).validate_python({"rows": "hunter2"}))
    found = classify(error)
    assert "hunter2" not in found.detail
    assert "rows" in found.detail


def test_a_circle_of_causes_ends() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first).code == "UNKNOWN"


class HostileError(Exception):
    """An error whose every word raises."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    @property
    def orig(self) -> object:
        raise RuntimeError("no attribute")


def test_an_error_that_cannot_be_shown_is_still_a_fault() -> None:
    assert classify(HostileError()).code == "UNKNOWN"


BUILTINS = [
    kind
    for kind in vars(builtins).values()
    if inspect.isclass(kind) and issubclass(kind, Exception) and not issubclass(kind, BaseExceptionGroup | UnicodeError)
]
TEXT = st.text(max_size=80)
ERRORS = st.one_of(
    st.builds(lambda kind, text: kind(text), st.sampled_from(BUILTINS), TEXT),
    st.builds(OSError, st.integers(-5, 200), TEXT),
    st.builds(
        client_error,
        st.one_of(TEXT, st.sampled_from(["404", "AccessDenied", "SlowDown"])),
        st.sampled_from(["GetObject", "RunJobFlow", ""]),
        st.integers(0, 599),
    ),
    st.builds(lambda response: aws.ClientError(response, "Op"), st.dictionaries(TEXT, st.dictionaries(TEXT, TEXT))),
    st.builds(
        lambda kind, text: kind(text),
        st.sampled_from(
            [psycopg.OperationalError, psycopg.Error, duckdb.IOException, pa.ArrowInvalid, AirflowException]
        ),
        TEXT,
    ),
)


@given(st.lists(ERRORS, min_size=1, max_size=4), st.booleans())
def test_whatever_is_raised_is_a_fault_of_the_catalogue(errors: list[Exception], explicit: bool) -> None:
    for outer, inner in pairwise(errors):
        if explicit:
            outer.__cause__ = inner
        else:
            outer.__context__ = inner
    found = classify(errors[0])
    assert found.code in CATALOGUE
    assert found.fault.kind in FaultClass
    assert isinstance(found.detail, str)


@given(TEXT, st.sampled_from([RuntimeError, ValueError, psycopg.OperationalError, duckdb.IOException, OSError]))
def test_no_secret_passes_through(words: str, kind: type[Exception]) -> None:
    found = classify(kind(f"{words} postgresql://etl:hunter2@db/w password=hunter2 {words}"))
    assert "hunter2" not in found.detail
    assert "hunter2" not in str(found)
