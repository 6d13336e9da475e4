"""S3's HTTP API (path style) over `Objects`: what boto3, Airflow's S3Hook and DuckDB's httpfs ask of it.

What it lacks answers 501 by name. It decides nothing about who may call: `server` did that before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

from werkzeug.http import http_date, parse_range_header
from werkzeug.wrappers import Request, Response

from sluicegate.local.aws.listing import list_objects
from sluicegate.local.aws.objects import Objects, S3Error, Staged
from sluicegate.local.aws.uploads import Uploads
from sluicegate.local.aws.wire import (
    UNSUPPORTED,
    body_of,
    byte_range,
    children,
    condition,
    document,
    integer,
    iso,
    parse_xml,
    raw_path,
    read_status,
    slice_of,
    text_of,
    tree,
    verify,
    xml,
    xml_response,
)

_Action: TypeAlias = Callable[[Request, str, str], Response]


class S3Api:
    """A WSGI-free application: `respond(request)` gives the response."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.uploads = Uploads(objects)

    def respond(self, request: Request) -> Response:
        bucket, _, key = unquote(raw_path(request).lstrip("/")).partition("/")
        try:
            return self._route(request, bucket, key)(request, bucket, key)
        except S3Error as error:
            body = xml("Error", ("Code", error.code), ("Message", error.message), ("Resource", request.path))
            return Response(body, error.status, content_type="application/xml")

    def _route(self, request: Request, bucket: str, key: str) -> _Action:
        asked = request.args
        for name in UNSUPPORTED.intersection(asked):
            raise S3Error("NotImplemented", f"The local S3 has no {request.method} ?{name}.", 501)
        if not bucket:
            actions: dict[str, _Action] = {"GET": self._list_buckets}
        elif not key:
            actions = {
                "GET": _refuse if "uploads" in asked else self._list,
                "HEAD": self._head_bucket,
                "PUT": self._create_bucket,
                "DELETE": self._delete_bucket,
                "POST": self._delete_objects if "delete" in asked else _refuse,
            }
        elif "uploadId" in asked:
            actions = {
                "PUT": self._upload_part,
                "POST": self._complete_upload,
                "DELETE": self._abort_upload,
            }
        else:
            actions = {
                "GET": self._get,
                "HEAD": self._get,
                "PUT": self._copy if "x-amz-copy-source" in request.headers else self._put,
                "POST": self._create_upload if "uploads" in asked else _refuse,
                "DELETE": self._delete,
            }
        return actions.get(request.method, _refuse)

    # --- buckets

    def _list_buckets(self, request: Request, bucket: str, key: str) -> Response:
        root = self.objects.root
        rows = [
            tree("Bucket", ("Name", name), ("CreationDate", iso((root / name).stat().st_mtime)))
            for name in self.objects.buckets()
        ]
        buckets = ET.Element("Buckets")
        buckets.extend(rows)
        owner = tree("Owner", ("ID", "local"), ("DisplayName", "local"))
        return document(tree("ListAllMyBucketsResult", owner, buckets))

    def _head_bucket(self, request: Request, bucket: str, key: str) -> Response:
        self.objects.bucket(bucket)
        return Response(headers={"x-amz-bucket-region": "us-east-1"})

    def _create_bucket(self, request: Request, bucket: str, key: str) -> Response:
        self.objects.create_bucket(bucket)
        return Response(headers={"Location": f"/{bucket}"})

    def _delete_bucket(self, request: Request, bucket: str, key: str) -> Response:
        self.objects.delete_bucket(bucket)
        return Response(status=204)

    def _list(self, request: Request, bucket: str, key: str) -> Response:
        return document(list_objects(self.objects, bucket, request.args))

    # --- objects

    def _get(self, request: Request, bucket: str, key: str) -> Response:
        file, info = self.objects.open(bucket, key)
        try:
            status = read_status(request, info)
            headers = {
                "ETag": f'"{info.etag}"',
                "Last-Modified": http_date(info.modified),
                "Accept-Ranges": "bytes",
                "Content-Type": request.args.get("response-content-type", "binary/octet-stream"),
            }
            if status == 304:
                file.close()
                return Response(status=304, headers=headers)
            start, end = byte_range(parse_range_header(request.headers.get("Range")), info.size)
            if (start, end) != (0, info.size):
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
                status = 206
            headers["Content-Length"] = str(end - start)
            if request.method == "HEAD":
                file.close()
                return Response(status=status, headers=headers)
            return Response(slice_of(file, start, end), status, headers, direct_passthrough=True)
        except BaseException:
            file.close()
            raise

    def _put(self, request: Request, bucket: str, key: str) -> Response:
        self.objects.check_key(bucket, key)
        info = self.objects.commit(self._receive(request), bucket, key, condition(request))
        return Response(headers={"ETag": f'"{info.etag}"'})

    def _copy(self, request: Request, bucket: str, key: str) -> Response:
        staged = self._stage_source(request)
        info = self.objects.commit(staged, bucket, key, condition(request))
        modified = ("LastModified", iso(info.modified))
        return xml_response("CopyObjectResult", modified, ("ETag", f'"{info.etag}"'))

    def _delete(self, request: Request, bucket: str, key: str) -> Response:
        self.objects.delete(bucket, key, condition(request))
        return Response(status=204)

    def _delete_objects(self, request: Request, bucket: str, key: str) -> Response:
        self.objects.bucket(bucket)
        wanted = parse_xml(request)
        result = tree("DeleteResult")
        quiet = text_of(wanted, "Quiet") == "true"
        for row in children(wanted, "Object"):
            name = text_of(row, "Key")
            try:
                self.objects.delete(bucket, name)
            except S3Error as error:
                result.append(tree("Error", ("Key", name), ("Code", error.code), ("Message", error.message)))
            else:
                if not quiet:
                    result.append(tree("Deleted", ("Key", name)))
        return document(result)

    # --- multipart uploads

    def _create_upload(self, request: Request, bucket: str, key: str) -> Response:
        upload_id = self.uploads.begin(bucket, key)
        return xml_response("InitiateMultipartUploadResult", ("Bucket", bucket), ("Key", key), ("UploadId", upload_id))

    def _upload_part(self, request: Request, bucket: str, key: str) -> Response:
        upload_id = request.args["uploadId"]
        number = integer(request.args.get("partNumber", ""), "partNumber")
        self.uploads.parts(upload_id, bucket, key)
        copied = "x-amz-copy-source" in request.headers
        staged = self._stage_source(request) if copied else self._receive(request)
        etag = self.uploads.add_part(upload_id, bucket, key, number, staged)
        if copied:
            now = datetime.now(UTC).timestamp()
            return xml_response("CopyPartResult", ("LastModified", iso(now)), ("ETag", f'"{etag}"'))
        return Response(headers={"ETag": f'"{etag}"'})

    def _complete_upload(self, request: Request, bucket: str, key: str) -> Response:
        wanted = [
            (integer(text_of(part, "PartNumber"), "PartNumber"), text_of(part, "ETag").strip('"'))
            for part in children(parse_xml(request), "Part")
        ]
        upload_id = request.args["uploadId"]
        info = self.uploads.complete(upload_id, bucket, key, wanted, condition(request))
        return xml_response(
            "CompleteMultipartUploadResult",
            ("Location", f"{request.host_url}{bucket}/{quote(key)}"),
            ("Bucket", bucket),
            ("Key", key),
            ("ETag", f'"{info.etag}"'),
        )

    def _abort_upload(self, request: Request, bucket: str, key: str) -> Response:
        self.uploads.abort(request.args["uploadId"], bucket, key)
        return Response(status=204)

    # --- bodies

    def _receive(self, request: Request) -> Staged:
        staged = self.objects.stage(body_of(request))
        try:
            verify(request, staged)
        except S3Error:
            staged.path.unlink(missing_ok=True)
            raise
        return staged

    def _stage_source(self, request: Request) -> Staged:
        source = unquote(request.headers["x-amz-copy-source"].partition("?")[0]).lstrip("/")
        bucket, _, key = source.partition("/")
        file, info = self.objects.open(bucket, key)
        with file:
            wanted = request.headers.get("x-amz-copy-source-if-match")
            if wanted and wanted.strip('"') not in (info.etag, "*"):
                raise S3Error("PreconditionFailed", "The copy source has another ETag.", 412)
            header = request.headers.get("x-amz-copy-source-range")
            start, end = byte_range(parse_range_header(header), info.size)
            return self.objects.stage(slice_of(file, start, end))


def _refuse(request: Request, bucket: str, key: str) -> Response:
    raise S3Error("MethodNotAllowed", f"The local S3 has no {request.method} on this resource.", 405)
