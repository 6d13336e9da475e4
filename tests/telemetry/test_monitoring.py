"""The dashboard, the rules and the mapping ask for what is sent, and for nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.telemetry.table import METRICS
from tests.docs.tables import STATSD_MAPPING, statsd_mapping

FOLDER = Path(__file__).parents[2] / "monitoring"
RULES = FOLDER / "prometheus-rules.yaml"
DASHBOARD = FOLDER / "grafana-dashboard.json"
BY_NAME = {metric.in_prometheus: metric for metric in METRICS.values()}

_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf"\s*(?:({_STRING})|(\$?[A-Za-z_:][\w:]*)|(\d[\w.]*)|(=~|!~|!=|==|>=|<=|[-+*/%^<>=(){{}}\[\],@]))")
_WORDS = frozenset({
    "sum", "min", "max", "count", "avg", "topk", "by", "without", "on", "ignoring", "group_left", "offset", "unless",
    "and", "or", "bool", "increase", "rate", "time", "vector", "sort_desc", "label_values",
})  # fmt: skip


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Where each expression is, and what it is."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]


EXPRESSIONS = dict(expressions())


def tokens(expression: str) -> list[str]:
    """:raises AssertionError: for what is not PromQL, as far as its tokens and brackets say."""
    found, at, open_brackets = [], 0, []
    pairs = {")": "(", "]": "[", "}": "{"}
    text = expression.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, f"not PromQL: {text[at:]}"
        token = next(part for part in match.groups() if part is not None)
        if token in pairs.values():
            open_brackets.append(token)
        elif token in pairs:
            assert open_brackets, f"{token} was not opened"
            assert open_brackets.pop() == pairs[token]
        found.append(token)
        at = match.end()
    assert not open_brackets
    return found


def asked(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric of an expression with the labels that are asked of it, in braces or by what it is summed."""
    found = tokens(expression)
    summed = {
        label
        for at, token in enumerate(found)
        if token in ("by", "without")
        for label in found[at + 2 : found.index(")", at)]
        if label != ","
    }
    for at, token in enumerate(found):
        if token.startswith("airflow_"):
            braces = found[at + 2 : found.index("}", at)] if found[at + 1 : at + 2] == ["{"] else []
            yield (
                token,
                summed | {braces[n] for n, after in enumerate(braces[1:]) if re.fullmatch(r"=~|!~|!=|=", after)},
            )


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_each_metric_is_in_the_table_and_has_the_labels_that_are_asked_of_it(where: str) -> None:
    found = list(asked(EXPRESSIONS[where]))
    assert found
    for name, labels in found:
        assert name in BY_NAME, f"{where}: no metric {name}"
        assert labels <= set(BY_NAME[name].labels), f"{where}: {name} has only {BY_NAME[name].labels}"


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_no_other_word_is_in_an_expression(where: str) -> None:
    labels = {label for metric in METRICS.values() for label in metric.labels}
    words = {token for token in tokens(EXPRESSIONS[where]) if re.fullmatch(r"[A-Za-z_]\w*", token)}
    assert words <= _WORDS | labels | set(BY_NAME) | {"vector"}


def test_only_a_counter_is_asked_for_its_increase() -> None:
    for where, expression in EXPRESSIONS.items():
        for name in re.findall(r"(?:increase|rate)\((\w+)", expression):
            assert BY_NAME[name].kind == "counter", where


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for where, expression in EXPRESSIONS.items() for name, _ in asked(expression)}
    assert shown == set(BY_NAME)


def test_the_variables_of_the_dashboard_exist() -> None:
    found = dashboard()
    known = {variable["name"] for variable in found["templating"]["list"]} | {"__range", "__interval"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(found["panels"])))
    assert used <= known
    for variable in found["templating"]["list"][1:]:
        [name] = re.findall(r"label_values\((\w+)", variable["query"]["query"])
        assert variable["name"] in BY_NAME[name].labels


def test_the_panels_do_not_lie_over_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for spot in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert taken.setdefault(spot, panel["title"]) == panel["title"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_rule_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "error", "critical"}
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    [by, *_] = re.findall(r"by \(([^)]*)\)", rule["expr"])
    assert named <= {label.strip() for label in by.split(",")}
    assert set(rule["annotations"]) == {"summary", "description"}


def test_the_mapping_of_statsd_is_made_of_the_table() -> None:
    assert STATSD_MAPPING.read_text() == statsd_mapping(), "python tests/docs/tables.py writes it anew"


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_name_without_tags_gets_its_labels_back(metric: Any) -> None:
    """As statsd_exporter does: the first mapping whose parts match, a star for one part."""
    name = f"airflow.{metric.sent_as}." + ".".join(f"v{number}" for number in range(len(metric.labels)))
    parts = name.split(".")
    mappings = yaml.safe_load(STATSD_MAPPING.read_text())["mappings"]
    [found] = [
        each
        for each in mappings
        if len(pattern := each["match"].split(".")) == len(parts)
        and all(fnmatchcase(part, wanted) for part, wanted in zip(parts, pattern, strict=True))
    ]
    stars = [part for part, wanted in zip(parts, found["match"].split("."), strict=True) if wanted == "*"]
    labels = {label: stars[int(place[1:]) - 1] for label, place in found["labels"].items()}
    assert found["name"] == metric.in_prometheus
    assert labels == {label: f"v{number}" for number, label in enumerate(metric.labels)}


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: prometheus): PromQL was checked by its tokens alone")
    return found


def test_promtool_takes_the_rules_and_the_dashboards_expressions(tmp_path: Path) -> None:
    tool = promtool()
    shown = {"$__range": "1d", "$__interval": "5m", "$pipeline": ".*", "$step": ".*"}
    recorded = []
    for number, expression in enumerate(EXPRESSIONS.values()):
        for variable, value in shown.items():
            expression = expression.replace(variable, value)
        recorded.append({"record": f"panel:{number}", "expr": expression})
    panels = tmp_path / "panels.yaml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    done = subprocess.run(
        [tool, "check", "rules", str(RULES), str(panels)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_fire_when_they_should(tmp_path: Path) -> None:
    tool = promtool()
    failed = 'airflow_sluicegate_tries_total{pipeline="orders", step="load", end="failed"}'
    tests = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    # A counter's first value is news by itself.
                    {"series": failed, "values": "_x20 1x100"},
                    {"series": 'airflow_sluicegate_fresh_until{pipeline="orders", step="load"}', "values": "1800x120"},
                ],
                "alert_rule_test": [
                    {"eval_time": "19m", "alertname": "SluicegateStepFailed", "exp_alerts": []},
                    {"eval_time": "25m", "alertname": "SluicegateStepFailed", "exp_alerts": [
                        {"exp_labels": {"severity": "error", "pipeline": "orders", "step": "load"}, "exp_annotations":
                         rules()[0]["annotations"] | {"summary": "load of orders failed"}}]},
                    {"eval_time": "60m", "alertname": "SluicegateStepFailed", "exp_alerts": []},
                    {"eval_time": "30m", "alertname": "SluicegateStale", "exp_alerts": []},
                    {"eval_time": "40m", "alertname": "SluicegateStale", "exp_alerts": [
                        {"exp_labels": {"severity": "warning", "pipeline": "orders"}, "exp_annotations": {
                         "summary": "orders is older than its `fresh_within` allows",
                         "description": "`sluicegate health orders` says what it waits for."}}]},
                ],
            }
        ],
    }  # fmt: skip
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(tests))
    done = subprocess.run([tool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
