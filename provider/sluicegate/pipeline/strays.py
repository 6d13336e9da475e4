"""What is wrong with YAML files that are not pipelines: those that were probably meant to be, and `defaults.yaml`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, did_you_mean
from sluicegate.pipeline.file import DEFAULTS_KEYS, KEYS
from sluicegate.pipeline.text.digest import DEFAULTS
from sluicegate.pipeline.text.yaml import parse

__all__ = ["defaults_diagnostics", "near_miss"]

_KEY = re.compile(r"^([A-Za-z_-]+):", re.MULTILINE)


def near_miss(file: Path) -> list[Diagnostic]:
    """A warning where a file was probably meant to be a pipeline."""
    try:
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        return [Diagnostic("unreadable", f"this cannot be read: {error.strerror or error}", file, severity="warning")]
    for match in _KEY.finditer(text):
        if did_you_mean(match[1], ("sluicegate",)) and match[1] not in KEYS:
            line = text.count("\n", 0, match.start()) + 1
            return [
                Diagnostic(
                    code="not-a-pipeline",
                    message=f"this file is left alone: no line begins with `sluicegate:` (`{match[1]}:`)",
                    file=file,
                    line=line,
                    where=match[1],
                    suggestion="sluicegate",
                    source=text.splitlines()[line - 1],
                    severity="warning",
                )
            ]
    return []


def defaults_diagnostics(file: Path) -> list[Diagnostic]:
    """The diagnostics that a `defaults.yaml` has by itself, also where no pipeline is below it."""
    if file.name != DEFAULTS:
        message = f"this file is left alone: defaults are read from `{DEFAULTS}`"
        return [Diagnostic("not-a-pipeline", message, file, severity="warning", suggestion=DEFAULTS)]
    try:
        document = parse(file.read_bytes(), file)
    except OSError as error:
        return [Diagnostic("unreadable", f"this cannot be read: {error.strerror or error}", file)]
    except PipelineErrors as errors:
        return list(errors.diagnostics)
    found = list(document.diagnostics)
    for key in document.value:
        if key not in DEFAULTS_KEYS:
            _, _, place, _ = document.follow((key,))
            message = f"`{DEFAULTS}` has no key `{key}`"
            diagnostic = document.diagnostic("unknown-key", message, place, (key,))
            found.append(replace(diagnostic, suggestion=did_you_mean(key, DEFAULTS_KEYS)))
    return found
