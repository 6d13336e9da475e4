"""How much memory the records of a load may take by default."""

from __future__ import annotations

__all__ = ["MEMORY_LIMIT"]

MEMORY_LIMIT = "200MB"
"""DuckDB's; `load_memory_limit` in Airflow's configuration says another one."""
