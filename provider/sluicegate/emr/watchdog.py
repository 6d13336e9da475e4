"""A deadline on the cluster itself: a bootstrap action that shuts its primary node down when all else has failed.

It is EMR's first bootstrap action, so that one that hangs behind it ends too; a primary node that is gone ends its
cluster. Values in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = ["FILE", "NAME", "SCRIPT", "SLACK", "Watchdog"]

NAME = "sluicegate-deadline"
"""What EMR calls the bootstrap action."""

FILE = "deadline.sh"

SLACK = timedelta(minutes=15)
"""How much later than the tag's deadline: the task and the janitor end a cluster in order, and say why."""

SCRIPT = """\
#!/bin/bash
# Shuts the primary node down at the moment $1 (seconds since 1970), which ends the cluster: a last resort.
# It always succeeds: a cluster whose bootstrap action fails does not start.
info="${INSTANCE_INFO:-/mnt/var/lib/info/instance.json}"
grep -Eq '"isMaster"[[:space:]]*:[[:space:]]*true' "$info" || exit 0
left=$(( $1 - $(date +%s) ))
if [ "$left" -lt 60 ]; then left=60; fi
sudo systemd-run --unit=sluicegate-deadline --on-active="${left}s" /sbin/shutdown -h now \\
  || echo "this cluster has no deadline of its own: systemd-run failed" >&2
exit 0
"""


@dataclass(frozen=True)
class Watchdog:
    """The action of one cluster. `uri`: where `SCRIPT` was uploaded to; `not_after`: the deadline in its tags."""

    uri: str
    not_after: datetime

    def before(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with the action before all others."""
        at = int((self.not_after + SLACK).timestamp())
        action = {"Name": NAME, "ScriptBootstrapAction": {"Path": self.uri, "Args": [str(at)]}}
        return {**request, "BootstrapActions": [action, *request.get("BootstrapActions", ())]}
