"""Tasks of dag-factory as steps."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from sluicegate.migrate.operators import BASE_ARGUMENTS
from tests.migrate.conftest import BASH, EMPTY, INPUTS, Result, Shop

PYTHON = "airflow.providers.standard.operators.python.PythonOperator"


def step(done: Result, name: str = "t") -> dict[str, Any]:
    assert done.diagnostics == ()
    return dict(done.only["steps"][name])


def test_the_arguments_of_every_operator_are_airflows() -> None:
    parameters = inspect.signature(BaseOperator.__init__).parameters
    assert set(parameters) - {"self", "kwargs"} == BASE_ARGUMENTS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("airflow.operators.bash_operator.BashOperator", BASH),
        ("airflow.operators.dummy.DummyOperator", EMPTY),
        ("airflow.sensors.external_task_sensor.ExternalTaskSensor",
         "airflow.providers.standard.sensors.external_task.ExternalTaskSensor"),
        ("my_company.operators.Own", "my_company.operators.Own"),
    ],
)  # fmt: skip
def test_an_operator_of_airflow_2_is_found_where_it_is_now(shop: Shop, old: str, new: str) -> None:
    done = shop.convert(f"d:\n  tasks: {{t: {{operator: {old}}}}}\n")
    assert step(done)["operator"] == new
    assert bool(done.told("moved there")) == (old != new)
    assert bool(done.told("not installed here")) == new.startswith("my_company")


@pytest.mark.parametrize(
    ("said", "retries"),
    [
        ("retries: 3", {"count": 3, "delay": "5m", "max_delay": "5m"}),
        ("retries: 3\nretry_delay: 90", {"count": 3, "delay": "1m30s", "max_delay": "1m30s"}),
        ("retries: 3\nretry_delay_sec: 300", {"count": 3, "delay": "5m", "max_delay": "5m"}),
        (
            "retries: 3\nretry_delay: {__type__: datetime.timedelta, seconds: 10}\nretry_exponential_backoff: true",
            {"count": 3, "delay": "10s", "max_delay": "1d"},
        ),
        (
            "retries: 3\nretry_delay: 10\nretry_exponential_backoff: true\nmax_retry_delay: 600",
            {"count": 3, "delay": "10s", "max_delay": "10m"},
        ),
        ("retries: 0", 0),
    ],
)
def test_retries_of_a_task(shop: Shop, said: str, retries: Any) -> None:
    assert step(shop.task(said))["retries"] == retries


def test_a_dag_without_retries_has_none_here_too(shop: Shop) -> None:
    done = shop.task("pool: big")
    assert done.only["retries"] == 0
    assert "retries" not in step(done)


def test_the_keys_of_a_task(shop: Shop) -> None:
    done = shop.task("""
        pool: big
        trigger_rule: none_failed_or_skipped
        execution_timeout: {__type__: datetime.timedelta, minutes: 90}
        doc: What it does.
        doc_md: "*Really*"
        owner: me
        sla: 5
        """)
    assert step(done) == {
        "description": "What it does.",
        "operator": BASH,
        "with": {"bash_command": "echo", "doc_md": "*Really*", "owner": "me"},
        "trigger_rule": "none_failed_min_one_success",
        "pool": "big",
        "timeout": "1h30m",
    }
    assert done.told("`sla` left out")


def test_default_args_go_to_the_operators_that_take_them_and_others_are_told(shop: Shop) -> None:
    done = shop.convert(f"""
        d:
          default_args:
            start_date: 2025-01-01
            queue: big
            cwd: /tmp
            catchup: false
          tasks:
            a: {{operator: {BASH}, bash_command: echo}}
            b: {{operator: {EMPTY}, queue: small}}
        """)
    assert step(done, "a")["with"] == {"queue": "big", "cwd": "/tmp", "bash_command": "echo"}
    assert step(done, "b")["with"] == {"queue": "small"}
    [note] = done.told("`catchup` of `default_args` left out")
    assert note.line == 6


def test_dependencies_on_groups_are_those_of_their_tasks(shop: Shop) -> None:
    done = shop.of(INPUTS / "groups.yml")
    steps = done.only["steps"]
    assert {name: (each.get("after"), each.get("group")) for name, each in steps.items()} == {
        "begin": (None, None),
        "fetch": ("begin", "prepare"),
        "clean": ("fetch", "prepare.inner"),
        "copy": ("begin", "prepare.inner"),
        "post": (["clean", "copy"], "publish"),
        "end": (["post", "begin"], None),
    }
    assert steps["clean"]["retries"] == {"count": 4, "delay": "10s", "max_delay": "10s"}
    assert steps["clean"]["with"]["bash_command"] == "echo \"{{ ti.xcom_pull(task_ids='fetch') }}\""
    assert [note.line for note in done.told("its task id was `prepare.fetch` and is `fetch`")] == [17]
    assert done.told("`tooltip` of the group `prepare` left out")


def test_a_group_is_not_called_as_a_step_is(shop: Shop) -> None:
    done = shop.convert(f"""
        d:
          task_groups: {{load: {{}}, Big-One: {{prefix_group_id: false}}, empty: {{}}}}
          tasks:
            load: {{operator: {EMPTY}, task_group_name: load}}
            b: {{operator: {EMPTY}, task_group_name: Big-One}}
        """)
    assert step(done, "load")["group"] == "load_2"
    assert step(done, "b")["group"] == "big_one"
    assert not done.told("task id was", "Big-One")
    assert done.told("the group `empty` left out")


def test_mapped_tasks(shop: Shop) -> None:
    steps = shop.of(INPUTS / "mapping.yml").only["steps"]
    assert steps["process"]["for_each"] == {"output_of": "request"}
    assert "after" not in steps["process"]
    assert steps["process"]["with"] == {
        "python_callable": "shop_code:consume",
        "op_kwargs": {"fixed": "test"},
        "op_args": "{{ item }}",
        "render_template_as_native_obj": True,
    }
    assert steps["say"]["for_each"] == ["echo a", "echo b"]
    assert steps["say"]["with"] == {"bash_command": "{{ item }}"}
    assert steps["each"]["for_each"] == {"items": [1, 3, 5], "label": "{{ task.task_id }} {{ ti.map_index }}"}
    assert steps["each"]["with"]["op_kwargs"] == {"factor": 2, "value": "{{ item }}"}
    assert steps["products"]["for_each"][:2] == [{"value": 1, "factor": 10}, {"value": 1, "factor": 20}]
    assert steps["products"]["with"]["op_kwargs"] == {"value": "{{ item.value }}", "factor": "{{ item.factor }}"}


def test_results_in_arguments_are_pulled_and_make_edges(shop: Shop) -> None:
    steps = shop.of(INPUTS / "mapping.yml").only["steps"]
    assert steps["double"]["with"]["op_kwargs"] == {"value": "{{ ti.xcom_pull(task_ids='number') }}"}
    assert steps["double"]["with"]["render_template_as_native_obj"] is True
    assert steps["double"]["after"] == "number"
    assert steps["left"]["with"]["op_kwargs"] == {"value": "{{ ti.xcom_pull(task_ids='pair', key='left') }}"}
    assert steps["pair"]["with"]["multiple_outputs"] is True
    assert steps["five"]["with"]["op_kwargs"] == {"value": 5}


def test_the_result_of_a_mapped_task_is_a_list_also_of_one(shop: Shop) -> None:
    done = shop.convert("""
        d:
          tasks:
            many: {decorator: airflow.sdk.task, python_callable: m.f, expand: {x: [1]}}
            sum: {decorator: airflow.decorators.task, python_callable: m.g, values: +many}
        """)
    assert step(done, "sum")["with"]["op_kwargs"] == {"values": "{{ ti.xcom_pull(task_ids=['many']) }}"}


def test_functions_are_named_from_the_dags_root(shop: Shop) -> None:
    done = shop.of(INPUTS / "callables.yml")
    steps = done.only["steps"]
    assert steps["plain"]["with"]["python_callable"] == "shop_code:number"
    assert steps["plain"]["with"]["on_retry_callback"] == "shop_code:tell"
    assert steps["plain"]["with"]["on_failure_callback"] == {
        "class": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        "with": {"to": ["team@example.com"], "subject": "It failed"},
    }
    assert steps["grouped"]["with"]["on_success_callback"] == "shop_code:tell"
    assert steps["choose"]["with"]["on_execute_callback"] == "shop_code:tell"
    assert steps["wait"]["with"]["execution_delta"] == "1d"
    assert steps["wait_too"]["with"]["execution_date_fn"] == "shop_code:a_day_before"
    assert done.only["dag"]["user_defined_macros"] == {"label": "shop_code:label", "limit": 10}
    assert done.told("has to be `shop_code.py` below the dags root")


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("/usr/local/airflow/dags/lib/code.py", "lib.code"),
        ("$AIRFLOW_HOME/dags/code.py", "code"),
        ("${CODE}/lib/code.py", "lib.code"),
        ("/opt/elsewhere/code.py", "code"),
    ],
)
def test_a_file_with_a_function_is_a_module_below_the_dags_root(shop: Shop, file: str, module: str) -> None:
    done = shop.convert(f"""
        d:
          tasks:
            t: {{operator: {PYTHON}, python_callable_name: f, python_callable_file: "{file}"}}
        """)
    assert step(done)["with"] == {"python_callable": f"{module}:f"}


def test_a_callback_with_arguments_is_left_out_and_told(shop: Shop) -> None:
    done = shop.task(
        "on_failure_callback: {callback: m.tell, channel: x}\non_success_callback: [m.one, {callback: m.two}]"
    )
    assert "on_failure_callback" not in step(done)["with"]
    assert step(done)["with"]["on_success_callback"] == ["m:one", "m:two"]
    [note] = done.told("`on_failure_callback` left out", "is given channel")
    assert note.line == 7


def test_values(shop: Shop) -> None:
    done = shop.of(INPUTS / "values.yml")
    steps = done.only["steps"]
    assert done.only["datasets"] == {"out": "s3://bucket/shop/out.csv"}
    assert steps["produce"]["with"]["bash_command"] == "echo {{ params.region }}"
    assert (steps["produce"]["writes"], steps["consume"]["reads"]) == ("out", "out")
    assert steps["request"]["with"]["data"] == '{"since": "2025-01-01", "many": 3}'
    assert steps["typed"]["with"]["executor_config"] == {"labels": ["one", "two"]}


def test_an_object_is_its_class_and_its_arguments(shop: Shop) -> None:
    done = shop.task("""
        executor_config:
          pod_override:
            __type__: kubernetes.client.models.V1Pod
            spec: {__type__: kubernetes.client.models.V1PodSpec, containers: []}
        env: {WHEN: 2025-01-01}
        """)
    arguments = step(done)["with"]
    assert arguments["executor_config"]["pod_override"] == {
        "class": "kubernetes.client.models.V1Pod",
        "with": {"spec": {"class": "kubernetes.client.models.V1PodSpec", "with": {"containers": []}}},
    }
    assert arguments["env"] == {"WHEN": "2025-01-01"}


def test_a_duration_and_a_moment_are_objects_where_no_annotation_makes_them(shop: Shop) -> None:
    done = shop.convert("""
        d:
          tasks:
            t:
              operator: airflow.providers.standard.sensors.filesystem.FileSensor
              filepath: /x
              timeout: {__type__: datetime.timedelta, hours: 2}
              executor_config:
                longest: {__type__: datetime.timedelta, __args__: [1], minutes: 1}
                until: {__type__: datetime.datetime, __args__: [2025, 3, 1, 6]}
                day: {__type__: datetime.date, year: 2025, month: 3, day: 1}
        """)
    assert step(done)["with"]["timeout"] == "2h"
    assert step(done)["with"]["executor_config"] == {
        "longest": {"class": "datetime.timedelta", "with": {"seconds": 86460}},
        "until": {"class": "datetime.datetime", "with": {"year": 2025, "month": 3, "day": 1, "hour": 6}},
        "day": {"class": "datetime.date", "with": {"year": 2025, "month": 3, "day": 1}},
    }


def test_assets_that_would_change_the_order_are_left_out(shop: Shop) -> None:
    done = shop.convert(f"""
        d:
          tasks:
            a: {{operator: {EMPTY}, outlets: ["s3://b/x.csv", "mailto:me", {{__type__: airflow.sdk.Asset, name: n}}]}}
            b: {{operator: {EMPTY}, inlets: ["s3://b/x.csv", "s3://b/y.csv"]}}
            c: {{operator: {EMPTY}, outlets: ["s3://b/x.csv"]}}
        """)
    assert step(done, "a")["writes"] == "x"
    assert step(done, "b")["reads"] == "y"
    assert "writes" not in step(done, "c")
    assert [note.line for note in done.told("left out")] == [3, 3, 4, 5]


def test_variables_are_read_by_the_run(shop: Shop) -> None:
    done = shop.task("variables_as_arguments: [{variable: shop_command, attribute: bash_command}]")
    assert step(done)["with"]["bash_command"] == "{{ var.value.get('shop_command', '') }}"
    assert done.told("the Variable was read with the file")


def test_a_variable_of_the_environment_in_a_command_is_left_to_the_shell(shop: Shop) -> None:
    done = shop.task("append_env: true\ncwd: $HOME/x")
    assert step(done)["with"]["cwd"] == "${env:HOME}/x"
    done = shop.convert(f"d:\n  tasks: {{t: {{operator: {BASH}, bash_command: echo $HOME}}}}\n")
    assert step(done)["with"]["bash_command"] == "echo $HOME"
    assert done.told("$HOME", "now only the command itself does it")


def test_a_step_that_stands_in_comes_after_what_the_task_came_after(shop: Shop) -> None:
    done = shop.convert("""
        d:
          tasks:
            a: {decorator: airflow.sdk.task, python_callable: m.f}
            b: {decorator: airflow.sdk.task, python_callable: m.f}
            t: {decorator: airflow.sdk.task, python_callable: m.g, expand: {x: +a, y: +b}, dependencies: [b]}
        """)
    assert [note.lost for note in done.notes] == [True]
    assert step(done)["after"] == ["b", "a"]


LOST = {
    "decorator: airflow.sdk.task.kubernetes\npython_callable: m.f": "has no operator that calls the function alike",
    "operator: airflow.providers.http.sensors.http.HttpSensor\nresponse_check_lambda: 'lambda r: True'": "lambda",
    f"operator: {PYTHON}\npython_callable: m.f\nexpand: {{op_args: a.output, op_kwargs: a.output}}": "several",
    f"operator: {BASH}\nexpand: {{bash_command: [x, x]}}": "each item once",
    f"operator: {BASH}\nexpand: {{bash_command: ['{{{{ ds }}}}']}}": "not templates",
    f"operator: {BASH}\nexpand: {{bash_command: {{a: 1}}}}": "not a list",
    f"operator: {BASH}\nbash_command: x\nexpand: {{pool_slots: [1, 2]}}": "renders no template in `pool_slots`",
    f"operator: {BASH}\nbash_command: x\nexecution_timeout: soon": "not a duration",
    f"operator: {BASH}\nbash_command: x\ntrigger_rule: all_good": "no trigger rule",
    f"operator: {BASH}\nbash_command: x\nretries: many": "`retries` is a number",
    f"operator: {BASH}\nbash_command: x\nenv: {{a: {{__type__: m.C, __args__: [1]}}}}": "values without names",
}


@pytest.mark.parametrize(("said", "reason"), LOST.items(), ids=LOST.values())
def test_a_task_that_cannot_be_converted_is_a_step_that_fails_and_says_so(shop: Shop, said: str, reason: str) -> None:
    lines = "".join(f"      {line}\n" for line in said.splitlines())
    done = shop.convert(f"d:\n  tasks:\n    a: {{operator: {EMPTY}}}\n    t:\n      dependencies: [a]\n{lines}")
    [note] = [note for note in done.notes if note.lost]
    assert reason in note.message
    found = step(done)
    assert found["operator"] == BASH
    assert found["with"]["bash_command"].endswith("' >&2; exit 1")
    assert found["after"] == "a"
    assert found["retries"] == 0
    assert f"dag-factory: {note.message[:20]}" in done.pipelines["d"].text
