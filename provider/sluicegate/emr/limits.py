"""AWS's limits on a request, refused with the key that is too long and what to do, before AWS does. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluicegate.faults import fault
from sluicegate.pipeline.check.jobs import MOST_STEPS, MOST_WORDS, too_many_steps, too_many_words

__all__ = ["refuse_oversized"]

_LONGEST_NAME = 256
_MOST_TAGS = 50


def refuse_oversized(request: Mapping[str, Any]) -> None:
    """:raises FatalFault: WRONG_USE when the steps, their arguments, names or tags are more than EMR takes."""
    steps = request["Steps"]
    if len(steps) > MOST_STEPS:
        raise fault("WRONG_USE", too_many_steps(len(steps)))
    for step in steps:
        length = sum(map(len, (step["HadoopJarStep"]["Jar"], *step["HadoopJarStep"]["Args"])))
        if length > MOST_WORDS:
            what = f"job {step['Name']}: its `args` (with `reads`, `writes` and what else goes to spark-submit)"
            raise fault("WRONG_USE", too_many_words(what, length), job=step["Name"])
        if len(step["Name"]) > _LONGEST_NAME:
            raise fault("WRONG_USE", f"job {step['Name'][:40]}…: its `name` has more than {_LONGEST_NAME} characters")
    if len(request["Tags"]) > _MOST_TAGS:
        raise fault(
            "WRONG_USE", f"AWS takes {_MOST_TAGS} tags, not {len(request['Tags'])}: shorten the cluster's `tags`"
        )
