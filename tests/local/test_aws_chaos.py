"""Chaos as a client of the running server meets it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ConnectionClosedError

from sluicegate.local.aws import LocalAws
from sluicegate.local.aws.plan import Plan
from sluicegate.local.stack import clients
from sluicegate.local.stack.errors import WrongUse
from sluicegate.local.stack.state import Secrets
from tests.local.test_aws_emr import shell, start
from tests.local.test_aws_signature import client


def test_a_running_server_loses_exactly_the_answer_that_a_signed_request_named(tmp_path: Path) -> None:
    secrets = Secrets()
    known = {"access_key": secrets.aws_access_key, "secret_key": secrets.aws_secret_key}
    with LocalAws(tmp_path / "s3", builder=shell, chaos=Plan.parse("throttling=0,seed=3,capacity=0"), **known) as aws:
        url = f"{aws.endpoint_url}/_sluicegate/chaos"
        assert httpx.post(url, json={"fault": "lost-response"}).status_code == 403
        assert aws.chaos.report()["armed"] == []
        with pytest.raises(WrongUse, match="Unknown fault 'lost-respnse'"):
            clients.chaos(aws.endpoint_url, secrets, "POST", {"fault": "lost-respnse"})

        clients.chaos(aws.endpoint_url, secrets, "POST", {"fault": "lost-response", "action": "RunJobFlow"})
        emr = clients.aws("emr", aws.endpoint_url, secrets)
        with pytest.raises(ConnectionClosedError):
            start(client(aws, "emr", secrets.aws_secret_key, secrets.aws_access_key))
        assert len(emr.list_clusters()["Clusters"]) == 1
        assert clients.chaos(aws.endpoint_url, secrets)["injected"] == {"lost-response": 1}
