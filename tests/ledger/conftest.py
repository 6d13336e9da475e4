"""The Postgres of the tests of loads."""

from __future__ import annotations

from tests.load.conftest import server, warehouse

__all__ = ["server", "warehouse"]
