"""A notifier that fails."""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.notifier import BaseNotifier


class Raising(BaseNotifier):
    """One whose error has a secret in its words."""

    def notify(self, context: Any) -> None:
        raise RuntimeError("postgres://me:hunter2@host/db refused")
