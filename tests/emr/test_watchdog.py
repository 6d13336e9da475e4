from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sluicegate.emr.verdict import ClusterStatus, verdict
from sluicegate.emr.watchdog import NAME, SCRIPT, SLACK, Watchdog

NOW = datetime.now(UTC)


class Node:
    """What the script does on a node with this `instance.json`, and a `sudo` that notes what it is asked for."""

    def __init__(self, root: Path, info: str | None) -> None:
        self.info, self.asked = root / "instance.json", root / "asked"
        if info is not None:
            self.info.write_text(info)
        self.script = root / "deadline.sh"
        self.script.write_text(SCRIPT)
        self.sudo = root / "sudo"
        self.sudo.write_text(f'#!/bin/sh\necho "$@" > {self.asked}\n')
        self.sudo.chmod(0o755)

    def run(self, at: datetime) -> str:
        env = {"PATH": f"{self.sudo.parent}:{os.environ['PATH']}", "INSTANCE_INFO": str(self.info)}
        done = subprocess.run(["bash", str(self.script), str(int(at.timestamp()))], env=env, capture_output=True)
        assert done.returncode == 0
        return self.asked.read_text().strip() if self.asked.exists() else ""


def test_the_primary_node_shuts_down_at_the_deadline(tmp_path: Path) -> None:
    asked = Node(tmp_path, '{\n  "isMaster": true,\n "x": 1}').run(datetime.now(UTC) + timedelta(hours=1)).split()
    assert asked[:2] == ["systemd-run", "--unit=sluicegate-deadline"]
    assert 3590 <= int(asked[2].removeprefix("--on-active=").removesuffix("s")) <= 3600
    assert asked[3:] == ["/sbin/shutdown", "-h", "now"]


@pytest.mark.parametrize("info", ['{"isMaster": false}', "", None])
def test_no_other_node_does(tmp_path: Path, info: str | None) -> None:
    assert Node(tmp_path, info).run(NOW) == ""


def test_a_cluster_starts_though_no_deadline_can_be_set(tmp_path: Path) -> None:
    node = Node(tmp_path, '{"isMaster": true}')
    node.sudo.write_text("#!/bin/sh\nexit 1\n")
    assert node.run(NOW) == ""


def test_it_comes_before_what_may_hang() -> None:
    request = Watchdog("s3://code/deadline.sh", NOW).before({"BootstrapActions": [{"Name": "install"}]})
    first, second = request["BootstrapActions"]
    assert (first["Name"], second["Name"]) == (NAME, "install")
    assert first["ScriptBootstrapAction"]["Args"] == [str(int((NOW + SLACK).timestamp()))]


def test_a_cluster_has_it_unless_its_profile_says_no(aws: Any, make_task: Any) -> None:
    make_task().execute()
    [cluster] = aws.clusters.values()
    [action] = cluster["Request"]["BootstrapActions"]
    assert aws.s3.get(action["ScriptBootstrapAction"]["Path"]) == SCRIPT.encode()
    ends = datetime.fromisoformat(cluster["Tags"]["sluicegate:not-after"])
    assert int(action["ScriptBootstrapAction"]["Args"][0]) == int((ends + SLACK).timestamp())
    aws.clusters.clear()
    cluster = {"release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"}, "watchdog": False}
    make_task(cluster=cluster).execute()
    [cluster] = aws.clusters.values()
    assert "BootstrapActions" not in cluster["Request"]


def test_a_cluster_that_it_has_ended_ran_out_of_time() -> None:
    def code(ended: datetime, reason: str = "INSTANCE_FAILURE") -> str:
        tags = {"sluicegate:not-after": NOW.isoformat()}
        cluster = ClusterStatus("j-1", "n", "TERMINATED_WITH_ERRORS", reason, ended=ended, tags=tags)
        found = verdict(cluster, [], max_runtime=timedelta(hours=1))
        return found.code if found else ""

    assert code(NOW + SLACK) == "CLUSTER_DEADLINE"
    assert code(NOW - SLACK) == "CLUSTER_LOST"
    assert code(NOW + SLACK, "USER_REQUEST") == "CLUSTER_TERMINATED_OUTSIDE"
