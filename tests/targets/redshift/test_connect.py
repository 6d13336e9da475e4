"""How an Airflow connection says where a Redshift is, and through which folder its loads go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.targets.open import open_target, reached
from sluicegate.targets.redshift.target import RedshiftTarget

EXTRA = {"staging": "s3://stage/loads/", "iam_role": "arn:aws:iam::123456789012:role/load", "unknown": 1}


def connection(**extra: Any) -> str:
    words = {"conn_type": "redshift", "host": "h", "login": "u", "password": "hush", "schema": "d", "extra": extra}
    return json.dumps(words)


def opened(monkeypatch: pytest.MonkeyPatch, ledger: str | None = "ledger", **extra: Any) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_WH", connection(**extra))
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "postgres", "host": "h"}))
    return open_target("table://wh/Sales.Orders", application="test", ledger=ledger)


def test_a_connection_of_type_redshift_is_a_target_by_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    target = opened(monkeypatch, **EXTRA)
    assert isinstance(target, RedshiftTarget)
    assert target.name == "table://wh/sales.orders"
    words = target._cluster.words
    assert (words["ssl"], words["sslmode"], words["port"], words["user"]) == (True, "verify-full", 5439, "u")
    assert "unknown" not in words
    assert "hush" not in repr(target._cluster)
    assert opened(monkeypatch, **EXTRA, sslmode="verify-ca")._cluster.words["sslmode"] == "verify-ca"
    monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps({"conn_type": "postgres", "host": "h"}))
    assert reached("table://pg/t", None) == ("t", "pg")


@pytest.mark.parametrize(
    ("lacks", "words"), [("staging", "does not say through which folder"), ("iam_role", "does not say by which role")]
)
def test_what_the_connection_lacks_is_said_with_the_remedy(
    lacks: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FaultError, match=words) as refused:
        opened(monkeypatch, **{name: value for name, value in EXTRA.items() if name != lacks})
    assert (refused.value.code, f'"{lacks}"' in str(refused.value)) == ("WRONG_USE", True)
    with pytest.raises(FaultError, match=r"through which folder|by which role"):
        opened(monkeypatch, **EXTRA | {lacks: "s3:' or so"})


def test_a_redshift_needs_a_ledger_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FaultError, match="has no place for a ledger"):
        opened(monkeypatch, None, **EXTRA)
