"""One DAG of dag-factory as the keys and values of a pipeline file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sluicegate.migrate.grouping import Grouping, by_id
from sluicegate.migrate.item import Item, Items
from sluicegate.migrate.lineage import Lineage
from sluicegate.migrate.mapping import referred
from sluicegate.migrate.names import names_of
from sluicegate.migrate.note import Notes
from sluicegate.migrate.notifying import CALLBACKS, callback
from sluicegate.migrate.operators import BASE_ARGUMENTS, Lookup
from sluicegate.migrate.retrying import RETRY_KEYS, retries_of
from sluicegate.migrate.task import Tasks, readdressed, stand_in
from sluicegate.migrate.timing import TIMING_KEYS, schedule_of
from sluicegate.migrate.values import Lost, Values, callable_of, duration, paired_callables
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["pipeline_of"]

_OF_THE_FILE = frozenset({"owner", "start_date", "end_date", "timezone", *RETRY_KEYS})
"""Keys of `default_args` that the pipeline says for all of its steps."""
_PASSED_ON = ("dag_display_name", "template_searchpath", "render_template_as_native_obj", "access_control")
"""DAG arguments that go to Airflow as they are."""
_WITHOUT = {
    "default_view": "Airflow 3 has one view",
    "orientation": "Airflow 3 has one orientation",
    "sla_miss_callback": "Airflow 3 has no SLAs",
    "on_execute_callback": "dag-factory does not hand it to a DAG",
    "on_retry_callback": "a DAG has none",
    "on_skipped_callback": "a DAG has none",
    "doc_md_python_callable_name": "put the text into `description`, or into the playbook",
    "doc_md_python_callable_file": "put the text into `description`, or into the playbook",
    "doc_md_python_arguments": "put the text into `description`, or into the playbook",
    "dag_id": "dag-factory takes the key above it",
    "extends": "dag-factory 1.1 does not look at it: write out what the other DAG says",
}
_READ = frozenset({
    "default_args", "description", "doc_md", "doc_md_file_path", "tags", "max_active_runs", "is_paused_upon_creation",
    "params", "tasks", "task_groups", "user_defined_macros", "concurrency", "max_active_tasks", "dagrun_timeout",
    "dagrun_timeout_sec", "on_success_callback", "on_failure_callback", *TIMING_KEYS, *_PASSED_ON,
})  # fmt: skip
_PARAMS = ("Param",)


def pipeline_of(dag: Item, label: str | None, notes: Notes, lookup: Lookup, today: date) -> dict[str, Any]:
    """The pipeline. What has no counterpart is noted.

    :param label: what Airflow shows in place of the pipeline's name, unless the DAG says it

    :raises PipelineErrors: for what dag-factory itself would refuse
    :raises Lost: for a value of the DAG that is none
    """
    values = Values(notes, dag.file.parent)
    conf = paired_callables(dag.items, values, ())
    default_args = paired_callables(_mapping(conf, "default_args"), values, ())
    grouping = Grouping(
        by_id(conf.get("tasks"), "task_id", "task"), by_id(conf.get("task_groups"), "group_name", "group")
    )
    if not grouping.tasks:
        raise dag.refused("this DAG has no tasks")
    pipeline: dict[str, Any] = {"sluicegate": 1}
    pipeline |= _words(conf, values)
    if (owner := default_args.get("owner")) is not None and owner.value:
        pipeline["owner"] = values.plain(owner, ("owner",))
    if (tags := conf.get("tags")) is not None and tags.value:
        said = values.plain(tags, ("tags",))
        pipeline["tags"] = [str(tag) for tag in (said if isinstance(said, list) else [said])]
    pipeline["schedule"] = schedule_of(conf, default_args, values, today)
    for key, ours in (("max_active_runs", "max_active_runs"), ("is_paused_upon_creation", "paused")):
        if key in conf and conf[key].value is not None:
            pipeline[ours] = values.plain(conf[key], (ours,))
    if params := _params(conf, pipeline["schedule"], values):
        pipeline["params"] = params
    pipeline["retries"] = retries_of(default_args, notes, ("retries",))
    if pipeline["retries"]:
        message = "the fault decides whether a step is tried again at all: bad data and wrong code are not"
        notes.add(default_args["retries"], ("retries",), message)
    shown = {"dag_display_name": label} if label is not None else {}
    if arguments := {**shown, **_dag_arguments(conf, values)}:
        pipeline["dag"] = arguments
    lineage = Lineage(values, _all_before(grouping.upstream))
    steps = _steps(grouping, conf, default_args, values, lookup, lineage)
    if lineage.datasets:
        pipeline["datasets"] = lineage.datasets
    pipeline["steps"] = steps
    _note_the_rest(conf, default_args, grouping, steps, lookup, notes)
    return pipeline


def _mapping(conf: Items, key: str) -> Items:
    return conf[key].mapping(f"`{key}`") if key in conf else {}


def _words(conf: Items, values: Values) -> dict[str, Any]:
    """`description`, into which the DAG's docs go too."""
    said = [conf[key] for key in ("description", "doc_md") if key in conf and conf[key].value]
    texts = [str(values.plain(item, ("description",))).strip("\n") for item in said]
    if (path := conf.get("doc_md_file_path")) is not None:
        file = Path(str(path.value))
        if file.is_file():
            texts.append(file.read_text("utf-8", "replace").strip("\n"))
            values.notes.add(path, ("description",), f"`doc_md_file_path`: the text of {file} is copied here")
        else:
            values.notes.add(path, ("description",), f"`doc_md_file_path` left out: there is no {file} here")
    if not texts:
        return {}
    return {"description": texts[0] if len(texts) == 1 and "\n" not in texts[0] else "\n\n".join(texts) + "\n"}


