"""Whether a request was made with the one key and its secret: AWS's signatures, in a header or in a presigned URL.

Version 4 is computed here, over what was received. Version 2, which boto3 still presigns with, is botocore's.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote, urlsplit

from werkzeug.wrappers import Request

from sluicegate.local.aws.wire import raw_path

__all__ = ["Credentials", "Refusal", "refusal"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_HEADER = re.compile(rf"{_ALGORITHM}\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)")
_OLD_HEADER = re.compile(r"AWS ([^:\s]+):(\S+)")
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Credentials:
    """The key that is let in. Without a `secret` the key alone is looked at."""

    key: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Refusal:
    """`code` is S3's."""

    code: str
    message: str


@dataclass(frozen=True)
class _Signed:
    """A signature of version 4 and what it covers. `scope` is day/region/service/aws4_request."""

    key: str
    scope: str
    headers: str
    signature: str
    date: str
    presigned: bool


_UNKNOWN_KEY = Refusal("InvalidAccessKeyId", "The AWS Access Key Id you provided is not the one of this local AWS.")
_WRONG = Refusal(
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the one you provided: check the secret access key.",
)
_EXPIRED = Refusal("AccessDenied", "Request has expired")


def refusal(request: Request, known: Credentials) -> Refusal | None:
    """Why the request is turned away; None if it was signed with the known key and secret."""
    signed = _signed(request)
    if signed is None:
        return _old_refusal(request, known)
    if not hmac.compare_digest(signed.key.encode(), known.key.encode()):
        return _UNKNOWN_KEY
    if known.secret is None:
        return None
    if not hmac.compare_digest(_signature(request, signed, known.secret), signed.signature):
        return _WRONG
    if signed.presigned and _is_over(signed.date, request.args.get("X-Amz-Expires", "")):
        return _EXPIRED
    return None


def _signed(request: Request) -> _Signed | None:
    asked = request.args
    if asked.get("X-Amz-Algorithm") == _ALGORITHM:
        key, _, scope = asked.get("X-Amz-Credential", "").partition("/")
        headers, signature = asked.get("X-Amz-SignedHeaders", ""), asked.get("X-Amz-Signature", "")
        return _Signed(key, scope, headers, signature, asked.get("X-Amz-Date", ""), presigned=True)
    if found := _HEADER.match(request.headers.get("Authorization", "")):
        key, _, scope = found[1].partition("/")
        return _Signed(key, scope, found[2], found[3], request.headers.get("X-Amz-Date", ""), presigned=False)
    return None


def _signature(request: Request, signed: _Signed, secret: str) -> str:
    canonical = "\n".join(
        [
            request.method,
            raw_path(request) or "/",
            _canonical_query(request),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signed.headers.split(";")),
            "",
            signed.headers,
            _payload_hash(request, signed),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    words = "\n".join([_ALGORITHM, signed.date, signed.scope, digest])
    key = f"AWS4{secret}".encode()
    for part in signed.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, words.encode(), "sha256").hex()


def _canonical_query(request: Request) -> str:
    pairs = []
    for pair in filter(None, request.query_string.decode("latin-1").split("&")):
        name, _, value = pair.partition("=")
        if name != "X-Amz-Signature":
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _payload_hash(request: Request, signed: _Signed) -> str:
    if sent := request.headers.get("x-amz-content-sha256"):
        return sent
    if signed.presigned:
        return _UNSIGNED
    body = request.get_data()  # EMR's, which is short; S3's clients always send the digest
    request.environ["wsgi.input"] = io.BytesIO(body)  # for whatever answers it
    return hashlib.sha256(body).hexdigest()


def _is_over(date: str, seconds: str) -> bool:
    try:
        begun = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return datetime.now(UTC) > begun + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError):
        return True


def _old_refusal(request: Request, known: Credentials) -> Refusal | None:
    found = _OLD_HEADER.match(request.headers.get("Authorization", ""))
    key, sent = (found[1], found[2]) if found else _presigned(request.args)
    if not hmac.compare_digest(key.encode(), known.key.encode()):
        return _UNKNOWN_KEY
    if known.secret is None:
        return None
    expires = None if found else request.args.get("Expires", "")
    if not any(hmac.compare_digest(each, sent) for each in _old_signatures(request, known, expires)):
        return _WRONG
    if expires is not None and not (expires.isdecimal() and int(expires) >= datetime.now(UTC).timestamp()):
        return _EXPIRED
    return None


def _presigned(asked: Mapping[str, str]) -> tuple[str, str]:
    return asked.get("AWSAccessKeyId", ""), asked.get("Signature", "")


def _old_signatures(request: Request, known: Credentials, expires: str | None) -> Iterator[str]:
    """The right ones: a bucket alone is signed with a slash at its end by some, without by others."""
    from botocore.auth import HmacV1Auth
    from botocore.compat import HTTPHeaders
    from botocore.credentials import Credentials as Signer

    auth = HmacV1Auth(Signer(known.key, known.secret))
    sent = request.headers
    date = ("" if "x-amz-date" in sent else sent.get("Date", "")) if expires is None else expires
    amazons = auth.canonical_custom_headers(HTTPHeaders.from_pairs(sent))
    split = urlsplit(f"{raw_path(request)}?{request.query_string.decode('latin-1')}")
    words = [request.method, sent.get("Content-MD5", ""), sent.get("Content-Type", ""), date]
    words += [amazons] if amazons else []
    for path in (split.path, f"{split.path}/"):
        yield str(auth.sign_string("\n".join([*words, auth.canonical_resource(split, path)])))
