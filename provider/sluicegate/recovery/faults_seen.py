"""What steps of ours have failed with, read from the names of their XComs: a page for a hundred of them.

Of thousands the faults of waits, most of them in a large night, are only counted: what a wait awaited is known without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from sluicegate.api.answers import Fields
from sluicegate.api.client import Client, Query
from sluicegate.api.paging import by_offset
from sluicegate.faults.catalogue import CATALOGUE
from sluicegate.faults.index import FAULT_XCOM_PREFIX, OWN_FAULTS, FaultKey
from sluicegate.recovery.definition import InstanceKey
from sluicegate.recovery.night import FaultSeen, Instance

__all__ = ["read_faults"]

_XCOMS = "/dags/~/dagRuns/~/taskInstances/~/xcomEntries"
_MANY = 2000
_LATE = "UPSTREAM_LATE"


def read_faults(
    client: Client, instances: Mapping[InstanceKey, Instance], moments: Collection[datetime]
) -> dict[InstanceKey, FaultSeen]:
    """The faults of these instances, where they are known.

    :param moments: when their runs were due
    """
    if not any(each.kind for each in instances.values()):
        return {}
    span = {"run_after_gte": min(moments).isoformat(), "run_after_lte": max(moments).isoformat()}
    failed = sum(each.state == "failed" and bool(each.kind) for each in instances.values())
    found = _but_for_late_waits(client, instances, span) if failed > _MANY else None
    if found is None:
        found = dict(_listed(client, "", span))
    return {key: fault for key, fault in found.items() if key in instances}


def _but_for_late_waits(
    client: Client, instances: Mapping[InstanceKey, Instance], span: Query
) -> dict[InstanceKey, FaultSeen] | None:
    """All faults, with those of late waits supposed: of each wait that has failed and has left no other fault. None
    where Airflow's counts do not prove that: then all have to be listed.
    """
    found: dict[InstanceKey, FaultSeen] = {}
    for code in CATALOGUE:
        if code != _LATE:
            found.update(_listed(client, f":{code}:", span))
    found.update(_listed(client, OWN_FAULTS.removeprefix(FAULT_XCOM_PREFIX), span))
    late = {
        key: FaultSeen(_LATE, str(CATALOGUE[_LATE].kind), _subject(each))
        for key, each in instances.items()
        if each.state == "failed"
        and each.operator == "UpstreamSensor"
        and key not in found
        and each.awaited is not None
    }
    counted = _count(client, f":{_LATE}:", span)
    if counted != len(late) or _count(client, "", span) != counted + len(found):
        return None
    return found | late


def _subject(wait: Instance) -> str:
    """As the wait itself says it: the task, or the DAG where it waits for all of that."""
    if wait.awaited is None:
        return ""
    return ".".join((wait.awaited.dag, *(wait.awaited.tasks or ())))


def _listed(client: Client, after_prefix: str, span: Query) -> Iterator[tuple[InstanceKey, FaultSeen]]:
    for entry in map(Fields, by_offset(client, _XCOMS, "xcom_entries", _query(after_prefix, span))):
        fault = FaultKey.of(entry.text("key"))
        if fault is not None:
            key = InstanceKey(
                entry.text("dag_id"), entry.text("run_id"), entry.text("task_id"), entry.number("map_index")
            )
            known = CATALOGUE.get(fault.code)
            yield key, FaultSeen(fault.code, fault.kind or (str(known.kind) if known else ""), fault.subject)


def _count(client: Client, after_prefix: str, span: Query) -> int:
    answer = client.get(_XCOMS, {**_query(after_prefix, span), "limit": 1})
    return Fields(answer).number("total_entries")


def _query(after_prefix: str, span: Query) -> Query:
    return {"xcom_key_prefix_pattern": f"{FAULT_XCOM_PREFIX}{after_prefix}", **span}