def _params(conf: Items, schedule: Any, values: Values) -> dict[str, Any]:
    given = _mapping(conf, "params")
    scheduled = schedule == "once" or (isinstance(schedule, dict) and bool({"cron", "timetable"} & set(schedule)))
    names = names_of(given, taken=("dry_run", "force"))
    found: dict[str, Any] = {}
    for key, item in given.items():
        name = names[key]
        where: Where = ("params", name)
        if name != key:
            values.notes.add(item, where, f"the param `{key}` is called `{name}`: write that in templates too")
        found[name] = _param(item, values, where)
        if scheduled and isinstance(found[name], dict) and "default" not in found[name]:
            found[name]["default"] = None
            values.notes.add(item, where, "had no default, which a scheduled run needs: null")
    return found


def _param(item: Item, values: Values, where: Where) -> Any:
    if not isinstance(item.value, dict):
        value = values.plain(item, where)
        return {"type": "array", "default": value} if isinstance(value, list) else value
    kind = str(item.value["__type__"].value) if "__type__" in item.value else ""
    if kind.rpartition(".")[2] not in _PARAMS:
        return {"type": "object", "default": values.plain(item, where)}
    said = {
        key: values.plain(one, (*where, key)) for key, one in item.value.items() if key not in ("__type__", "__args__")
    }
    args = item.value["__args__"].value if "__args__" in item.value else []
    if args:
        said = {"default": values.plain(args[0], where), **said}
    schema = said.pop("schema", {})
    return {**(schema if isinstance(schema, dict) else {}), **said}


def _dag_arguments(conf: Items, values: Values) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in _PASSED_ON:
        if key in conf and conf[key].value is not None:
            found[key] = values.plain(conf[key], ("dag", key))
    # dag-factory takes `concurrency` where there are both.
    if (most := values.notes.first(conf, ("concurrency", "max_active_tasks"), ("dag",))) is not None:
        found["max_active_tasks"] = values.plain(most, ("dag", "max_active_tasks"))
    if (limit := values.notes.first(conf, ("dagrun_timeout", "dagrun_timeout_sec"), ("dag",))) is not None:
        found["dagrun_timeout"] = format_duration(duration(limit))
    for key in ("on_success_callback", "on_failure_callback"):
        if key in conf and conf[key].value is not None:
            found |= callback(key, conf[key], values, ("dag",))
    if (macros := conf.get("user_defined_macros")) is not None and macros.value:
        found |= _macros(macros, values)
    return found


def _macros(macros: Item, values: Values) -> dict[str, Any]:
    plain = {}
    for name, item in macros.mapping("`user_defined_macros`").items():
        if isinstance(item.value, dict):
            message = f"the macro `{name}` left out: macros within macros cannot be said here"
            values.notes.add(item, ("dag",), message)
        elif isinstance(item.value, str):
            plain[name] = callable_of(item)
        else:
            plain[name] = values.plain(item, ("dag", "user_defined_macros", name))
    return {"user_defined_macros": plain} if plain else {}


def _all_before(upstream: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}

    def of(task: str) -> frozenset[str]:
        if task not in found:
            direct = upstream[task]
            found[task] = frozenset(direct).union(*(of(each) for each in direct))
        return found[task]

    for task in upstream:
        of(task)
    return found


