"""`sluicegate schema`: the form of a pipeline file, as JSON Schema for editors or as a page for people."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sluicegate.pipeline.keys.reference import reference_page
from sluicegate.pipeline.keys.schema import defaults_schema, pipeline_schema

__all__ = ["schema"]

_WRONG_USE = 2


def schema(
    defaults: Annotated[bool, typer.Option("--defaults", help="Of `defaults.yaml`, not of a pipeline file.")] = False,
    recovery_plan: Annotated[bool, typer.Option("--recovery-plan", help="Of the file of a recovery plan.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The page of reference: every key of both.")] = False,
) -> None:
    """Print the JSON Schema (draft-07) of a pipeline file, for editors."""
    if defaults + markdown + recovery_plan > 1:
        typer.echo(
            "sluicegate schema: give one of --defaults, --recovery-plan and --markdown (it has `--defaults` too)",
            err=True,
        )
        raise typer.Exit(_WRONG_USE)
    if recovery_plan:
        from sluicegate.recovery.plan_file import schema as plan_schema

        typer.echo(json.dumps(plan_schema(), indent=2, ensure_ascii=False))
        return
    if markdown:
        typer.echo(reference_page(), nl=False)
        return
    typer.echo(json.dumps(defaults_schema() if defaults else pipeline_schema(), indent=2, ensure_ascii=False))
