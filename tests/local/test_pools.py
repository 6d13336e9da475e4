"""The pools that the embedded stack makes; that Airflow then has them, tests/airflow shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sluicegate.local.stack.events import Event
from sluicegate.local.stack.pools import PoolKeeper

FILE = "sluicegate: 1\nsteps:\n  a: {load: s3://b/x.csv, into: table://w/a, key: id}\n"


class Database:
    """Airflow's table of pools, as far as one INSERT needs it."""

    def __init__(self) -> None:
        self.pools: dict[str, tuple[int, bool]] = {}
        self.opened = 0

    def __enter__(self) -> Any:
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, _: str, values: list[Any]) -> Any:
        name, slots, _, include_deferred = values
        new = name not in self.pools
        self.pools.setdefault(name, (slots, include_deferred))
        return SimpleNamespace(rowcount=int(new))


def test_pools_that_files_name_are_made_once_and_those_that_are_there_stay(tmp_path: Path) -> None:
    database, said = Database(), list[Event]()
    database.pools["there"] = (99, False)
    keeper = PoolKeeper(tmp_path, lambda: database, said.append)  # type: ignore[arg-type, return-value]
    (tmp_path / "a.yaml").write_text(FILE)
    keeper.look()
    assert database.opened == 0
    clusters = "clusters: {small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}\n"
    (tmp_path / "defaults.yaml").write_text(clusters + "pools: {cluster: emr, warehouse: loads}\n")
    (tmp_path / "j.py").touch()
    (tmp_path / "b.yaml").write_text(
        "sluicegate: 1\nsteps: {j: {spark: j.py, cluster: small}, l: {spark: j.py, cluster: small, pool: there}}\n"
    )
    keeper.look()
    assert database.pools == {"emr": (2, True), "loads": (8, False), "there": (99, False)}
    assert [event.text for event in said] == ["made the pool emr with 2 slots", "made the pool loads with 8 slots"]
    keeper.look()
    assert database.opened == 1, "nothing has changed"