def _steps(
    grouping: Grouping, conf: Items, default_args: Items, values: Values, lookup: Lookup, lineage: Lineage
) -> dict[str, Any]:
    native = "render_template_as_native_obj" in conf and conf["render_template_as_native_obj"].value is True
    inherited = {key: item for key, item in default_args.items() if key not in _OF_THE_FILE}
    retry = {key: item for key, item in default_args.items() if key in RETRY_KEYS}
    lineage.expect(grouping.tasks)
    many = [task for task, item in grouping.tasks.items() if "expand" in item.items]
    tasks = Tasks(values, lookup, grouping.steps, many, {**inherited, **retry}, native, lineage)
    steps: dict[str, Any] = {}
    for task, item in grouping.tasks.items():
        name = grouping.steps[task]
        where: Where = ("steps", name)
        if name != task:
            values.notes.add(item, where, f"the task `{task}` is called `{name}`")
        lineage.task = task
        group_defaults = paired_callables(grouping.defaults(task), values, where)
        after = grouping.upstream[task]
        try:
            step, after = tasks.step(item, group_defaults, after, where)
        except Lost as lost:
            step = stand_in(str(lost), task)
            after = [*after, *referred(item, grouping.steps, plus="decorator" in item.items)]
            values.notes.add(lost.item, where, f"{lost}. This step fails until it is written", lost=True)
        made_of = step["for_each"].get("output_of") if isinstance(step.get("for_each"), dict) else None
        names = [grouping.steps[each] for each in dict.fromkeys(after) if grouping.steps[each] != made_of]
        if (group := grouping.group_of(task)) is not None:
            step["group"] = grouping.paths[group]
        if names:
            step["after"] = names[0] if len(names) == 1 else names
        steps[name] = _ordered(step)
    return _with_new_ids(grouping, steps, values.notes)


_ORDER = (
    "description", "operator", "with", "for_each", "reads", "writes", "after", "group", "trigger_rule", "pool",
    "retries", "timeout",
)  # fmt: skip


def _ordered(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: step[key] for key in _ORDER if key in step}


def _with_new_ids(grouping: Grouping, steps: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """The steps with the new task ids in their templates; other DAGs may know the old ones."""
    ids = {old: new for task, new in grouping.steps.items() if (old := grouping.airflow_id(task)) != new}
    for task, item in grouping.tasks.items():
        old, new = grouping.airflow_id(task), grouping.steps[task]
        if old != new and grouping.group_of(task) is not None:
            notes.add(item, ("steps", new), f"its task id was `{old}` and is `{new}`: a group is not part of it")
    found = {}
    for task, name in grouping.steps.items():
        found[name] = readdressed(steps[name], ids)
        if found[name] != steps[name]:
            notes.add(grouping.tasks[task], ("steps", name, "with"), "the task ids in its templates are the new ones")
    _note_groups(grouping, notes)
    return found


def _note_groups(grouping: Grouping, notes: Notes) -> None:
    """What a group says beside its name."""
    for group, item in grouping.groups.items():
        members = grouping.members(group)
        first: Where = ("steps", grouping.steps[members[0]]) if members else ("steps",)
        if not members:
            notes.add(item, first, f"the group `{group}` left out: no task is in it")
        said = set(item.items) - {"default_args", "dependencies", "parent_group_name", "prefix_group_id", "group_id"}
        for key in sorted(said):
            notes.add(item.items[key], first, f"`{key}` of the group `{group}` left out: a group has a name only")


def _note_the_rest(
    conf: Items,
    default_args: Items,
    grouping: Grouping,
    steps: Mapping[str, Any],
    lookup: Lookup,
    notes: Notes,
) -> None:
    """Keys without a counterpart: each gets a note."""
    for key, item in conf.items():
        if key in _WITHOUT:
            notes.add(item, ("sluicegate",), f"`{key}` left out: {_WITHOUT[key]}")
        elif key not in _READ:
            notes.add(item, ("sluicegate",), f"`{key}` left out: dag-factory does not look at it")
    known = [lookup(step["operator"]) for step in steps.values()]
    taken = BASE_ARGUMENTS.union(*(each.arguments for each in known if each is not None))
    for key, item in default_args.items():
        if key not in taken | _OF_THE_FILE | set(CALLBACKS):
            notes.add(item, ("sluicegate",), f"`{key}` of `default_args` left out: no operator here takes it")
