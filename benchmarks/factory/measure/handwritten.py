"""Python DAG files as a person writes them, and the same with all that Sluicegate adds."""

from __future__ import annotations

from pathlib import Path

from measure.workload import Pipeline, Task

__all__ = ["loop", "one_file_each", "one_file_each_like_ours"]

_RETRIES = (
    '"retries": 3, "retry_delay": timedelta(seconds=30), "max_retry_delay": timedelta(minutes=10), '
    '"retry_exponential_backoff": 2.0'
)

_PLAIN = """\
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    {name!r},
    description={description!r},
    schedule=CronDataIntervalTimetable({cron!r}, "UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags={tags!r},
    doc_md={description!r},
    default_args={{"owner": {owner!r}, {retries}}},
) as dag:
    {tasks}
    {edges}
"""

_LIKE_OURS = """\
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators import bash, empty
from airflow.sdk import CronDataIntervalTimetable, Param

from sluicegate.runtime.dag import PipelineDAG
from sluicegate.faults.retry import FaultRetryPolicy
from sluicegate.runtime.operator import as_step

BashOperator, EmptyOperator = as_step(bash.BashOperator), as_step(empty.EmptyOperator)

dag = PipelineDAG(
    {name!r},
    description={description!r},
    schedule=CronDataIntervalTimetable({cron!r}, "UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags={tags!r},
    max_active_runs=16,
    template_searchpath=[{folder!r}],
    params={{
        "dry_run": Param(
            default=False,
            description="Show what would happen, and keep nothing.",
            schema={{"type": "boolean"}},
        ),
        "force": Param(
            default=False,
            description="Load again what was loaded already.",
            schema={{"type": "boolean"}},
        ),
    }},
    doc_md={doc!r},
)
common = {{
    "owner": {owner!r}, {retries},
    "retry_policy": FaultRetryPolicy(delay=timedelta(seconds=30), max_delay=timedelta(minutes=10)),
}}
{tasks}
dag.add_tasks([{names}])
{edges}
"""

_LOOP = """\
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, get_parsing_context

PIPELINES = [
{rows}
]
wanted = get_parsing_context().dag_id
for name, description, cron, tags, owner, tasks, edges in PIPELINES:
    if wanted not in (None, name):
        continue
    with DAG(
        name,
        description=description,
        schedule=CronDataIntervalTimetable(cron, "UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        tags=tags,
        doc_md=description,
        default_args={{"owner": owner, {retries}}},
    ) as dag:
        made = {{
            task: BashOperator(task_id=task, bash_command=command) if command else EmptyOperator(task_id=task)
            for task, command in tasks
        }}
        for before, after in edges:
            made[before] >> made[after]
    globals()[name] = dag
"""


def one_file_each(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    """Says what the pipeline file says, and no more."""
    for each in pipelines:
        (folder / f"{each.name}.py").write_text(_filled(_PLAIN, each, folder))


def one_file_each_like_ours(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    """The DAG that Sluicegate makes, to the last key of its serialized form."""
    for each in pipelines:
        (folder / f"{each.name}.py").write_text(_filled(_LIKE_OURS, each, folder))


def loop(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    """One file for all, which asks Airflow which DAG is wanted."""
    rows = "\n".join(f"    {_row(each)!r}," for each in pipelines)
    (folder / "all_dags.py").write_text(_LOOP.format(rows=rows, retries=_RETRIES))


def _row(pipeline: Pipeline) -> tuple[object, ...]:
    tasks = [(task.name, task.command) for task in pipeline.tasks]
    head = (pipeline.name, pipeline.description, pipeline.cron, [*pipeline.tags], pipeline.owner)
    return (*head, tasks, [*pipeline.edges])


def _filled(text: str, pipeline: Pipeline, folder: Path) -> str:
    # Tasks that a `with DAG` block makes would each carry the DAG's params, which ours do not.
    indent, common = ("", ", **common") if text is _LIKE_OURS else ("    ", "")
    return text.format(
        name=pipeline.name,
        description=pipeline.description,
        cron=pipeline.cron,
        tags=sorted(pipeline.tags),
        owner=pipeline.owner,
        retries=_RETRIES,
        folder=str(folder),
        doc=_doc(pipeline),
        tasks=f"\n{indent}".join(_task(each, common) for each in pipeline.tasks),
        names=", ".join(each.name for each in pipeline.tasks),
        edges=f"\n{indent}".join(f"{before} >> {after}" for before, after in pipeline.edges),
    )


def _task(task: Task, common: str) -> str:
    if task.command is None:
        return f"{task.name} = EmptyOperator(task_id={task.name!r}{common})"
    return f"{task.name} = BashOperator(task_id={task.name!r}, bash_command={task.command!r}{common})"


def _doc(pipeline: Pipeline) -> str:
    return (
        f"{pipeline.description}\n\n**Owner:** {pipeline.owner} · **File:** `{pipeline.name}.yaml`\n\n"
        f"*No playbook yet: expected in `playbooks/{pipeline.name}.md`.*\n"
    )
