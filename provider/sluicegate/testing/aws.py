"""An AWS on the loopback: an S3 over a folder, and an EMR that does what the test says."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sluicegate.testing.emr import ScriptedEmr
from sluicegate.testing.s3 import ScratchS3

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["ScratchAws", "scratch_aws"]


class ScratchAws(NamedTuple):
    """Both answer at the S3's `endpoint_url`, and so to its `connection`."""

    s3: ScratchS3
    emr: ScriptedEmr


@contextmanager
def scratch_aws(folder: Path, *, create_buckets: bool = True) -> Iterator[ScratchAws]:
    """An empty one that ends with the block; `folder` is where the objects are, and is left to the caller.

    Any process of this machine may use it.

    :param create_buckets: a write makes its bucket where there is none, which AWS's would not
    """
    from werkzeug.serving import WSGIRequestHandler, make_server
    from werkzeug.wrappers import Request

    from sluicegate.local.aws.objects import Objects
    from sluicegate.local.aws.s3 import S3Api

    class Handler(WSGIRequestHandler):
        wbufsize = -1  # one packet an answer: the second of two waits for the first one's acknowledgement

        def make_environ(self) -> WSGIEnvironment:
            self.wfile.flush()  # the `100 Continue` for which the client waits
            return super().make_environ()

        def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
            self.close_connection = True

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    objects = Objects(folder, create_buckets=create_buckets)
    api = S3Api(objects)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        response = aws.emr.respond(request) if "X-Amz-Target" in request.headers else api.respond(request)
        return response(environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    s3 = ScratchS3(objects, f"http://127.0.0.1:{server.server_port}")
    aws = ScratchAws(s3, ScriptedEmr(s3))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
