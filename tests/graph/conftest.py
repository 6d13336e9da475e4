from __future__ import annotations

from tests.pipeline.conftest import dags, stands_at

__all__ = ["dags", "stands_at"]
