"""One task of dag-factory as a step."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.migrate.item import Item, Items
from sluicegate.migrate.lineage import Lineage
from sluicegate.migrate.mapping import Mapped, Reference, mapped, reference
from sluicegate.migrate.notifying import CALLBACKS, callback
from sluicegate.migrate.operators import BASE_ARGUMENTS, DECORATORS, Known, Lookup, present_path
from sluicegate.migrate.retrying import RETRY_KEYS, retries_of
from sluicegate.migrate.values import Lost, Values, callable_of, duration, paired_callables
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.steps import TRIGGER_RULES
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["Tasks", "readdressed", "stand_in"]

_BASH = "airflow.providers.standard.operators.bash.BashOperator"
_OLD_RULES = {"dummy": "always", "none_failed_or_skipped": "none_failed_min_one_success"}
_FUNCTIONS = frozenset({"python_callable", "execution_date_fn", "response_check", "success", "failure", "selector"})
_DURATIONS = frozenset({"execution_delta", "max_retry_delay"})
_CALLED_WITH = frozenset({
    "op_args", "op_kwargs", "templates_dict", "templates_exts", "show_return_value_in_logs", "requirements",
    "python_version", "system_site_packages", "venv_cache_path", "python", "mode", "poke_interval", "timeout",
    "soft_fail", "use_dill", "serializer", "expect_airflow", "string_args", "ignore_downstream_trigger_rules",
})  # fmt: skip
"""Arguments of the operators behind decorators; all others are the function's own."""
_DROPPED = {
    "sla": "Airflow 3 has no SLAs: `fresh_within` says how old the data may become",
    "sla_secs": "Airflow 3 has no SLAs: `fresh_within` says how old the data may become",
    "parent_group_name": "dag-factory does not look at it in a task",
    "pre_execute": "a step's own comes first: `on_execute_callback` is called before it as well",
    "task_concurrency": "Airflow calls it `max_active_tis_per_dag` now, and so does dag-factory",
}
_OURS = frozenset({
    "operator", "decorator", "dependencies", "task_group_name", "trigger_rule", "pool", "execution_timeout",
    "execution_timeout_secs", "doc", "inlets", "outlets", "expand", "partial", "variables_as_arguments",
    "map_index_template", *RETRY_KEYS, *CALLBACKS, *_DROPPED,
})  # fmt: skip


