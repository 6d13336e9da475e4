from __future__ import annotations

from tests.discovery.conftest import root

__all__ = ["root"]
