"""Errors of databases as faults: by SQLSTATE, by the server's words where there is none.

psycopg's, redshift_connector's, and by the names that PEP 249 prescribes those of any other driver.
"""

from __future__ import annotations

from sluicegate.faults.shape import Match, starts_with, summary

__all__ = ["match"]

_BY_STATE = {
    "25006": "WAREHOUSE_UNREACHABLE",  # read-only transaction: connected to a standby during a failover
    "25P03": "TIMED_OUT",
    "25P04": "TIMED_OUT",
    "42501": "WAREHOUSE_DENIED",
    "42601": "WAREHOUSE_ERROR",  # a syntax error is not a mismatch
    "53100": "DISK_FULL",
    "55006": "WAREHOUSE_BUSY",
    "55P03": "WAREHOUSE_BUSY",
    "57014": "TIMED_OUT",  # statement_timeout, or a person's pg_cancel_backend
    "57P01": "WAREHOUSE_UNREACHABLE",
    "57P02": "WAREHOUSE_UNREACHABLE",
    "57P03": "WAREHOUSE_UNREACHABLE",
    "57P05": "WAREHOUSE_UNREACHABLE",
    "42703": "SCHEMA_MISMATCH",
    "42704": "SCHEMA_MISMATCH",
    "42804": "SCHEMA_MISMATCH",
    "42P01": "SCHEMA_MISMATCH",
    "42846": "SCHEMA_MISMATCH",
}
_BY_CLASS = {
    "08": "WAREHOUSE_UNREACHABLE",
    "22": "CONSTRAINT_VIOLATED",  # the column's type refused the value
    "23": "CONSTRAINT_VIOLATED",
    "28": "WAREHOUSE_DENIED",
    "3D": "WAREHOUSE_DENIED",
    "3F": "SCHEMA_MISMATCH",
    "40": "WAREHOUSE_BUSY",
    "53": "WAREHOUSE_BUSY",
}
_BY_WORDS = (
    (("authentication failed", "no pg_hba.conf entry", "no password supplied", "permission denied",
      "is not permitted to log in", "certificate verify failed"), "WAREHOUSE_DENIED"),
    (("too many clients", "too many connections", "remaining connection slots"), "WAREHOUSE_BUSY"),
    (("no space left on device",), "DISK_FULL"),
    (("invalid sslmode value", "invalid connection option", "invalid integer value", "invalid port number"),
     "WAREHOUSE_ERROR"),
)  # fmt: skip
# Of what others change at the same time the server says many things, most of them under a code that means a bug.
_CHANGED_MEANWHILE = (
    "tuple concurrently updated",
    "tuple concurrently deleted",
    "could not open relation with oid",
    "cached plan must not change result type",
)
_ROLE_OR_DATABASE = ("role ", "database ")


_BY_WORDS_OF_REDSHIFT = (
    (("serializable isolation violation", "conflict with concurrent transaction", "deadlock"), "WAREHOUSE_BUSY"),
    (("access denied", "not authorized", "permission denied", "authentication failed"), "WAREHOUSE_DENIED"),
    (("disk full",), "DISK_FULL"),
    (("server socket closed", "connection is closed", "communication error", "connection time out", "broken pipe"),
     "WAREHOUSE_UNREACHABLE"),
)  # fmt: skip


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if starts_with(names, "redshift_connector."):
        return _of_redshift(error)
    if starts_with(names, "psycopg_pool.", "sqlalchemy.exc.TimeoutError"):
        return Match("WAREHOUSE_BUSY")
    if not starts_with(names, "psycopg.", "psycopg2."):
        return _of_pep_249(error, names)
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str) and state:
        code = _BY_STATE.get(state) or _BY_CLASS.get(state[:2], "WAREHOUSE_ERROR")
        return Match("WAREHOUSE_BUSY" if _raced(error) else code, *_told(error, state))
    return Match(_without_state(error, names))


def _raced(error: BaseException) -> bool:
    """Whether somebody else changed or created the same thing at the same moment."""
    if getattr(getattr(error, "diag", None), "schema_name", None) == "pg_catalog":
        return True  # two that create one table: the catalogue's own unique index refuses the second
    words = str(error).lower()
    return any(each in words for each in _CHANGED_MEANWHILE)


def _of_pep_249(error: BaseException, names: tuple[str, ...]) -> Match | None:
    """An error of a driver that is not known here; SQLAlchemy's has the driver's own inside, DuckDB has own rules."""
    kinds = {name.rpartition(".")[2] for name in names}
    if not {"Error", "DatabaseError"} <= kinds or starts_with(names, "sqlalchemy.", "_duckdb.", "duckdb."):
        return None
    words = str(error).lower()
    if kinds & {"IntegrityError", "DataError"}:
        return Match("CONSTRAINT_VIOLATED")
    if any(each in words for each in ("locked", "deadlock", "lock wait timeout")):
        return Match("WAREHOUSE_BUSY")
    if any(each in words for each in ("no such table", "no such column")):
        return Match("SCHEMA_MISMATCH")
    for needles, code in _BY_WORDS:
        if any(needle in words for needle in needles):
            return Match(code)
    if kinds & {"ProgrammingError", "NotSupportedError"} or "syntax error" in words:
        return Match("WAREHOUSE_ERROR")
    return Match("WAREHOUSE_UNREACHABLE") if "OperationalError" in kinds else None


def _of_redshift(error: BaseException) -> Match:
    """What its server says is a mapping, whose detail (`D`) shows values. Most of it has the SQLSTATE XX000."""
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    words = str(said.get("M", "")) or summary(error)
    state = str(said.get("C", ""))
    lower = f"{words} {said.get('D', '')} {error.args[1:]}".lower()
    by_words = next((code for needles, code in _BY_WORDS_OF_REDSHIFT if any(one in lower for one in needles)), None)
    by_state = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    unsaid = "WAREHOUSE_ERROR" if said else "WAREHOUSE_UNREACHABLE"
    facts: dict[str, object] = {"sqlstate": state} if state else {}
    return Match(by_state or by_words or unsaid, f"{type(error).__name__}: {words}", facts)


def _without_state(error: BaseException, names: tuple[str, ...]) -> str:
    """Libpq reports what happens before a session exists, and what breaks one, in words only."""
    words = str(error).lower()
    for needles, code in _BY_WORDS:
        if any(needle in words for needle in needles):
            return code
    if "does not exist" in words and any(noun in words for noun in _ROLE_OR_DATABASE):
        return "WAREHOUSE_DENIED"
    kind = next((name.rpartition(".")[2] for name in names if name.startswith(("psycopg.", "psycopg2."))), "")
    if starts_with(names, "psycopg.OperationalError", "psycopg2.OperationalError") or kind == "InterfaceError":
        return "WAREHOUSE_UNREACHABLE"
    if starts_with(names, "psycopg.DataError", "psycopg2.DataError"):
        return "CONSTRAINT_VIOLATED"
    return "WAREHOUSE_ERROR"


def _told(error: BaseException, state: str) -> tuple[str, dict[str, object]]:
    """Words and facts without the record: PostgreSQL's DETAIL shows values, also of sensitive columns."""
    diag = getattr(error, "diag", None)
    primary = getattr(diag, "message_primary", None) or summary(error).splitlines()[0]
    facts: dict[str, object] = {"sqlstate": state}
    for name in ("schema_name", "table_name", "column_name", "constraint_name"):
        if value := getattr(diag, name, None):
            facts[name.removesuffix("_name")] = value
    return f"{type(error).__name__}: {primary}", facts
