"""Secrets do not reach a log or a store."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.faults import fault, redact
from sluicegate.faults.redact import redact_facts, secrets_in

# Signs that a person or a generator puts into a password and that need no quotes in the form around it.
PASSWORDS = st.text(st.sampled_from("abcXYZ019!$%^*+-_.~#/:@?"), min_size=6, max_size=40).map(lambda t: f"Zq7{t}")


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://etl:{}@db.example:5432/warehouse",
        'could not connect to "postgresql+psycopg://etl:{}@db/warehouse"',
        "amqp://:{}@queue",
        "host=db user=etl password={} dbname=w",
        "password='{}' host=db",
        'PASSWORD = "{}"',
        "--db-password={}",
        "aws_secret_access_key={}",
        "{{'aws_secret_access_key': '{}', 'region': 'eu'}}",
        '{{"password": "{}"}}',
        "https://bucket.s3.amazonaws.com/key?X-Amz-Security-Token={}",
        "SLACK_TOKEN={}",
        "Authorization: Bearer {}",
        "pwd={}",
    ],
)
@given(password=PASSWORDS)
def test_a_password_is_masked_in_every_form_it_comes_in(form: str, password: str) -> None:
    shown = redact(form.format(password))
    assert password not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "form",
    [
        "https://it.blob.core.windows.net/c/f.csv?sv=2020-08-04&sig={}&sp=r",
        "POST https://hooks.slack.com/services/T000/B000/{} failed",
        "{{'X-Api-Key': '{}', 'Accept': '*/*'}}",
        "X-Api-Key: {}",
        "x-api-key={}",
        "Authorization: Token {}",
        "{{'authorization': '{}'}}",
        "Headers([('authorization', 'Bearer {}')])",
        "(b'authorization', b'Bearer {}')",
        "{{'Set-Cookie': 'session={}'}}",
        "the token xoxb-{} is invalid",
        "ghp_{} was refused",
    ],
)
def test_what_addresses_headers_and_services_let_in_by_is_masked(form: str) -> None:
    shown = redact(form.format("canaryCANARY0123456789"))
    assert "canary" not in shown
    assert redact(shown) == shown


@pytest.mark.parametrize("key", ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"])
def test_an_access_key_id_is_masked(key: str) -> None:
    assert redact(f"the key {key} is not allowed") == "the key *** is not allowed"


@given(st.text(max_size=300))
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "relation public.flights does not exist",
        "s3://landing/orders/2026-01-01.csv was not found",
        "table://warehouse/public.delays: 28 of 929 records have no tailnum",
        "http://127.0.0.1:8080/health answered 503",
        "the secretary has 3 people; a token of trust",
        "column=password is unknown",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("postgresql://u:hunter2@db password='a b c d'", {"hunter2", "a b c d"}),
        ("key AKIAIOSFODNN7EXAMPLE", {"AKIAIOSFODNN7EXAMPLE"}),
        ("postgresql://u:***@db", set()),
        ("nothing at all", set()),
    ],
)
def test_what_is_masked_is_known_for_other_logs(text: str, secrets: set[str]) -> None:
    assert secrets_in(text) == secrets


def test_a_fault_hides_the_secret_of_its_detail() -> None:
    assert "hunter2" not in str(fault("WAREHOUSE_DENIED", "postgresql://etl:hunter2@db/w"))


def test_facts_are_json_without_secrets() -> None:
    facts = {
        "url": "postgresql://u:hunter2@db",
        "password": "hunter2",
        "nested": [{"token": "hunter2"}],
        "rows": 3,
    }
    shown = json.dumps(redact_facts(facts))
    assert "hunter2" not in shown
    assert json.loads(shown)["rows"] == 3
