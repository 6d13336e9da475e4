"""The forms in which `sluicegate check` says what it found: for people, for programs, for GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum

import typer

from sluicegate.cli.diagnostics import print_diagnostics
from sluicegate.cli.findings import Found
from sluicegate.cli.places import shown
from sluicegate.pipeline.diagnostics import Diagnostic

__all__ = ["CheckFormat", "report"]


class CheckFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def report(found: Found, format: CheckFormat) -> None:  # noqa: A002
    """Print the errors, then the warnings, then the counts; what programs read has the counts on standard error."""
    errors = [diagnostic for diagnostic in found.diagnostics if diagnostic.is_error]
    warnings = [diagnostic for diagnostic in found.diagnostics if not diagnostic.is_error]
    if format is CheckFormat.JSON:
        plain = [_plain(diagnostic) for diagnostic in (*errors, *warnings)]
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
    elif format is CheckFormat.GITHUB:
        for diagnostic in (*errors, *warnings):
            typer.echo(_annotation(diagnostic))
    else:
        print_diagnostics(errors)
        if errors and warnings:
            typer.echo("Warnings:\n")
        print_diagnostics(warnings)
    counts = [_count(len(errors), "error"), _count(len(warnings), "warning")]
    counted = ", ".join(count for count in counts if count) or "no errors"
    files = _count(len(found.files), "pipeline file") or "no pipeline files"
    typer.echo(f"{files}: {counted}", err=format is not CheckFormat.TEXT)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


def _plain(diagnostic: Diagnostic) -> dict[str, str | int | None]:
    return {
        "file": shown(diagnostic.file),
        "line": diagnostic.line,
        "column": diagnostic.column,
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "where": diagnostic.where,
        "message": diagnostic.message,
        "suggestion": diagnostic.suggestion,
    }


def _annotation(diagnostic: Diagnostic) -> str:
    """A workflow command of GitHub Actions, which draws it beside the line."""
    words = diagnostic.message
    if diagnostic.suggestion is not None:
        words += f"; did you mean `{diagnostic.suggestion}`?"
    place = {
        "file": shown(diagnostic.file),
        "line": diagnostic.line,
        "col": diagnostic.column,
        "title": diagnostic.code,
    }
    properties = ",".join(f"{key}={_escaped(str(value), ',:')}" for key, value in place.items())
    return f"::{diagnostic.severity} {properties}::{_escaped(words)}"


def _escaped(words: str, more: Iterable[str] = "") -> str:
    for letter in ("%", "\r", "\n", *more):
        words = words.replace(letter, f"%{ord(letter):02X}")
    return words
