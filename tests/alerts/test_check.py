"""What `check` says of channels: their notifiers, arguments, faults, and secrets that are written out."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.factory.attempt import build_diagnostics
from sluicegate.pipeline import Diagnostic, PipelineErrors, read_together
from tests.discovery.conftest import root
from tests.factory.files import write

__all__ = ["root"]

STEPS = "steps:\n  a: {load: s3://x/y.csv, into: table://warehouse/t}\n"
SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
HOOK = "sluicegate.alerts.webhook.WebhookNotifier"
OWN = """\
from datetime import timedelta
from airflow.sdk.bases.notifier import BaseNotifier

class Pager(BaseNotifier):
    def __init__(self, *, message: str, room: str, every: timedelta = timedelta(0), loud: bool = False):
        super().__init__()

class Sub(Pager):
    def __init__(self, *, level: int = 1, **kwargs):
        super().__init__(**kwargs)

def tell(context): ...
"""


def found_in(root: Path, channel: str, defaults: str = "") -> list[Diagnostic]:
    (root / "own.py").write_text(OWN)
    (root / "defaults.yaml").write_text(defaults)
    write(root, it=f"sluicegate: 1\nalerts:\n  on_call: {channel}\n{STEPS}")
    try:
        together = read_together(root / "it.yaml", root)
    except PipelineErrors as errors:
        return list(errors.diagnostics)
    return list(build_diagnostics(together.pipeline, together.upstreams))


@pytest.mark.parametrize(
    "channel",
    [
        f"{{notifier: {SMTP}, with: {{to: [a@b.c], smtp_conn_id: mail}}}}",
        f"{{notifier: {SMTP}, with: {{to: a@b.c, subject: '{{{{ alert.title }}}}'}}, faults: [fatal, SOURCE_MISSING]}}",
        f"{{notifier: {HOOK}, with: {{http_conn_id: pager, form: pagerduty}}, severity: critical, late: false}}",
        f"{{notifier: {HOOK}, with: {{http_conn_id: x, payload: {{routing_key: '{{{{ conn.x.password }}}}'}}}}}}",
        "{notifier: own.Pager, with: {room: a}}",
        "{notifier: own.Sub, with: {room: a, level: 2}}",
    ],
)
def test_channels_that_are_right(root: Path, channel: str) -> None:
    assert [str(each) for each in found_in(root, channel)] == []


@pytest.mark.parametrize(
    ("channel", "code", "words", "meant"),
    [
        ("5", "type", "expected keys and values", None),
        ("{with: {to: x}}", "missing-key", "`notifier` is missing", None),
        (f"{{notifier: {SMTP[:-1]}}}", "import", "has no `SmtpNotifie`", SMTP),
        ("{notifier: own.Pagr, with: {room: a}}", "import", "has no `Pagr`", "own.Pager"),
        ("{notifier: own.tell}", "import", "is not a notifier of Airflow, but a function", None),
        (
            "{notifier: airflow.providers.apprise.notifications.apprise.X}",
            "import",
            "there is no module",
            None,
        ),
        ("{notifier: own}", "import", "expected an import path", None),
        (f"{{notifier: {SMTP}, with: {{too: a@b.c, to: x}}}}", "argument", "takes no argument `too`", "to"),
        ("{notifier: own.Pager}", "argument", "Pager needs `room`", None),
        ("{notifier: own.Pager, with: {room: a, loud: maybe}}", "type", "expected true or false", None),
        (
            "{notifier: own.Pager, with: {room: a, every: 5m}}",
            "argument",
            "`every` of Pager is not plain text",
            None,
        ),
        ("{notifier: own.Sub, with: {room: a, levl: 2}}", "argument", "takes no argument `levl`", "level"),
        ("{notifier: own.Sub, with: {room: a}, faults: SOURCE_MISING}", "fault", "neither the code", "SOURCE_MISSING"),
        ("{notifier: own.Sub, with: {room: a}, faults: [data, Fatl]}", "fault", "neither the code", "fatal"),
        ("{notifier: own.Sub, with: {room: a}, severity: critcal}", "value", "expected one of", "critical"),
        ("{notifier: own.Sub, with: {room: a}, fault: data}", "unknown-key", "has no key `fault`", "faults"),
        (f"{{notifier: {HOOK}, with: {{http_conn_id: x, form: slak}}}}", "type", "expected one of", "slack"),
    ],
)
def test_what_is_wrong_with_a_channel_is_said_at_its_place(
    root: Path, channel: str, code: str, words: str, meant: str | None
) -> None:
    [diagnostic] = found_in(root, channel)
    assert (diagnostic.code, diagnostic.line, diagnostic.suggestion) == (code, 3, meant), str(diagnostic)
    assert words in diagnostic.message


@pytest.mark.parametrize(
    "said",
    [
        "room: a, message: https://hooks.slack.com/services/T0/B0/x",
        "room: https://me:word@host/",
        "room: a, password: word",
        "room: a, api_token: word",
        "room: a, nested: {routing_key: R01}",
        "room: a, headers: {Authorization: Bearer x}",
        "room: a, list: [{token: x}]",
    ],
)
def test_a_secret_that_is_written_out_is_refused_with_its_remedy(root: Path, said: str) -> None:
    diagnostics = [each for each in found_in(root, f"{{notifier: own.Sub, with: {{{said}}}}}") if each.code == "secret"]
    assert len(diagnostics) == 1
    assert "Airflow connection" in diagnostics[0].message


@pytest.mark.parametrize("said", ["slack_webhook_conn_id: a", "token: '{{ conn.x.password }}'", "room: the token room"])
def test_what_only_looks_like_a_secret_is_not_refused(root: Path, said: str) -> None:
    assert [each for each in found_in(root, f"{{notifier: own.Sub, with: {{{said}}}}}") if each.code == "secret"] == []


def test_a_pipeline_changes_keys_of_a_channel_of_the_defaults_or_switches_it_off(root: Path) -> None:
    (root / "own.py").write_text(OWN)
    (root / "defaults.yaml").write_text(
        "alerts:\n  chat: {notifier: own.Sub, with: {room: a}}\n  page: {notifier: own.Sub, with: {room: b}}\n"
    )
    write(root, it=f"sluicegate: 1\nalerts:\n  chat: {{faults: fatal, with: {{level: 3}}}}\n  page: null\n{STEPS}")
    alerts = read_together(root / "it.yaml", root).pipeline.alerts
    assert alerts["page"] is None
    assert alerts["chat"] is not None
    assert (alerts["chat"].faults, alerts["chat"].with_) == (("fatal",), {"room": "a", "level": 3})
    write(root, it=f"sluicegate: 1\nalerts: null\n{STEPS}")
    assert read_together(root / "it.yaml", root).pipeline.alerts == {}