@dataclass(frozen=True)
class Tasks:
    """What all tasks of a DAG have in common.

    `steps` are the steps by task, `many` the tasks that are mapped, `native` is the DAG's own setting.
    """

    values: Values
    lookup: Lookup
    steps: Mapping[str, str]
    many: Collection[str]
    defaults: Items
    native: bool
    lineage: Lineage

    def step(
        self, task: Item, group_defaults: Items, after: list[str], where: Where
    ) -> tuple[dict[str, Any], list[str]]:
        """The step, without `group` and `after`; and the tasks it comes after.

        :raises Lost: when the task cannot be a step
        """
        path, decorated = self._operator(task, where)
        known = self.lookup(path)
        if known is None:
            self.values.notes.add(task, where, f"`{path}` is not installed here: its arguments were not looked at")
        conf = paired_callables(self._with_defaults(task.items, group_defaults, known), self.values, where)
        step: dict[str, Any] = {}
        if (doc := conf.get("doc")) is not None:
            step["description"] = str(self.values.plain(doc, (*where, "description")))
        step["operator"] = path
        over, before = self._mapped(conf, decorated, where)
        arguments, more = self._arguments(conf, decorated, over, where)
        if over is not None and over.native and not self.native:
            arguments["render_template_as_native_obj"] = True
            message = "items keep their types by native templates: a text such as `1` becomes a number in any of these"
            self.values.notes.add(conf["expand"], (*where, "with"), message)
        self._check_templates(over, known, conf)
        if arguments:
            step["with"] = arguments
        step |= self.lineage.of(task, conf, where)
        if over is not None:
            step["for_each"] = self._for_each(over, conf, where)
        step |= self._plain_keys(task.items, group_defaults, conf, where)
        return step, list(dict.fromkeys([*after, *before, *more]))

    def _operator(self, task: Item, where: Where) -> tuple[str, bool]:
        if (operator := task.items.get("operator")) is not None:
            path = present_path(str(operator.value))
            if path != operator.value:
                message = f"was `{operator.value}`, which moved there in Airflow 3"
                self.values.notes.add(operator, (*where, "operator"), message, once=True)
            return path, False
        decorator = task.items.get("decorator")
        if decorator is None:
            raise task.refused("a task needs an `operator` or a `decorator`")
        words = re.sub(r"^airflow\.(decorators|sdk(\.definitions)?(\.decorators)?)\.", "", str(decorator.value))
        if words not in DECORATORS:
            raise Lost(decorator, f"the decorator `{decorator.value}` has no operator that calls the function alike")
        return DECORATORS[words], True

    def _with_defaults(self, own: Items, group: Items, known: Known | None) -> dict[str, Item]:
        """The task's own keys, and those defaults that its operator takes, as Airflow gives them."""
        takes = BASE_ARGUMENTS | (known.arguments if known is not None else frozenset())
        takes |= {f"{name}{end}" for name in CALLBACKS for end in ("_name", "_file")}
        inherited = {**self.defaults, **group}
        return {**{key: item for key, item in inherited.items() if key in takes}, **own}

    def _mapped(self, conf: Items, decorated: bool, where: Where) -> tuple[Mapped | None, list[str]]:
        if "expand" not in conf:
            if "partial" in conf:
                raise Lost(conf["partial"], "`partial` without `expand` maps over nothing")
            return None, []
        over = mapped(conf["expand"], self.steps, self.values, where, plus=decorated)
        return over, []

    def _arguments(
        self, conf: Items, decorated: bool, over: Mapped | None, where: Where
    ) -> tuple[dict[str, Any], list[str]]:
        """`with:`, and the tasks whose results are in it."""
        within = (*where, "with")
        partial = conf["partial"].mapping("`partial`") if "partial" in conf else {}
        given = {**{key: item for key, item in conf.items() if key not in _OURS}, **partial}
        arguments: dict[str, Any] = {}
        called: dict[str, Any] = {}
        before: list[str] = []
        for key, item in given.items():
            own = decorated and key not in (BASE_ARGUMENTS | _CALLED_WITH | _FUNCTIONS)
            found = reference(item, self.steps, plus=decorated) if own else None
            if found is not None:
                called[key] = self._result(found)
                before.append(found.task)
            elif own:
                called[key] = self.values.plain(item, (*within, "op_kwargs", key))
            else:
                arguments[key] = self._argument(key, item, within)
        for key, item in conf.items():
            if key in CALLBACKS and item.value is not None:
                arguments |= callback(key, item, self.values, within)
        if over is not None:
            (called if decorated else arguments).update(over.arguments)
        if called:
            arguments["op_kwargs"] = {**arguments.get("op_kwargs", {}), **called}
        if before and not self.native:
            arguments["render_template_as_native_obj"] = True
        arguments |= self._variables(conf, within)
        self._json_data(conf, arguments)
        return arguments, before

    def _result(self, found: Reference) -> str:
        """A template that is the result; of a mapped task a list, also when there was one item."""
        step = f"'{self.steps[found.task]}'"
        pulled = f"[{step}]" if found.task in self.many else step
        key = f", key='{found.key}'" if found.key is not None else ""
        return f"{{{{ ti.xcom_pull(task_ids={pulled}{key}) }}}}"

    def _argument(self, key: str, item: Item, within: Where) -> Any:
        if key in _FUNCTIONS and isinstance(item.value, str):
            return callable_of(item)
        if key in _DURATIONS and item.value is not None:
            return format_duration(duration(item))
        return self.values.plain(item, (*within, key))

    def _variables(self, conf: Items, within: Where) -> dict[str, str]:
        item = conf.get("variables_as_arguments")
        if item is None or item.value is None:
            return {}
        found: dict[str, str] = {}
        for one in item.value if isinstance(item.value, list) else [item]:
            if not {"variable", "attribute"} <= set(one.items):
                raise Lost(item, "`variables_as_arguments` is a list of `{variable: …, attribute: …}`")
            name, attribute = one.items["variable"].text, one.items["attribute"].text
            found[attribute] = f"{{{{ var.value.get('{name}', '') }}}}"
            message = "the Variable was read with the file, and is read by the run now; without one it is an empty text"
            self.values.notes.add(one, (*within, attribute), message)
        return found

    def _json_data(self, conf: Items, arguments: dict[str, Any]) -> None:
        """dag-factory sends the data of an HTTP request as JSON where its header says so."""
        headers, data = arguments.get("headers"), arguments.get("data")
        http = str(conf["operator"].value).endswith("HttpOperator") if "operator" in conf else False
        if http and isinstance(headers, dict) and isinstance(data, dict):
            kind = next((str(value) for name, value in headers.items() if name.lower() == "content-type"), "")
            if "application/json" in kind.lower():
                arguments["data"] = json.dumps(data)

    def _check_templates(self, over: Mapped | None, known: Known | None, conf: Items) -> None:
        """An item reaches an operator by a template only."""
        if over is None or known is None or "expand" not in conf:
            return
        lost = [name for name in over.arguments if name not in known.templated and name in known.arguments]
        if lost:
            raise Lost(conf["expand"], f"the operator renders no template in `{lost[0]}`, so no item reaches it")

    def _for_each(self, over: Mapped, conf: Items, where: Where) -> Any:
        label = conf.get("map_index_template")
        if label is None or label.value is None:
            return over.for_each
        long = over.for_each if isinstance(over.for_each, dict) else {"items": over.for_each}
        return {**long, "label": self.values.plain(label, (*where, "for_each", "label"))}

    def _plain_keys(self, own: Items, group: Items, conf: Items, where: Where) -> dict[str, Any]:
        """The keys of any step."""
        found: dict[str, Any] = {}
        if (rule := conf.get("trigger_rule")) is not None and rule.value is not None:
            word = _OLD_RULES.get(str(rule.value), str(rule.value))
            if word not in TRIGGER_RULES:
                raise Lost(rule, f"there is no trigger rule `{rule.value}`")
            found["trigger_rule"] = word
        if (pool := conf.get("pool")) is not None and pool.value is not None:
            found["pool"] = self.values.plain(pool, (*where, "pool"))
        limit = self.values.notes.first(conf, ("execution_timeout", "execution_timeout_secs"), where)
        if limit is not None:
            found["timeout"] = format_duration(duration(limit))
        if {*own, *group} & set(RETRY_KEYS):
            found["retries"] = retries_of(conf, self.values.notes, (*where, "retries"))
        for key, reason in _DROPPED.items():
            if key in conf:
                self.values.notes.add(conf[key], where, f"`{key}` left out: {reason}")
        return found


def stand_in(reason: str, task: str) -> dict[str, Any]:
    """A step in the place of a task that cannot be converted: it fails, and says why."""
    words = re.sub(r"['\"{}\n]", " ", f"{task} was not converted from dag-factory: {reason}")
    return {"operator": _BASH, "with": {"bash_command": f"echo '{words}' >&2; exit 1"}, "retries": 0}


def readdressed(value: Any, ids: Mapping[str, str]) -> Any:
    """`value` with new task ids where a template of it names tasks, in quotes, by their old ones."""
    if isinstance(value, dict):
        return {key: readdressed(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [readdressed(item, ids) for item in value]
    if not isinstance(value, str) or not ("{{" in value or "{%" in value):
        return value
    for old, new in ids.items():
        value = re.sub(rf"""(['"]){re.escape(old)}\1""", rf"\1{new}\1", value)
    return value
