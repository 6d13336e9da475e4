"""Holds a client's every request and answer to botocore's model of EMR: members, types, lengths, patterns, words."""

from __future__ import annotations

import json
from typing import Any

from sluicegate.local.aws.model import operations, violations


def held_to_the_model(client: Any) -> Any:
    """The client, which then raises AssertionError at the first answer that leaves its shape."""

    def look(operation_model: Any, response_dict: Any, **more: Any) -> None:
        if response_dict["status_code"] == 200:
            shape = operations()[operation_model.name].output_shape
            found = list(violations(shape, json.loads(response_dict["body"]), strict=True)) if shape else []
            assert not found, f"{operation_model.name}: {found}"

    client.meta.events.register("before-parse.emr", look)
    return client
