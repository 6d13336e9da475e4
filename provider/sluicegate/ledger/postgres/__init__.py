"""The ledger in Postgres: schema `sluicegate` beside the data, in the data's own database."""

from __future__ import annotations

from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import is_complete, migrate, require_known

__all__ = ["PostgresLedger", "is_complete", "migrate", "require_known"]
