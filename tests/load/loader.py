"""A load in a process of its own, to be killed: prints `ready` when it starts, and its report at the end."""

from __future__ import annotations

import json
import sys

from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.pipeline.keys.model import Column, DeadLetters
from sluicegate.pipeline.text.quantities import Limit
from sluicegate.storage import Storage
from sluicegate.targets.postgres.target import PostgresTarget


def main() -> None:
    words = json.loads(sys.argv[1])
    request = LoadRequest(
        sources=(words["source"],), table=words["table"], key=("id",), newest_by=words.get("newest_by"),
        columns={name: Column(type=type_) for name, type_ in words["columns"].items()},
        dead_letters=DeadLetters(max=Limit.parse("100%")), origin=Origin("p", "s", words["run"], 1),
        force=words.get("force", False),
    )  # fmt: skip
    import duckdb  # noqa: F401 - the clock of a test starts with the load itself

    print("ready", flush=True)
    report = load(request, Storage(), PostgresTarget(words["conninfo"], words["table"]))
    print(json.dumps(report.as_dict()), flush=True)


if __name__ == "__main__":
    main()
