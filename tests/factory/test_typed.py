"""Arguments of operators and of the DAG get the type that their target's annotation asks for, or a placed error."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest
from airflow.sdk import DAG, Asset, BaseNotifier, BaseOperator, Param
from airflow.serialization.serialized_objects import DagSerialization

from sluicegate.factory.arguments.coerce import Typist
from sluicegate.factory.arguments.operators import typed_arguments
from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.pipeline import PipelineErrors
from tests.factory.files import dags_of, write

if TYPE_CHECKING:
    from nowhere import OnlyForCheckers

T = TypeVar("T")
HERE = __name__
HEAD = 'sluicegate: 1\nschedule: {cron: "@daily", timezone: Europe/Berlin, start: 2026-01-01}\n'
BERLIN = "Europe/Berlin"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Wide(BaseOperator):
    """One argument of each sort."""

    template_fields = ("words", "number", "table")

    def __init__(
        self,
        *,
        words: str = "",
        number: int = 0,
        share: float = 0.0,
        flag: bool = False,
        pause: dt.timedelta | None = None,
        moment: dt.datetime | None = None,
        day: dt.date | None = None,
        hour: dt.time | None = None,
        either: dt.timedelta | float | None = None,
        text_or_moment: str | dt.datetime = "",
        colour: Colour = Colour.RED,
        mode: Literal["poke", "wait"] = "poke",
        call: Callable[..., Any] | None = None,
        calls: Callable[..., Any] | Collection[Callable[..., Any]] | None = None,
        pauses: list[dt.timedelta] | None = None,
        names: set[str] | None = None,
        several: str | Sequence[str] = "",
        table: dict[str, int] | None = None,
        where: Path | None = None,
        checked: OnlyForCheckers | None = None,
        free: T | None = None,
        untyped=None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)


class Notifier(BaseNotifier):
    def __init__(self, *, pause: dt.timedelta, to: str = "all") -> None:
        super().__init__()
        self.pause, self.to = pause, to

    def notify(self, context: Any) -> None: ...


def called(*_: Any) -> None: ...


def typed(name: str, value: Any) -> tuple[Any, list[UnplacedDiagnostic]]:
    typist = Typist(Path(__file__).parents[2], BERLIN, [])
    return typed_arguments(Wide, {name: value}, ("with",), typist)[name], typist.diagnostics


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("words", "x", "x"),
        ("number", 3, 3),
        ("number", "{{ params.n }}", "{{ params.n }}"),
        ("share", 1, 1),
        ("flag", True, True),
        ("pause", "90s", dt.timedelta(seconds=90)),
        ("pause", None, None),
        ("either", "1h30m", dt.timedelta(minutes=90)),
        ("either", 2.5, 2.5),
        ("moment", "2026-01-31T07:00:00+00:00", dt.datetime(2026, 1, 31, 7, tzinfo=dt.UTC)),
        ("day", "2026-01-31", dt.date(2026, 1, 31)),
        ("hour", "07:30", dt.time(7, 30)),
        ("text_or_moment", "2026-01-31", "2026-01-31"),
        ("colour", "blue", Colour.BLUE),
        ("mode", "wait", "wait"),
        ("call", f"{HERE}:called", called),
        ("calls", f"{HERE}:called", called),
        ("calls", [f"{HERE}:called"], [called]),
        ("pauses", ["1s", "2s"], [dt.timedelta(seconds=1), dt.timedelta(seconds=2)]),
        ("names", ["a", "b"], {"a", "b"}),
        ("several", "a", "a"),
        ("several", ["a"], ["a"]),
        ("table", {"a": 1}, {"a": 1}),
        ("table", {"class": 1}, {"class": 1}),
        ("table", {"a": "{{ params.n }}"}, {"a": "{{ params.n }}"}),
        ("where", "/tmp/x", Path("/tmp/x")),
        ("checked", {"any": ["thing"]}, {"any": ["thing"]}),
        ("free", 5, 5),
        ("untyped", "30s", "30s"),
        ("retry_delay", "5m", dt.timedelta(minutes=5)),
        ("trigger_rule", "all_done", "all_done"),
        ("weight_rule", "upstream", "upstream"),
        ("executor_config", {"a": {"b": 1}}, {"a": {"b": 1}}),
        ("outlets", {"class": "airflow.sdk.Asset", "with": {"name": "x"}}, Asset("x")),
        ("outlets", [{"class": "airflow.sdk.Asset", "with": {"name": "x"}}], [Asset("x")]),
    ],
)
def test_a_value_gets_the_type_of_its_target(name: str, value: Any, expected: Any) -> None:
    assert typed(name, value) == (expected, [])


def test_a_moment_without_a_zone_is_in_the_schedule_s() -> None:
    moment, unplaced = typed("moment", "2026-07-01")
    assert unplaced == []
    assert moment.utcoffset() == dt.timedelta(hours=2)


@pytest.mark.parametrize(
    ("name", "value", "said", "suggestion"),
    [
        ("words", 5, "expected text, not 5: write it in quotes", None),
        ("number", 1.5, "expected a whole number, not 1.5", None),
        ("number", True, "expected a whole number, not true", None),
        ("share", "much", "expected a number, not 'much'", None),
        ("flag", "yes", "expected true or false, not 'yes'", "true"),
        ("flag", "{{ x }}", "no template is filled in here", None),
        ("pause", "soon", "expected a duration such as 30s or 1h, not 'soon'", None),
        ("pause", 30, "expected a duration such as 30s or 1h, not 30", None),
        ("either", "soon", "expected a number or a duration such as 30s or 1h, not 'soon'", None),
        ("moment", "2026-02-30", "expected a moment", None),
        ("day", "today", "expected a day", None),
        ("hour", "noon", "expected a time of day", None),
        ("colour", "rde", "expected one of red, blue, not 'rde'", "red"),
        ("mode", "pook", "expected one of poke, wait, not 'pook'", "poke"),
        ("trigger_rule", "all_don", "expected one of all_success", "all_done"),
        ("call", f"{HERE}:calld", "has no function `calld`", f"{HERE}:called"),
        ("call", f"{HERE}.called", "expected module:function", f"{HERE}.called:function"),
        ("call", f"{HERE}:BERLIN", "is not a function", None),
        ("call", 5, "expected module:function, not 5", None),
        ("calls", [f"{HERE}:calld"], "has no function `calld`", f"{HERE}:called"),
        ("pauses", ["1s", "x"], "expected a duration", None),
        ("pauses", "1s", "expected a list, not '1s'", None),
        ("table", {"a": "x"}, "expected a whole number, not 'x'", None),
        ("table", [1], "expected keys and values, not a list", None),
        ("retries", "many", "expected a whole number, not 'many'", None),
        ("call", {"class": f"{HERE}.Notifer"}, "has no `Notifer`", f"{HERE}.Notifier"),
        ("call", {"class": f"{HERE}.Notifier"}, "Notifier needs `pause`", None),
        ("call", {"class": f"{HERE}.Notifier", "with": {"pause": "1s", "too": "x"}}, "takes no argument `too`", "to"),
        ("call", {"class": f"{HERE}.Notifier", "with": {"pause": "x"}}, "expected a duration", None),
    ],
)
def test_a_value_of_another_type_is_a_problem(name: str, value: Any, said: str, suggestion: str | None) -> None:
    _, [diagnostic] = typed(name, value)
    assert said in diagnostic.message
    assert diagnostic.where[:2] == ("with", name)
    assert diagnostic.suggestion == suggestion


def test_problems_inside_values_are_placed_inside_them() -> None:
    given = {"pauses": ["1s", "x"], "table": {"a": "x"}, "call": {"class": f"{HERE}.Notifier", "with": {"pause": "x"}}}
    typist = Typist(Path(), "UTC", [])
    typed_arguments(Wide, given, (), typist)
    assert [diagnostic.where for diagnostic in typist.diagnostics] == [
        ("pauses", 1), ("table", "a"), ("call", "with", "pause"),
    ]  # fmt: skip


def test_an_object_is_made_of_its_class() -> None:
    made, unplaced = typed("calls", [{"class": f"{HERE}.Notifier", "with": {"pause": "2m"}}])
    assert unplaced == []
    assert isinstance(made[0], Notifier)
    assert (made[0].pause, made[0].to) == (dt.timedelta(minutes=2), "all")


def operators() -> list[type[BaseOperator]]:
    """All that the standard provider has."""
    import airflow.providers.standard as provider

    found = []
    for module in pkgutil.walk_packages(provider.__path__, f"{provider.__name__}.", onerror=lambda _: None):
        if ".operators." in module.name or ".sensors." in module.name:
            found += [
                value
                for value in vars(importlib.import_module(module.name)).values()
                if inspect.isclass(value) and issubclass(value, BaseOperator) and value.__module__ == module.name
            ]
    return found


def test_no_operator_s_own_defaults_are_refused() -> None:
    typist = Typist(Path(), "UTC", [])
    checked = 0
    for operator in operators():
        given: dict[str, Any] = {}
        for kind in operator.__mro__:
            for parameter in inspect.signature(vars(kind).get("__init__", object)).parameters.values():
                if type(parameter.default) in (str, int, bool, float, list, dict):
                    given.setdefault(parameter.name, parameter.default)
        typed_arguments(operator, given, (operator.__name__,), typist)
        checked += len(given)
    assert typist.diagnostics == []
    assert checked > 500


@pytest.fixture
def functions(root: Path) -> Any:
    (root / "typed_code.py").write_text(
        "def alarm(context): pass\ndef twice(value): return 2 * value\ndef dates(logical_date): return [logical_date]\n"
    )
    yield
    sys.modules.pop("typed_code", None)


def dag_of(root: Path, text: str) -> DAG:
    write(root, it=HEAD + text)
    dag = dags_of(root, "it.yaml")[0]
    dag.validate()
    assert DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag)))).dag_id == "it"
    return dag


def test_arguments_of_the_dag_and_of_operators_arrive_typed(root: Path, functions: None) -> None:
    dag = dag_of(
        root,
        "params: {n: {type: integer, minimum: 1, default: 3}}\n"
        "dag:\n"
        "  dagrun_timeout: 2h\n"
        "  on_failure_callback: [typed_code:alarm]\n"
        "  user_defined_macros: {twice: typed_code:twice, answer: 42}\n"
        "  user_defined_filters: {twice: typed_code:twice}\n"
        "  max_active_tasks: 3\n"
        "  owner_links: {me: https://example.com}\n"
        "  render_template_as_native_obj: true\n"
        "steps:\n"
        "  a:\n"
        "    operator: airflow.providers.standard.sensors.external_task.ExternalTaskSensor\n"
        "    with:\n"
        "      external_dag_id: other\n"
        "      execution_delta: 1h\n"
        "      poke_interval: 30s\n"
        "      on_failure_callback: typed_code:alarm\n"
        "      trigger_rule: all_done\n"
        "  b:\n"
        "    operator: airflow.providers.standard.operators.python.PythonOperator\n"
        "    with: {python_callable: typed_code:dates, execution_timeout: 5m, start_date: 2026-02-01}\n",
    )
    assert dag.dagrun_timeout == dt.timedelta(hours=2)
    assert [callback.__name__ for callback in dag.on_failure_callback] == ["alarm"]
    assert dag.max_active_tasks == 3
    assert dag.get_template_env().from_string("{{ 2 | twice + answer + twice(1) }}").render() == 48
    assert isinstance(dag.params.get_param("n"), Param)
    assert dag.params.get_param("n").schema["minimum"] == 1
    sensor, python = dag.get_task("a"), dag.get_task("b")
    assert (sensor.execution_delta, sensor.poke_interval) == (dt.timedelta(hours=1), 30)
    assert [callback.__name__ for callback in sensor.on_failure_callback] == ["alarm"]
    assert python.python_callable("x") == ["x"]
    assert python.start_date == dt.datetime(2026, 1, 31, 23, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dag: {dagrun_timeout: soon}\n", r"it\.yaml:3:23: error\[type\]: expected a duration"),
        (
            "dag: {on_failure_callback: typed_code:alrm}\n",
            r"it\.yaml:3:28: .*`alrm`(.|\n)*did you mean `typed_code:alarm`",
        ),
        ("dag: {sla_miss_callback: typed_code:alarm}\n", r"it\.yaml:3:7: .*`sla_miss_callback` is gone.*fresh_within"),
        ("dag: {schedule_interval: x}\n", r"it\.yaml:3:7: .*`schedule` at the top"),
        ("dag: {concurrency: 3}\n", r"it\.yaml:3:7: .*`max_active_tasks`"),
        ("dag: {max_active_tasks: many}\n", r"it\.yaml:3:25: .*a whole number"),
    ],
)
def test_mistakes_in_arguments_of_the_dag_are_placed(root: Path, functions: None, text: str, said: str) -> None:
    with pytest.raises(PipelineErrors, match=said):
        dag_of(root, text + "steps: {a: {operator: airflow.providers.standard.operators.empty.EmptyOperator}}\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{sla: 1h}", r"it\.yaml:4:\d+: .*`sla` is gone"),
        ("{pre_execute: typed_code:alarm}", r"it\.yaml:4:\d+: .*dry runs need it"),
        ("{retry_delay: later}", r"it\.yaml:4:\d+: error\[type\]: expected a number or a duration"),
        ("{execution_timeout: 5}", r"it\.yaml:4:\d+: error\[type\]: expected a duration"),
        ("{on_success_callback: [typed_code:alarm, nowhere:x]}", r"it\.yaml:4:\d+: error\[import\].*`nowhere`"),
    ],
)
def test_mistakes_in_arguments_of_a_step_are_placed(root: Path, functions: None, given: str, said: str) -> None:
    step = f"steps:\n  a: {{operator: airflow.providers.standard.operators.empty.EmptyOperator, with: {given}}}\n"
    with pytest.raises(PipelineErrors, match=said):
        dag_of(root, step)


def test_an_argument_that_is_gone_is_one_mistake(root: Path) -> None:
    step = "{operator: airflow.providers.standard.operators.empty.EmptyOperator}"
    text = f"dag: {{sla_miss_callback: x}}\nsteps: {{a: {step}}}\n"
    with pytest.raises(PipelineErrors) as error:
        dag_of(root, text)
    assert str(error.value).count("error[") == 1


def test_what_is_read_and_written_stays_beside_further_assets(root: Path) -> None:
    dag = dag_of(
        root,
        "datasets: {out: s3://b/out.csv}\nsteps:\n  a:\n"
        "    operator: airflow.providers.standard.operators.empty.EmptyOperator\n    writes: out\n"
        "    with: {outlets: [{class: airflow.sdk.Asset, with: {name: more}}]}\n",
    )
    assert [asset.name for asset in dag.get_task("a").outlets] == ["it.out", "more"]


def test_mappings_are_no_objects_where_mappings_are_wanted(root: Path) -> None:
    given: Mapping[str, Any] = {"table": {"class": 1, "with": 2}}
    typist = Typist(root, "UTC", [])
    assert typed_arguments(Wide, given, (), typist) == given
    assert typist.diagnostics == []
