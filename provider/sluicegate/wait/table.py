"""The one question that is asked of a database here: is there a row in a table?"""

from __future__ import annotations

from sluicegate.faults import classify

__all__ = ["has_row"]

_SECONDS = 10
"""The limit both to connect and to answer: a waiting step asks again."""


def has_row(uri: str) -> bool:
    """Whether `table://<connection>/<[schema.]table>` has at least one row. A missing table has none.

    :raises FaultError: when the database cannot be asked
    """
    import psycopg
    from psycopg import sql

    from sluicegate.ledger.conninfo import conninfo_of
    from sluicegate.targets.connection import parse_table, split_table
    from sluicegate.targets.open import is_redshift, open_cluster

    connection_id, name = parse_table(uri)
    if is_redshift(connection_id):
        from sluicegate.targets.redshift.place import RedshiftTable
        from sluicegate.targets.redshift.target import RedshiftReader

        return RedshiftReader(RedshiftTable.at(uri), open_cluster(connection_id), application="wait").has_row()
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(*filter(None, split_table(name))))
    options = f"-c statement_timeout={_SECONDS}s"
    try:
        with psycopg.connect(conninfo_of(connection_id), connect_timeout=_SECONDS, options=options) as connection:
            found = connection.execute(query).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False
    except Exception as error:
        raise classify(error) from error
    return bool(found and found[0])
