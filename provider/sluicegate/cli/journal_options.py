"""How a command finds the journal: of a pipeline, or that which all pipelines have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.cli.places import wrong_use

if TYPE_CHECKING:
    from sluicegate.cli.dead_letters_options import Place

__all__ = ["journal_conninfo"]


def journal_conninfo(command: str, place: Place, pipeline: str | None, *, without: str) -> str:
    """Libpq's words for the journal. They hold a password: never to be shown.

    :param without: where to look instead, for a pipeline that has none
    """
    where = place.where(command, pipeline)
    if place.url_env is not None or place.connection is not None:
        return where.conninfo()
    return where.of_connection(_journal(command, place, pipeline, without))


def _journal(command: str, place: Place, pipeline: str | None, without: str) -> str:
    """The Airflow connection of the journal."""
    from sluicegate.graph.journal import journal_of
    from sluicegate.pipeline.tree import read_tree

    if pipeline is not None:
        journal = journal_of(place.where(command, pipeline).read()[0])
        if journal is None:
            wrong_use(
                command,
                f"{pipeline} has no journal: it loads into no table, and `connections.ledger` is not said; {without}",
            )
        return journal
    if not place.dags.is_dir():
        wrong_use(command, f"there is no folder {place.dags}: say --dags, --connection ID or --url-env NAME")
    journals = {journal_of(each) for each in read_tree(place.dags).readable.values()} - {None}
    if len(journals) != 1:
        found = f"have {len(journals)} journals ({', '.join(sorted(map(str, journals)))})" if journals else "have none"
        wrong_use(command, f"the pipelines below {place.dags} {found}: say -p PIPELINE or --connection ID")
    return str(journals.pop())
