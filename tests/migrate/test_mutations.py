"""Whatever stands in a file of dag-factory: the conversion never breaks, and what it writes can be read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.migrate import Options, convert
from sluicegate.pipeline.diagnostics import PipelineErrors
from sluicegate.pipeline.text.yaml import parse
from tests.migrate.conftest import INPUTS, TODAY, known
from tests.migrate.test_command import EVERY_DAG_KEY, EVERY_TASK_KEY

Way = tuple[str | int, ...]
JUNK: tuple[Any, ...] = (
    None, 5, -1.5, True, "", "x y", "{{ x", [], [[]], [None], [{"a": 1}], {}, {"a": {"b": [1]}}, {"__type__": "m.C"},
    {"__type__": 5, "__args__": 5}, {"__join__": 5}, {"callback": 5}, {"uri": 5}, {"__and__": []},
)  # fmt: skip


def ways(value: Any, way: Way = ()) -> Iterator[Way]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*way, key)
        yield from ways(item, (*way, key))


def with_junk(value: Any, way: Way, junk: Any) -> Any:
    result = copy.deepcopy(value)
    inner = result
    for part in way[:-1]:
        inner = inner[part]
    inner[way[-1]] = junk
    return result


def every_key() -> str:
    task = EVERY_TASK_KEY.lstrip("\n")
    first = "    a: {operator: airflow.providers.standard.operators.empty.EmptyOperator}\n"
    return f"{EVERY_DAG_KEY}  tasks:\n{first}    t:\n      operator: m.Own\n{task}"


SAMPLES = {
    "groups": (INPUTS / "groups.yml").read_text("utf-8"),
    "mapping": (INPUTS / "mapping.yml").read_text("utf-8"),
    "every_key": every_key(),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_no_value_breaks_the_conversion(tmp_path: Path, name: str) -> None:
    sample = yaml.safe_load(SAMPLES[name])
    file = tmp_path / "shop.yml"
    for number, way in enumerate(ways(sample)):
        junk = JUNK[number % len(JUNK)]
        file.write_text(yaml.dump(with_junk(sample, way, junk), Dumper=yaml.CSafeDumper), "utf-8")
        try:
            made, _ = convert(file, Options(known, TODAY))
        except PipelineErrors:
            continue
        except Exception as error:
            raise AssertionError(f"{way} = {junk!r}: {error!r}") from error
        for pipeline in made:
            assert parse(pipeline.text.encode(), file).diagnostics == (), (way, junk)
