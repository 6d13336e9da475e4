"""The name of a cluster: the only thing by which a cluster is found again after a crash.

A name says which task instance the cluster works for and which attempt it is. It has no try number,
so that a retry finds what an earlier try has started. Pure: no Airflow, no AWS.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["ANY_INSTALLATION", "RunKey", "automatic_name", "may_be_of"]

ANY_INSTALLATION = "sluicegate-*"
"""What all names have in common of Airflows that were given none, as a pattern of IAM."""

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_MADE = r"-[0-9a-f]{16}-a[1-9][0-9]*"
"""How the names of our clusters end."""
_LONGEST = 100
"""The longest of each readable part. EMR takes names of up to 256 characters."""


@dataclass(frozen=True)
class RunKey:
    """One task instance of one deployment: whom a cluster works for."""

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @cached_property
    def digest(self) -> str:
        """The digest of this task instance, as 16 hex digits."""
        parts = (self.deployment, self.dag_id, self.run_id, self.task_id, str(self.map_index))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def base(self) -> str:
        """What the names of all its clusters begin with."""
        return f"{_readable(self.deployment)}-{_readable(self.dag_id)}-{self.digest}"

    def name(self, attempt: int) -> str:
        """`<deployment>-<pipeline>-<digest>-a<attempt>`; attempts count from 1."""
        return f"{self.base}-a{attempt}"

    def beside(self, name: str) -> bool:
        """Whether `name` looks like the name of a cluster of another task instance of the same DAG."""
        if name.startswith(f"{self.base}-"):
            return False
        start = f"{_readable(self.deployment)}-{_readable(self.dag_id)}"
        return bool(re.fullmatch(re.escape(start) + _MADE, name))

    def attempt(self, name: str) -> int | None:
        """The attempt that `name` is of this key, or None when it is not a name of this key."""
        match = re.fullmatch(re.escape(self.base) + r"-a([1-9][0-9]*)", name)
        return int(match[1]) if match else None


def automatic_name(installation: str) -> str:
    """The name of an Airflow that was given none, by its id."""
    return ANY_INSTALLATION.replace("*", installation)


def may_be_of(deployment: str, name: str) -> bool:
    """Whether `name` looks like the name of a cluster of `deployment`. Its tags say whether it is one."""
    return bool(re.fullmatch(re.escape(_readable(deployment)) + r"-.*" + _MADE, name))


def _readable(text: str) -> str:
    return _UNFIT.sub("-", text)[:_LONGEST]
