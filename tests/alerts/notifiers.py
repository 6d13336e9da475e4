"""Notifiers with the signatures of providers that are not installed, which post what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
from airflow.sdk import BaseHook
from airflow.sdk.bases.notifier import BaseNotifier


class SlackWebhookNotifier(BaseNotifier):
    """Signature and template fields of the one in apache-airflow-providers-slack."""

    template_fields = ("slack_webhook_conn_id", "text", "attachments", "blocks", "proxy", "timeout")

    def __init__(
        self,
        *,
        slack_webhook_conn_id: str = "slack_default",
        text: str,
        blocks: Sequence[dict[str, Any]] | None = None,
        unfurl_links: bool | None = None,
        unfurl_media: bool | None = None,
        proxy: str | None = None,
        attachments: Sequence[dict[str, Any]] | None = None,
        timeout: int | None = None,
        retry_handlers: list[Any] | None = None,
    ) -> None:
        super().__init__()
        self.slack_webhook_conn_id = slack_webhook_conn_id
        self.text = text
        self.attachments = attachments
        self.blocks = blocks
        self.unfurl_links = unfurl_links
        self.unfurl_media = unfurl_media
        self.timeout = timeout
        self.proxy = proxy
        self.retry_handlers = retry_handlers

    def notify(self, context: Any) -> None:
        connection = BaseHook.get_connection(self.slack_webhook_conn_id)
        httpx.post(f"{connection.host}/services", json={"text": self.text, "blocks": self.blocks}).raise_for_status()


class PagerdutyNotifier(BaseNotifier):
    """Signature and template fields of the one in apache-airflow-providers-pagerduty."""

    template_fields = (
        "summary", "severity", "source", "action", "dedup_key", "custom_details", "group", "component", "class_type",
        "images", "links",
    )  # fmt: skip

    def __init__(
        self,
        *,
        pagerduty_events_conn_id: str = "pagerduty_events_default",
        summary: str,
        severity: str,
        source: str = "airflow",
        action: str = "trigger",
        dedup_key: str | None = None,
        custom_details: Any | None = None,
        group: str | None = None,
        component: str | None = None,
        class_type: str | None = None,
        images: list[Any] | None = None,
        links: list[Any] | None = None,
        integration_key: str | None = None,
    ) -> None:
        super().__init__()
        self.integration_key = integration_key
        self.pagerduty_events_conn_id = pagerduty_events_conn_id
        self.summary = summary
        self.severity = severity
        self.source = source
        self.action = action
        self.dedup_key = dedup_key
        self.custom_details = custom_details
        self.group = group
        self.component = component
        self.class_type = class_type
        self.images = images
        self.links = links

    def notify(self, context: Any) -> None:
        connection = BaseHook.get_connection(self.pagerduty_events_conn_id)
        names = ("summary", "severity", "source", "dedup_key", "custom_details", "group", "component", "class_type")
        event = {name: getattr(self, name) for name in names}
        httpx.post(f"{connection.host}/events", json=event).raise_for_status()


class Raising(BaseNotifier):
    """One whose error has a secret in its words."""

    def notify(self, context: Any) -> None:
        raise RuntimeError("postgres://me:hunter2@host/db refused")
