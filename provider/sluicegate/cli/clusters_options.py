"""The options by which clusters are found: those of AWS, and of the Airflow whose tasks they work for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluicegate.cli.airflow_options import (
    AirflowOptions,
    StateOption,
    TokenFileOption,
    UrlOption,
    UserOption,
    connected,
)
from sluicegate.cli.connections import find_connection
from sluicegate.cli.home import airflow_home

if TYPE_CHECKING:
    from sluicegate.emr.connection import Aws
    from sluicegate.emr.sweep import Sweep

__all__ = ["UNREACHED", "Places"]

UNREACHED = ("AWS_DENIED", "AWS_UNAVAILABLE", "AWS_THROTTLED", "AWS_REJECTED")

_DEPLOYMENT, _CONNECTION = "AIRFLOW__SLUICEGATE__DEPLOYMENT", "aws_default"

DeploymentOption = Annotated[
    str | None,
    typer.Option(
        help="Whose clusters; else that of the embedded stack, or of this machine's Airflow.", envvar=_DEPLOYMENT,
        show_default=False,
    ),
]  # fmt: skip
ConnectionOption = Annotated[
    str | None,
    typer.Option(
        help=f"The Airflow connection to AWS; else {_CONNECTION}, else what botocore finds by itself.",
        show_default=False,
    ),
]
GraceOption = Annotated[
    str, typer.Option(help="How long one is left alone after it was made, and after its deadline: 30s, 5m.")
]
WithoutAirflowOption = Annotated[
    bool,
    typer.Option("--without-airflow", help="Ask no Airflow: only what is past its deadline is then known to be over."),
]


@dataclass(frozen=True)
class Places:
    """The options that say in which AWS the clusters are, and which Airflow's tasks they work for."""

    deployment: DeploymentOption = None
    aws_conn_id: ConnectionOption = None
    without_airflow: WithoutAirflowOption = False
    grace: GraceOption = "5m"
    url: UrlOption = None
    token_file: TokenFileOption = None
    user: UserOption = None
    state: StateOption = Path(".sluicegate")

    @contextmanager
    def sweep(self) -> Iterator[Sweep]:
        """What looks at the clusters, for as long as the connection to Airflow is open.

        :raises FaultError: CONNECTION_MISSING for a connection that was named and does not exist; WRONG_USE
        """
        from sluicegate.faults import fault
        from sluicegate.pipeline.text.quantities import parse_duration

        try:
            grace = parse_duration(self.grace)
        except ValueError as wrong:
            raise fault("WRONG_USE", f"--grace {self.grace!r}: {wrong}") from wrong
        with airflow_home():
            from sluicegate.cli.clusters_tasks import RestTasks, name_of
            from sluicegate.emr.client import EmrClient
            from sluicegate.emr.sweep import NoAirflow, Sweep

            client, given = EmrClient(self._aws()), self._given_name()
        if self.without_airflow and given:
            yield Sweep(client, NoAirflow(), given, grace)
            return
        if self.without_airflow:
            raise fault("WRONG_USE", "say --deployment: how their names begin, up to the name of the pipeline")
        with connected(AirflowOptions(self.url, self.token_file, self.user, self.state)) as airflow:
            yield Sweep(client, RestTasks(airflow), given or name_of(airflow), grace)

    def _aws(self) -> Aws:
        from airflow.sdk.exceptions import AirflowNotFoundException

        from sluicegate.emr.connection import Aws
        from sluicegate.faults import fault

        connection = self.aws_conn_id or _CONNECTION
        try:
            found = find_connection(connection, self.state)
        except AirflowNotFoundException as missing:
            if self.aws_conn_id is None:
                return Aws(None)
            variable = f"AIRFLOW_CONN_{connection.upper()}"
            detail = f"there is no connection {connection!r} here: set {variable}, or run this where Airflow runs"
            raise fault("CONNECTION_MISSING", detail) from missing
        # Airflow's hook looks for it once more, in this process.
        os.environ.setdefault(f"AIRFLOW_CONN_{connection.upper()}", found.as_json())
        return Aws(connection)

    def _given_name(self) -> str:
        """`--deployment`, else the setting of the embedded stack or of this machine's Airflow; or nothing."""
        from sluicegate.emr.deployment import given_name
        from sluicegate.local.stack.stack import running

        if self.deployment:
            return self.deployment
        stack = running(self.state) if self.url is None else None
        return (stack.env.get(_DEPLOYMENT) if stack else None) or given_name()
