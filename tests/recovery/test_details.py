"""What a plan asks of Airflow about single DAGs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sluicegate.api import Bearer, Client
from sluicegate.recovery.details import RestDetails


class Expression(Client):
    """An Airflow that knows one DAG, by what starts it."""

    def __init__(self, expression: Mapping[str, Any] | None) -> None:
        super().__init__("http://airflow.test", Bearer("t"))
        self.expression = expression

    def _call(self, *_: object, **__: object) -> object:
        return {"asset_expression": self.expression}


def asset(number: int) -> dict[str, Any]:
    return {"asset": {"id": number, "name": str(number), "uri": str(number), "group": "asset"}}


@pytest.mark.parametrize(
    ("expression", "assets", "expected"),
    [
        (asset(1), {1}, True),
        ({"any": [asset(1), asset(2)]}, {1}, True),
        ({"all": [asset(1), asset(2)]}, {1}, False),
        ({"all": [asset(1), asset(2)]}, {1, 2, 3}, True),
        ({"all": [asset(1)]}, {1}, True),
        ({"any": [{"all": [asset(1), asset(2)]}, asset(3)]}, {1}, False),
        ({"any": [{"all": [asset(1), asset(2)]}, asset(3)]}, {3}, True),
        ({"all": [{"any": [asset(1), asset(2)]}, asset(3)]}, {1}, False),
        ({"any": [{"alias": {"name": "a", "group": ""}}, asset(3)]}, {1}, True),
        ({"all": [{"alias": {"name": "a", "group": ""}}, asset(3)]}, {3}, False),
    ],
)
def test_which_assets_start_a_dag_by_themselves(
    expression: Mapping[str, Any], assets: set[int], expected: bool
) -> None:
    assert RestDetails(Expression(expression)).starts("taker", assets) is expected
