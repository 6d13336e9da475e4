"""`python -m sluicegate.local.aws --root DIR`: the local AWS as a process, until SIGTERM or SIGINT.

It executes what it is sent: it listens on 127.0.0.1 only, and with an access key (`--access-key`, better
$SLUICEGATE_LOCAL_KEY, which no process list shows) it turns away every request that was not made with it, and with
$SLUICEGATE_LOCAL_SECRET every one that was not signed with that.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from sluicegate.local.aws.plan import Plan
from sluicegate.local.aws.server import LocalAws, RootInUseError

KEY_VARIABLE = "SLUICEGATE_LOCAL_KEY"
SECRET_VARIABLE = "SLUICEGATE_LOCAL_SECRET"  # noqa: S105 (a name)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped by a signal, 3 the port or the root is taken."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if options.ready:
        options.ready.unlink(missing_ok=True)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    aws = LocalAws(
        options.root,
        port=options.port,
        logs=options.logs,
        state=options.state,
        buckets=options.bucket,
        create_buckets=options.create_buckets,
        access_key=options.access_key or os.environ.get(KEY_VARIABLE) or None,
        secret_key=os.environ.get(SECRET_VARIABLE) or None,
        slots=options.slots,
        cores=options.cores,
        memory=options.memory,
        cache=options.cache,
        chaos=options.chaos,
    )
    try:
        aws.start()
    except (OSError, RootInUseError) as error:
        print(f"The local AWS cannot start: {error}", file=sys.stderr)
        return 3
    if options.ready:
        _announce(options.ready, aws)
    print(f"The local AWS answers at {aws.endpoint_url}", flush=True)
    stopped.wait()
    aws.stop()
    return 0


def _announce(path: Path, aws: LocalAws) -> None:
    fresh = path.with_name(path.name + ".tmp")
    fresh.write_text(json.dumps({"port": aws.port, "endpoint_url": aws.endpoint_url, "pid": os.getpid()}))
    fresh.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sluicegate.local.aws", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds a folder per bucket")
    parser.add_argument("--port", type=int, default=0, help="0 (default): the OS picks one")
    parser.add_argument("--logs", type=Path, help="plain logs of steps (default: emr-logs beside the root)")
    parser.add_argument("--state", type=Path, help="folder of cluster records (default: emr-state beside it)")
    parser.add_argument("--ready", type=Path, help="file for port, endpoint_url and pid as JSON, once it answers")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to create; may be repeated")
    parser.add_argument(
        "--create-buckets", action="store_true", help="make a missing bucket when something is written to it"
    )
    parser.add_argument("--access-key", help=f"the only access key id let in (default: ${KEY_VARIABLE})")
    parser.add_argument("--slots", type=int, default=1, help="steps that run at the same time (default 1)")
    parser.add_argument("--cores", type=int, default=2, help="cores of one Spark job (default 2)")
    parser.add_argument("--cache", type=Path, help="folder for an archive of Spark's classes, 150 MB (default: none)")
    parser.add_argument("--chaos", type=Plan.parse, help="what goes wrong on purpose: <fault>=<rate>,… or `default`")
    parser.add_argument("--memory", default="1g", help="memory of one Spark job's JVM (default 1g)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
