"""The Postgres on which the SQL of the docs is run: one like that of the tests of loads."""

from __future__ import annotations

from tests.load.conftest import server

__all__ = ["server"]
