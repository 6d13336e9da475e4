"""An alert goes out once, by real servers on loopback, whatever a channel does."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.notifier import BaseNotifier

from sluicegate.alerts.claims import FileClaims
from sluicegate.alerts.send import send
from sluicegate.alerts.words import words_for
from sluicegate.faults import CATALOGUE
from sluicegate.pipeline.keys.alerts import Channel, Severity
from tests.alerts.servers import Http, Smtp
from tests.alerts.test_message import ALERT

HOOK = Channel(notifier="sluicegate.alerts.webhook.WebhookNotifier", with_={"http_conn_id": "hook"})
MAIL = Channel(
    notifier="airflow.providers.smtp.notifications.smtp.SmtpNotifier",
    with_={"to": ["on-call@example.com"], "smtp_conn_id": "mail"},
)
BROKEN = Channel(notifier="tests.alerts.notifiers.Raising")


def outcomes(*channels: Channel, **more: Any) -> list[str | None]:
    named = {f"c{number}": channel for number, channel in enumerate(channels)}
    return [one.reason for one in send(ALERT, named, **more)]


def of_form(form: str, **more: Any) -> Channel:
    return Channel(notifier=HOOK.notifier, with_={"http_conn_id": "hook", "form": form, **more})


def test_a_webhook_gets_the_alert_as_json(http: Http) -> None:
    assert outcomes(HOOK) == [None]
    assert http.bodies == [ALERT.as_dict()]


def test_a_mail_has_the_title_as_its_subject_and_all_the_facts(smtp: Smtp) -> None:
    assert outcomes(MAIL) == [None]
    [mail] = smtp.mails
    assert mail["Subject"] == ALERT.title
    assert mail["To"] == "on-call@example.com"
    [words] = smtp.bodies
    assert "sluicegate recover plan" in words
    assert "&lt;required:id&gt;" in words


def test_pagerduty_gets_an_event_with_the_key_of_the_connection(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", http.connection(password="routing"))
    assert outcomes(of_form("pagerduty")) == [None]
    [request] = http.requests
    assert request.path == "/v2/enqueue"
    assert "Authorization" not in request.headers
    assert (request.body["routing_key"], request.body["event_action"]) == ("routing", "trigger")
    assert request.body["dedup_key"] == ALERT.dedupe_key
    assert request.body["payload"]["severity"] == "error"
    assert request.body["payload"]["custom_details"]["recover"] == ALERT.recovery
    assert [link["text"] for link in request.body["links"]] == ["Log"]


def test_alertmanager_gets_labels_to_group_by(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", http.connection(login="me", password="word"))
    assert outcomes(of_form("alertmanager")) == [None]
    [request] = http.requests
    assert request.path == "/api/v2/alerts"
    assert request.headers["Authorization"].startswith("Basic ")
    [alert] = request.body
    assert alert["labels"]["alertname"] == "TOO_MANY_DEAD_LETTERS"
    assert alert["labels"]["group"] == ALERT.group_key
    assert alert["annotations"]["summary"] == ALERT.title
    assert alert["startsAt"] < alert["endsAt"]


def test_slack_s_webhook_is_the_host_and_the_password(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"http://127.0.0.1:{http.port}/services"
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": host, "password": "T0/B0/x"}))
    assert outcomes(of_form("slack")) == [None]
    [request] = http.requests
    assert request.path == "/services/T0/B0/x"
    assert request.body == {"text": ALERT.slack()}


def test_what_is_posted_may_be_said_with_templates(http: Http) -> None:
    said = {"what": "{{ alert.title }}", "run": "{{ run_id }}", "list": ["{{ alert.code }}"]}
    channel = Channel(notifier=HOOK.notifier, with_={"http_conn_id": "hook", "payload": said})
    assert outcomes(channel, context={"run_id": "r1"}) == [None]
    assert http.bodies == [{"what": ALERT.title, "run": "r1", "list": [ALERT.code]}]


def slack_channel(http: Http, monkeypatch: pytest.MonkeyPatch) -> Channel:
    known = {"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{http.port}/services", "password": "T0/B0/x"}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", json.dumps(known))
    notifier = "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier"
    return Channel(notifier=notifier, with_={"slack_webhook_conn_id": "slack"})


def test_slack_s_own_notifier_posts_slack_s_markup_to_its_webhook(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(slack_channel(http, monkeypatch)) == [None]
    [request] = http.requests
    assert (request.path, request.body) == ("/services/T0/B0/x", {"text": ALERT.slack()})


def test_pagerduty_s_own_notifier_sends_an_event_with_all_facts(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    here = property(lambda _: f"http://127.0.0.1:{http.port}", lambda *_: None)  # its address is fixed otherwise
    monkeypatch.setattr("pagerduty.EventsApiV2Client.url", here)
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", json.dumps({"conn_type": "pagerduty_events", "password": "R" * 32}))
    notifier = "airflow.providers.pagerduty.notifications.pagerduty.PagerdutyNotifier"
    http.says = json.dumps({"status": "success", "message": "Event processed", "dedup_key": ALERT.dedupe_key})
    assert outcomes(Channel(notifier=notifier, with_={"pagerduty_events_conn_id": "pager"})) == [None]
    [request] = http.requests
    event, payload = request.body, request.body["payload"]
    assert (request.path, event["routing_key"], event["event_action"]) == ("/v2/enqueue", "R" * 32, "trigger")
    assert event["dedup_key"] == ALERT.dedupe_key
    assert (payload["summary"], payload["severity"]) == (ALERT.title, "error")
    assert (payload["source"], payload["component"], payload["class"]) == ("orders", "load_orders", ALERT.code)
    assert (payload["group"], payload["custom_details"]["run_id"]) == (ALERT.group_key, ALERT.run_id)


def test_a_name_that_may_mean_anything_is_left_alone() -> None:
    class Odd(BaseNotifier):
        def __init__(self, *, source: str = "", group: str = "", message: str) -> None:
            super().__init__()

    assert words_for(Odd, {}, ALERT) == {"message": ALERT.text()}
    assert words_for(Odd, {"message": "x"}, ALERT) == {}


def test_airflow_s_own_http_notifier_gets_the_dictionary(http: Http) -> None:
    pytest.importorskip("airflow.providers.http.notifications.http")
    channel = Channel(
        notifier="airflow.providers.http.notifications.http.HttpNotifier",
        with_={"http_conn_id": "hook", "endpoint": "alerts"},
    )
    assert outcomes(channel) == [None]
    assert [(request.path, request.body) for request in http.requests] == [("/alerts", ALERT.as_dict())]


def test_the_words_of_an_error_are_no_template(http: Http, smtp: Smtp, monkeypatch: pytest.MonkeyPatch) -> None:
    alert = replace(ALERT, detail="{{ 7 * 7 }} {% raise %} {{ conn.warehouse.password }}")
    slack = slack_channel(http, monkeypatch)
    assert [one.reason for one in send(alert, {"mail": MAIL, "slack": slack})] == [None, None]
    assert "{{ 7 * 7 }} {% raise %}" in http.bodies[0]["text"]
    assert "{{ 7 * 7 }} {% raise %}" in smtp.bodies[0]


# --- channels that fail ------------------------------------------------------------------------------------------


def test_a_channel_that_recovers_within_three_tries_has_it_once(http: Http) -> None:
    http.statuses = [500, 503, 200]
    assert outcomes(HOOK) == [None]
    assert len(http.requests) == 3


def test_a_channel_that_fails_is_reported_by_the_others_and_in_the_log(
    http: Http, smtp: Smtp, caplog: pytest.LogCaptureFixture
) -> None:
    http.statuses = [500]
    [webhook, mail] = send(ALERT, {"hook": HOOK, "mail": MAIL})
    assert mail.is_sent
    assert "answered 500" in (webhook.reason or "")
    assert len(http.requests) == 3
    about = "orders.load_orders could not send an alert for 2026-01-02: ALERT_UNDELIVERED"
    assert [mail["Subject"] for mail in smtp.mails] == [ALERT.title, about]
    assert "ALERT_UNDELIVERED: hook does not have" in caplog.text
    assert "hunter2" not in caplog.text + "".join(smtp.bodies)


def test_each_alert_that_a_channel_does_not_take_is_reported_by_the_others(http: Http, smtp: Smtp) -> None:
    http.statuses = [500]
    only_late = MAIL.model_copy(update={"faults": ("fatal",), "severity": Severity.CRITICAL})
    for code in ("TOO_MANY_DEAD_LETTERS", "CHECK_FAILED", "CHECK_FAILED"):
        send(replace(ALERT, fault=CATALOGUE[code]), {"hook": HOOK, "mail": only_late})
    said = [body for body in smtp.bodies if "It was to say" in body]
    assert ["CHECK_FAILED" in body for body in said] == [False, True]


def test_the_reason_of_a_failure_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    [reason] = outcomes(BROKEN)
    assert reason is not None
    assert "hunter2" not in reason
    assert "hunter2" not in caplog.text


def test_a_channel_that_hangs_keeps_no_one_waiting(http: Http, smtp: Smtp, monkeypatch: pytest.MonkeyPatch) -> None:
    # The time is over once the mail has gone, however long that took.
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 1000 * len(smtp.mails), sleep=time.sleep)
    monkeypatch.setattr("sluicegate.alerts.send.time", clock)
    http.hangs = True
    mail, webhook = send(ALERT, {"mail": MAIL, "hook": HOOK}, deadline=100)
    assert webhook.reason == "no answer in time"
    assert mail.is_sent
    assert len(smtp.mails) == 2
    http.ends.set()
    for thread in threading.enumerate():  # it would go on into the next test
        if thread.name == "alert hook":
            thread.join(60)


@pytest.mark.parametrize(
    "channel",
    [
        Channel(notifier="tests.alerts.nowhere.Notifier"),
        Channel(notifier="tests.alerts.notifiers.Nothing"),
        Channel(notifier=HOOK.notifier, with_={"no_such": 1}),
        Channel(notifier=HOOK.notifier, with_={"http_conn_id": "no_such_connection"}),
        Channel(notifier=None),
    ],
    ids=["module", "name", "argument", "connection", "none"],
)
def test_nothing_that_is_wrong_with_a_channel_is_an_exception(channel: Channel) -> None:
    [reason] = outcomes(channel)
    assert reason


def test_an_alert_that_no_channel_is_for_goes_nowhere(http: Http) -> None:
    assert send(ALERT, {"hook": HOOK.model_copy(update={"faults": ("fatal",)}), "off": None}) == ()
    assert http.requests == []


# --- once --------------------------------------------------------------------------------------------------------


def test_one_fault_of_a_run_is_one_message_whichever_step_or_item_has_it(http: Http) -> None:
    for index in range(5):
        send(replace(ALERT, map_index=index, step=f"s{index % 2}"), {"hook": HOOK})
    assert len(http.requests) == 1


@pytest.mark.parametrize("other", [{"run_id": "another"}, {"round": 4}, {"pipeline": "other"}])
def test_another_run_and_a_failure_after_a_clear_are_messages_of_their_own(http: Http, other: dict[str, Any]) -> None:
    send(ALERT, {"hook": HOOK})
    send(replace(ALERT, **other), {"hook": HOOK})
    assert len(http.requests) == 2


def test_a_channel_that_did_not_get_it_gets_it_from_the_next_that_fails_later(http: Http) -> None:
    http.statuses = [500, 500, 500, 200]
    send(ALERT, {"hook": HOOK})
    send(ALERT, {"hook": HOOK})
    assert len(http.requests) == 3
    _age(400)
    send(ALERT, {"hook": HOOK})
    assert len(http.requests) == 4
    _age(400)
    send(ALERT, {"hook": HOOK})
    assert len(http.requests) == 4


def test_old_claims_are_swept_away(http: Http) -> None:
    send(ALERT, {"hook": HOOK})
    _age(8 * 86400)
    send(replace(ALERT, run_id="another"), {"hook": HOOK})
    assert len([file for file in FileClaims().folder.iterdir() if file.name != "lock"]) == 1


def test_where_nothing_can_be_kept_it_is_sent_all_the_same(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    FileClaims().folder.write_text("not a folder")
    assert outcomes(HOOK) == [None]
    assert outcomes(HOOK) == [None]
    assert len(http.requests) == 2
    assert "Not known here who else sends" in caplog.text


def _age(seconds: float) -> None:
    for file in FileClaims().folder.iterdir():
        moment = file.stat().st_mtime - seconds
        os.utime(file, (moment, moment))
