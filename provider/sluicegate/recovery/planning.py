"""Makes a plan of what failed, or of what read wrong data, in one Airflow. Reads only: nothing is changed."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime

from sluicegate.api.answers import Fields
from sluicegate.api.client import Client
from sluicegate.recovery.build import build, build_of
from sluicegate.recovery.definition import Plan, Server
from sluicegate.recovery.details import RestDetails
from sluicegate.recovery.read import read_night
from sluicegate.recovery.request import Request
from sluicegate.recovery.restate import restate

__all__ = ["myself", "plan"]


def plan(client: Client, request: Request | None = None, *, by: str | None = None) -> Plan:
    """The plan for what failed and matches `request`, by default everything; it may be empty.

    With `request.source` it is a restatement: of what read that dataset, whether or not it failed.

    :param by: who makes it; by default the user of this process
    :raises WrongRequest: for what does not exist in this Airflow
    :raises PlanCycle: when what is to be reset waits for itself
    :raises ApiError: as `Client` does
    """
    asked = request or Request()
    version = Fields(client.get("/version")).text("version")
    server, who, now = Server(client.url, version), by or myself(), datetime.now(UTC)
    details = RestDetails(client)
    if asked.source is None:
        return build(read_night(client, asked), asked, details, server=server, by=who, now=now)
    found = restate(client, asked, details)
    return build_of(found.chosen, found.night, asked, details, server=server, by=who, now=now, links=found.links)


def myself() -> str:
    """The user of this process and its machine, as `anna@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
