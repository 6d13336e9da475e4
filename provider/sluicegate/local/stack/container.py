"""What containers need before Airflow starts: roles, databases, AIRFLOW_HOME.

`python -m sluicegate.local.stack.container FOLDER`; all else comes from the environment (docker-compose.yaml):
libpq's PG... variables for the superuser, and a password for each role. It may run again at any time, and a
changed password takes effect then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg

from sluicegate.local.stack import airflow, databases
from sluicegate.local.stack.errors import StackError, WrongUse
from sluicegate.local.stack.state import Secrets, State

_PASSWORDS = {
    "airflow_password": "AIRFLOW_DB_PASSWORD",
    "warehouse_password": "WAREHOUSE_PASSWORD",
    "admin_password": "AIRFLOW_ADMIN_PASSWORD",
}


def secrets(environ: Mapping[str, str]) -> Secrets:
    """The three passwords that are set here.

    Raises `WrongUse` naming every variable that is missing or empty.
    """
    missing = [name for name in _PASSWORDS.values() if not environ.get(name)]
    if missing:
        raise WrongUse(f"Not set: {', '.join(missing)}.", "Set them in .env, see docs/compose.md.")
    return Secrets(**{field: environ[name] for field, name in _PASSWORDS.items()})


def prepare(state: State, known: Secrets) -> None:
    """Make or mend the folders of `state` and the databases of the server that libpq's variables name.

    Raises `StackError` when the server accepts no connection.
    """
    state.create()
    airflow.write_home(state, known)
    try:
        with psycopg.connect(dbname="postgres", connect_timeout=10, autocommit=True) as connection:
            databases.ensure(connection, known)
    except databases.NotReachable as error:
        raise StackError(
            f"Postgres cannot be used: {error}",
            "If it rejects the password, its volume was made with another POSTGRES_PASSWORD: put that one "
            "back into .env, or begin from nothing with `docker compose down --volumes`.",
        ) from error


def main() -> int:
    try:
        if len(sys.argv) != 2:
            raise WrongUse("usage: python -m sluicegate.local.stack.container FOLDER")
        prepare(State(Path(sys.argv[1]).resolve()), secrets(os.environ))
    except StackError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
