"""For fix scripts: a plan for what a script asks for, shown, and carried out once a person has said so."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sluicegate.cli.airflow_options import URL_VARIABLE, AirflowOptions, connected
from sluicegate.cli.console import failing
from sluicegate.cli.recover_apply import apply
from sluicegate.cli.recover_plan import show_plan

if TYPE_CHECKING:
    from sluicegate.recovery.request import Request

__all__ = ["fix"]


def fix(request: Request) -> None:
    """Show the plan for `request` and write its file; on a terminal, go on as `sluicegate recover apply` does, which
    asks for the plan's id and a reason. Elsewhere a person or a script runs that command.

    Finds Airflow as the command does: by SLUICEGATE_AIRFLOW_URL and SLUICEGATE_AIRFLOW_TOKEN, else the embedded stack.
    Ends the script as the command ends.
    """
    from sluicegate.recovery.planning import plan

    url = os.environ.get(URL_VARIABLE)
    with failing():
        with connected(AirflowOptions(url=url)) as client:
            made = plan(client, request)
        file = show_plan(made, request)
        if file is not None and sys.stdin.isatty():
            apply(file, url=url)
