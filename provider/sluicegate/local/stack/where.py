"""Where the parts of a running stack are, as lines for a person: no secret is in them."""

from __future__ import annotations

import shlex
import shutil
from urllib.parse import quote

from sluicegate.local.stack.airflow import ADMIN
from sluicegate.local.stack.postgres import Binaries
from sluicegate.local.stack.stack import Stack

__all__ = ["psql_line", "where"]


def where(stack: Stack) -> dict[str, str]:
    """Label to line, in the order in which a person looks."""
    found = {
        "Airflow": f"{stack.airflow_url}  (user {ADMIN})",
        "warehouse": psql_line(stack),
        "passwords": f"{stack.state.secrets}  (admin_password, warehouse_password)",
        "S3 and EMR": stack.aws_endpoint,
        "pipelines": stack.run.dags,
        "logs": str(stack.state.logs),
    }
    return found | ({"chaos": stack.run.chaos} if stack.run.chaos else {})


def psql_line(stack: Stack) -> str:
    """A command that opens the warehouse; the password comes out of a file that only its owner can read."""
    program = "psql" if shutil.which("psql") else Binaries.find().path("psql")
    return shlex.join([program, f"{stack.warehouse_url}?passfile={quote(str(stack.state.pgpass))}"])
