"""The ledger in Postgres: schema `sluicegate` beside the data, in the data's own database."""

from __future__ import annotations

from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import migrate, require_known

__all__ = ["PostgresLedger", "migrate", "require_known"]
