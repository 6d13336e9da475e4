"""The tables of the docs that come out of the code. `python tests/docs/tables.py` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import sluicegate
from sluicegate.checks.compile import NEEDS_A_DATABASE, ROW_LEVEL
from sluicegate.checks.tablewise import TABLEWISE
from sluicegate.faults import CATALOGUE
from sluicegate.faults.catalogue import Fault, FaultClass, StepKind
from sluicegate.faults.emr_codes import BY_ERROR_CODE, BY_STATE_REASON
from sluicegate.pipeline.read.expectations import known_expectations
from sluicegate.telemetry.table import METRICS

DOCS = Path(__file__).parents[2] / "docs"
STATSD_MAPPING = DOCS.parent / "monitoring/statsd-mapping.yaml"


def fault_table() -> str:
    rows = ["| code | class | steps | what happened | what to do |", "|---|---|---|---|---|"]
    rows += [
        f"| {one.code} | {one.kind} | {_steps(one)} | {one.sentence} | {one.remedy} |" for one in CATALOGUE.values()
    ]
    return "\n".join(rows)


def fault_sections() -> str:
    return "\n\n".join(_section(one) for one in CATALOGUE.values())


def _section(one: Fault) -> str:
    again = "tried again" if one.kind is FaultClass.TRANSIENT else "not tried again"
    raised = "all kinds of steps" if _steps(one) == "all" else f"`{_steps(one).replace(', ', '`, `')}`"
    return f"## {one.code}\n\n**{one.sentence}**\n\n{one.remedy}\n\nClass `{one.kind}`: {again}. Met in {raised}."


def _steps(one: Fault) -> str:
    kinds = get_args(StepKind)
    if not one.raised_by:
        return "none"
    return "all" if len(one.raised_by) == len(kinds) else ", ".join(kind for kind in kinds if kind in one.raised_by)


def reasons_table(title: str, codes: Mapping[str, str]) -> str:
    rows = [f"| {title} | fault | class |", "|---|---|---|"]
    rows += [f"| `{code}` | {found} | {CATALOGUE[found].kind} |" for code, found in sorted(codes.items())]
    return "\n".join(rows)


def settings_table() -> str:
    config = cast("Mapping[str, Any]", sluicegate.get_provider_info()["config"])
    rows = ["| `[sluicegate]` | default | for instance | |", "|---|---|---|---|"]
    for name, option in config["sluicegate"]["options"].items():
        words = " ".join(option["description"].replace("``", "`").split())
        default = f"`{option['default']}`" if option["default"] else "(empty)"
        rows.append(f"| `{name}` | {default} | `{option['example']}` | {words} |")
    return "\n".join(rows)


def expectations_table() -> str:
    rows = ["| expectation | about | carried out | in SQL for columns of |", "|---|---|---|---|"]
    for name in sorted({*known_expectations(), *ROW_LEVEL, *TABLEWISE}):
        compiler: Any = ROW_LEVEL.get(name) or TABLEWISE.get(name)
        about = "the table" if name in TABLEWISE else "a record" if name in ROW_LEVEL else ""
        by = "in SQL" if compiler else "nowhere: it asks a database" if name in NEEDS_A_DATABASE else "by GX"
        rows.append(f"| `{name}` | {about} | {by} | {compiler.when or 'any type' if compiler else ''} |")
    return "\n".join(rows)


def metrics_table() -> str:
    rows = ["| in Prometheus | kind | labels | what it is |", "|---|---|---|---|"]
    for one in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append(f"| `{one.in_prometheus}` | {one.kind} | {labels} | {one.meaning} |")
    return "\n".join(rows)


def statsd_mapping() -> str:
    """The configuration of statsd_exporter: by names with the labels in them, and by those with tags."""
    lines = ["# For statsd_exporter: labels of what is a part of the name where StatsD has no tags."]
    lines += ["# Made of the table of metrics by `python tests/docs/tables.py`.", "mappings:"]
    for one in METRICS.values():
        labels = ", ".join(f'{label}: "${number}"' for number, label in enumerate(one.labels, 1))
        lines += [f'  - match: "airflow.{one.sent_as}{".*" * len(one.labels)}"']
        lines += [f"    name: {one.in_prometheus}", f"    labels: {{{labels}}}"]
        lines += [f'  - match: "airflow.{one.sent_as}"', f"    name: {one.in_prometheus}"]
    return "\n".join(lines) + "\n"


TABLES: Mapping[tuple[str, str], Callable[[], str]] = {
    ("checks.md", "expectations"): expectations_table,
    ("clusters.md", "error-codes"): lambda: reasons_table("`ErrorCode`", BY_ERROR_CODE),
    ("clusters.md", "state-reasons"): lambda: reasons_table("`StateChangeReason.Code`", BY_STATE_REASON),
    ("faults.md", "sections"): fault_sections,
    ("monitoring.md", "metrics"): metrics_table,
    ("operator.md", "faults"): fault_table,
    ("platform.md", "settings"): settings_table,
}
"""By page and the name between its `<!-- name:begin -->` and `<!-- name:end -->`."""


def between(text: str, name: str) -> re.Match[str]:
    found = re.search(rf"(?<=<!-- {name}:begin -->\n).*?(?=\n<!-- {name}:end -->)", text, re.DOTALL)
    assert found is not None, f"there are no marks for {name}"
    return found


def main() -> None:
    for (page, name), table in TABLES.items():
        path = DOCS / page
        text = path.read_text(encoding="utf-8")
        found = between(text, name)
        path.write_text(text[: found.start()] + table() + text[found.end() :], encoding="utf-8")
    STATSD_MAPPING.write_text(statsd_mapping(), encoding="utf-8")


if __name__ == "__main__":
    main()
