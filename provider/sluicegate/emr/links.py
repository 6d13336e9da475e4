"""Links from a task to its cluster, on the task's page in Airflow: while it waits, and after it has ended.

Airflow keeps them as XComs: after each run of the task it asks every link for its address, deferrals included.
Imported when a DAG is parsed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from sluicegate.emr.connection import Aws
    from sluicegate.emr.verdict import StepStatus

__all__ = ["LINKS", "ClusterLink", "HistoryLink", "StepLogLink", "addresses"]

log = logging.getLogger(__name__)

_CONSOLES = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}
_LOCAL_DAYS = 7 * 24 * 3600
"""How long a link to a log of the local EMR works, in seconds: the longest for which AWS signs."""


class _ClusterLinks(BaseOperatorLink):
    """A link whose address the operator knows, once it has a cluster."""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty while there is no cluster, and where it leads nowhere (Airflow then shows no link)."""
        known: Mapping[str, str] | None = getattr(operator, "links", None)
        if known is not None:
            return known.get(self.name, "")
        from airflow.sdk.execution_time.xcom import XCom

        # The task ended before it knew its cluster: an earlier run, before the deferral, may have known it.
        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")


class ClusterLink(_ClusterLinks):
    name = "EMR cluster"


class StepLogLink(_ClusterLinks):
    name = "Step log"


class HistoryLink(_ClusterLinks):
    """AWS opens the history server from the cluster's page alone, with an address that is good for minutes."""

    name = "Spark history (Applications)"


LINKS: tuple[BaseOperatorLink, ...] = (ClusterLink(), StepLogLink(), HistoryLink())


def addresses(aws: Aws, cluster_id: str, log_uri: str, steps: Sequence[StepStatus] = ()) -> dict[str, str]:
    """Where the links lead, by their names. Never raises: a link is a convenience.

    :param steps: empty while they run; afterwards the log is that of the one which failed, or else of the last
    """
    try:
        return _addresses(aws, cluster_id, log_uri, steps)
    except Exception as unknown:
        log.warning("The links to %s are not known: %s", cluster_id, unknown)
        return {}


def _addresses(aws: Aws, cluster_id: str, log_uri: str, steps: Sequence[StepStatus]) -> dict[str, str]:
    s3 = aws.client("s3", attempts=1)
    shown = next((step.step_id for step in steps if step.state == "FAILED"), steps[-1].step_id if steps else "")
    where = urlsplit(log_uri)
    folder = "/".join(part for part in (where.path.strip("/"), cluster_id, "steps", shown) if part) + "/"
    host = urlsplit(s3.meta.endpoint_url).hostname or ""
    if _is_here(host) and where.netloc:
        return {StepLogLink.name: _signed(s3, where.netloc, folder, bool(shown))}
    if not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return {}  # something in AWS's stead, which has no console
    region, console = s3.meta.region_name, f"https://console.{_CONSOLES.get(s3.meta.partition, _CONSOLES['aws'])}"
    page = f"{console}/emr/home?region={region}#/clusterDetails/{cluster_id}"
    found = {ClusterLink.name: page, HistoryLink.name: page}
    if where.netloc:
        asked = urlencode({"region": region, "prefix": folder})
        found[StepLogLink.name] = f"{console}/s3/buckets/{quote(where.netloc)}?{asked}"
    return found


def _is_here(host: str) -> bool:
    """Whether `host` is this machine. Only there may a signed address be kept: it opens the log without a key."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _signed(s3: Any, bucket: str, folder: str, ended: bool) -> str:
    """A signed address: of the list of log files while they come, of the driver's output afterwards."""
    call, asked = "list_objects_v2", {"Bucket": bucket, "Prefix": folder}
    if ended:
        call, asked = "get_object", {"Bucket": bucket, "Key": f"{folder}stdout.gz"}
    return str(s3.generate_presigned_url(call, Params=asked, ExpiresIn=_LOCAL_DAYS))
