"""The same pipelines in the YAML of each factory, with the loader that its manual shows."""

from __future__ import annotations

from pathlib import Path

from measure.workload import Pipeline, Task

__all__ = ["blueprint", "dag_factory", "gusty", "naive", "sluicegate"]


def sluicegate(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    for each in pipelines:
        lines = [
            "sluicegate: 1",
            f"description: {each.description}",
            f"owner: {each.owner}",
            f"tags: [{', '.join(each.tags)}]",
            f'schedule: {{cron: "{each.cron}", start: 2026-01-01}}',
            "retries: {count: 3, delay: 30s, max_delay: 10m}",
            "steps:",
        ]
        for task in each.tasks:
            lines += [f"  {task.name}:", f"    operator: {task.operator}"]
            lines += [f"    with: {{bash_command: {task.command}}}"] if task.command else []
            lines += [f"    after: [{', '.join(task.after)}]"] if task.after else []
        _write(folder / f"{each.name}.yaml", lines)


_NAIVE = """\
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import yaml
from airflow.providers.standard.operators import bash, empty  # imported before the fork
from airflow.sdk import DAG, CronDataIntervalTimetable

for path in sorted(Path(__file__).parent.glob("*.yaml")):
    spec = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    retries = {"retry_delay": timedelta(seconds=30), "max_retry_delay": timedelta(minutes=10)}
    arguments = {"owner": spec["owner"], "retries": 3, "retry_exponential_backoff": 2.0, **retries}
    schedule = CronDataIntervalTimetable(spec["schedule"], "UTC")
    with DAG(path.stem, description=spec["description"], schedule=schedule, catchup=False, tags=spec["tags"],
             start_date=datetime(2026, 1, 1, tzinfo=UTC), doc_md=spec["description"], default_args=arguments) as dag:
        tasks = {}
        for name, task in spec["tasks"].items():
            module, _, operator = task["operator"].rpartition(".")
            tasks[name] = getattr(import_module(module), operator)(task_id=name, **task.get("with", {}))
            tasks[name] << [tasks[before] for before in task.get("after", [])]
    globals()[path.stem] = dag
"""


def naive(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    """What one writes in an afternoon: no checks, no messages, PyYAML's C loader."""
    (folder / "loader.py").write_text(_NAIVE)
    for each in pipelines:
        lines = [
            f"description: {each.description}",
            f"owner: {each.owner}",
            f"tags: [{', '.join(each.tags)}]",
            f'schedule: "{each.cron}"',
            "tasks:",
        ]
        for task in each.tasks:
            lines += [f"  {task.name}:", f"    operator: {task.operator}"]
            lines += [f"    with: {{bash_command: {task.command}}}"] if task.command else []
            lines += [f"    after: [{', '.join(task.after)}]"] if task.after else []
        _write(folder / f"{each.name}.yaml", lines)


_DAG_FACTORY = """\
from pathlib import Path

import airflow  # "airflow" and "dag": else the file is passed over
from dagfactory import load_yaml_dags

folder = str(Path(__file__).parent)
load_yaml_dags(globals_dict=globals(), dags_folder=folder, defaults_config_path=folder)
"""


def dag_factory(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    (folder / "loader.py").write_text(_DAG_FACTORY)
    for each in pipelines:
        lines = [
            f"{each.name}:",
            f"  description: {each.description}",
            f'  schedule: "{each.cron}"',
            "  catchup: false",
            f"  tags: [{', '.join(each.tags)}]",
            "  default_args:",
            f"    owner: {each.owner}",
            '    start_date: "2026-01-01"',
            "    retries: 3",
            "    retry_delay: {__type__: datetime.timedelta, seconds: 30}",
            "    retry_exponential_backoff: 2.0",
            "    max_retry_delay: {__type__: datetime.timedelta, seconds: 600}",
            "  tasks:",
        ]
        for task in each.tasks:
            lines += [f"    - task_id: {task.name}", f"      operator: {task.operator}"]
            lines += [f"      bash_command: {task.command}"] if task.command else []
            lines += [f"      dependencies: [{', '.join(task.after)}]"] if task.after else []
        _write(folder / f"{each.name}.yaml", lines)


_BLUEPRINT_LOADER = """\
import airflow  # "airflow" and "dag": else the file is passed over
from blueprint import build_all_airflow_dags

build_all_airflow_dags()
"""
_BLUEPRINTS = """\
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from blueprint import BaseModel, Blueprint, BlueprintDagArgs


class ShellConfig(BaseModel):
    command: str


class Shell(Blueprint[ShellConfig]):
    def render(self, config: ShellConfig) -> BashOperator:
        return BashOperator(task_id=self.step_id, bash_command=config.command)


class NothingConfig(BaseModel):
    pass


class Nothing(Blueprint[NothingConfig]):
    def render(self, config: NothingConfig) -> EmptyOperator:
        return EmptyOperator(task_id=self.step_id)


class HouseConfig(BaseModel):
    schedule: str
    description: str
    owner: str
    tags: list[str]


class House(BlueprintDagArgs[HouseConfig]):
    def render(self, config: HouseConfig) -> dict[str, Any]:
        return {
            "schedule": config.schedule,
            "description": config.description,
            "tags": config.tags,
            "catchup": False,
            "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
            "doc_md": config.description,
            "default_args": {
                "owner": config.owner,
                "retries": 3,
                "retry_delay": timedelta(seconds=30),
                "max_retry_delay": timedelta(minutes=10),
                "retry_exponential_backoff": 2.0,
            },
        }
"""


def blueprint(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    (folder / "loader.py").write_text(_BLUEPRINT_LOADER)
    (folder / "templates.py").write_text(_BLUEPRINTS)
    for each in pipelines:
        lines = [
            f"dag_id: {each.name}",
            f'schedule: "{each.cron}"',
            f"description: {each.description}",
            f"owner: {each.owner}",
            f"tags: [{', '.join(each.tags)}]",
            "steps:",
        ]
        for task in each.tasks:
            lines += [f"  {task.name}:", f"    blueprint: {'shell' if task.command else 'nothing'}"]
            lines += [f"    command: {task.command}"] if task.command else []
            lines += [f"    depends_on: [{', '.join(task.after)}]"] if task.after else []
        _write(folder / f"{each.name}.dag.yaml", lines)


_GUSTY = """\
from pathlib import Path

from airflow.sdk import get_parsing_context
from gusty import create_dags

create_dags(
    str(Path(__file__).parent / "pipelines"),
    globals(),
    current_dag_id=get_parsing_context().dag_id,
    latest_only=False,
)
"""


def gusty(folder: Path, pipelines: tuple[Pipeline, ...]) -> None:
    """A folder a DAG, a file a task. Given the parsing context, which it can use."""
    (folder / "loader.py").write_text(_GUSTY)
    for each in pipelines:
        own = folder / "pipelines" / each.name
        own.mkdir(parents=True)
        lines = [
            f"description: {each.description}",
            f'schedule: "{each.cron}"',
            "catchup: false",
            f"tags: [{', '.join(each.tags)}]",
            f"doc_md: {each.description}",
            "default_args:",
            f"  owner: {each.owner}",
            "  start_date: !datetime [2026, 1, 1]",
            "  retries: 3",
            "  retry_delay: !timedelta 'seconds: 30'",
            "  retry_exponential_backoff: 2.0",
            "  max_retry_delay: !timedelta 'minutes: 10'",
        ]
        _write(own / "METADATA.yml", lines)
        for task in each.tasks:
            _write(own / f"{task.name}.yml", _gusty_task(task))


def _gusty_task(task: Task) -> list[str]:
    lines = [f"operator: {task.operator}"]
    lines += [f"bash_command: {task.command}"] if task.command else []
    return lines + ([f"dependencies: [{', '.join(task.after)}]"] if task.after else [])


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n")
