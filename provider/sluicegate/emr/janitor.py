"""The operator that ends clusters which no task needs any more: whatever died that was to end them.

Imported when a DAG is parsed: everything that talks to AWS is imported when a task runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sluicegate.emr.deployment import deployment_name
from sluicegate.emr.orphans import GRACE, Kind
from sluicegate.faults import fault
from sluicegate.runtime.operator import StepOperator
from sluicegate.runtime.step import StepContext, StepResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluicegate.emr.orphans import Judged
    from sluicegate.emr.sweep import Ending

__all__ = ["JanitorOperator"]


class JanitorOperator(StepOperator):
    """Ends the live EMR clusters of this deployment whose task is over or gone, or whose deadline has passed.

    A cluster of another deployment, or one that cannot be identified for certain, is left alone. Each is looked at
    again right before it is ended; one that cannot be ended fails the task once all others are. Returns
    `{"deployment", "dry_run", "live", "orphans": [{"cluster_id", "name", "pipeline", "step", "run_id", "reason",
    "ended"}], "unknown": [{"cluster_id", "name", "reason"}]}`.

    :param dry_run: only say what would be ended; the default, so that the first runs show what it is about to do
    :param deployment: whose clusters; this Airflow's own (`[sluicegate] deployment`) unless given. Of another one's
        only those are ended whose deadline has passed.
    :param grace: how long a cluster is left alone after it was made, and after its deadline
    """

    ui_color = "#f2e4d0"

    def __init__(
        self,
        *,
        dry_run: bool = True,
        aws_conn_id: str | None = "aws_default",
        deployment: str | None = None,
        grace: timedelta = GRACE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dry_run_only = dry_run
        self.aws_conn_id = aws_conn_id
        self.deployment = deployment
        self.grace = grace

    def run(self, context: Context, step: StepContext) -> StepResult:
        from sluicegate.emr.client import EmrClient
        from sluicegate.emr.connection import Aws
        from sluicegate.emr.sweep import NoAirflow, Sweep
        from sluicegate.emr.task_states import OwnAirflow

        deployment, own = self.deployment or deployment_name(), deployment_name()
        # Of another deployment's tasks this Airflow knows nothing, though it may have some of the same names.
        tasks = OwnAirflow() if deployment == own else NoAirflow()
        sweep = Sweep(EmrClient(Aws(self.aws_conn_id)), tasks, deployment, self.grace)
        found = [each for each in sweep.look() if each.kind is not Kind.FOREIGN]
        for each in found:
            self.log.info("%s %s: %s, %s", each.cluster.name, each.cluster.cluster_id, each.kind, each.reason)
        dry_run = self.dry_run_only or step.dry_run
        orphans = [each for each in found if each.kind is Kind.ORPHAN]
        endings = [] if dry_run else sweep.end(orphans)
        if left := [each for each in endings if each.fault is not None]:
            raise _left(left)
        ended = {each.orphan.cluster.cluster_id for each in endings if each.done}
        value = {
            "deployment": deployment,
            "dry_run": dry_run,
            "live": len(found),
            "orphans": [_plain(each) | {"ended": each.cluster.cluster_id in ended} for each in orphans],
            "unknown": [_short(each) for each in found if each.kind is Kind.UNKNOWN],
        }
        would = f"{len(orphans)} would be ended" if dry_run else f"{len(ended)} of {len(orphans)} orphans ended"
        return StepResult(value, f"{len(found)} live clusters of {deployment}: {would}")


def _left(left: Sequence[Ending]) -> Exception:
    names = ", ".join(each.orphan.cluster.cluster_id for each in left)
    first = left[0].fault
    assert first is not None
    return fault(first.code, f"{len(left)} orphans could not be ended ({names}): {first.detail}")


def _short(each: Judged) -> dict[str, Any]:
    return {"cluster_id": each.cluster.cluster_id, "name": each.cluster.name, "reason": each.reason}


def _plain(each: Judged) -> dict[str, Any]:
    assert each.owner is not None  # an orphan is identified
    key = each.owner.key
    return _short(each) | {"pipeline": each.owner.pipeline, "step": key.task_id, "run_id": key.run_id}
