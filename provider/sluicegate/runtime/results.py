"""What other tasks return, in arguments of operators of hand-written DAGs. Light to import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow.sdk import XComArg

__all__ = ["refuse_results"]


def refuse_results(given: Mapping[str, Any], fields: Sequence[str]) -> None:
    """Refuse the result of a task in an argument that Airflow does not fill in: its text would be taken for the value.

    :param fields: those that Airflow does fill in.
    :raises ValueError: with the name of the argument.
    """
    for name, value in given.items():
        if next(_results(value), None) is not None:
            known = ", ".join(f"`{field}`" for field in fields)
            raise ValueError(
                f"`{name}`: what another task returns is known in {known} alone; elsewhere, use a param, or "
                "`item` of a mapped task"
            )


def _results(value: object) -> Iterator[XComArg]:
    if isinstance(value, XComArg):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _results(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _results(each)
