"""The database of the tests of loads."""

from __future__ import annotations

from tests.load.conftest import warehouse

__all__ = ["warehouse"]
