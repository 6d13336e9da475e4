"""The command `sluicegate`. Each subcommand's module is imported when it is run, not for `--help`."""

from __future__ import annotations

import typer

from sluicegate.cli.lazy import Entry, lazy_group

__all__ = ["app", "main"]

_COMMANDS = {
    "up": Entry(
        "stack",
        "up",
        "Start Postgres, Airflow and a local AWS that runs Spark, all on this machine.",
        bare={"--chaos": "default"},
    ),
    "down": Entry("stack", "down", "Stop what `sluicegate up` started."),
    "put": Entry("stack", "put", "Put a file into the local S3, for a pipeline to load."),
    "exec": Entry("stack", "execute", "Run a command, such as `airflow`, as one of the stack.", whole=True),
    "demo": Entry("demo", "demo", "Run the sample pipelines on real data and show what was loaded."),
    "alerts": Entry("alerts", "app", "List the alerts of pipelines, sent and undelivered; try their channels."),
    "check": Entry("check", "check", "Check pipeline files; every error with file:line:column."),
    "circuits": Entry("circuits", "app", "List what tasks wait for because it failed; let them all through again."),
    "clusters": Entry("clusters", "app", "List the EMR clusters that run; end those that no task needs any more."),
    "doctor": Entry("doctor", "doctor", "Look at what pipelines need of Airflow and AWS, before they run."),
    "dead-letters": Entry("dead_letters", "app", "List, show, replay or close the records that loads have set aside."),
    "health": Entry("health", "health", "Show what is late, failing or stalled, and what to do about it."),
    "import": Entry("migrate", "app", "Turn the files of another DAG factory into pipeline files."),
    "trigger": Entry("trigger", "trigger", "Start a run of a pipeline, once, with checked params; follow it."),
    "schema": Entry("schema", "schema", "Print the JSON Schema of a pipeline file, for editors."),
    "graph": Entry("graph", "graph", "Draw the pipelines with their steps and datasets: SVG, PNG, Mermaid."),
    "recover": Entry("recover", "app", "Run again what failed, in order: plan it, carry it out, see how far it is."),
    "runs": Entry("runs", "app", "List runs, show what made one, say why a number changed between two."),
    "render": Entry("render", "render", "Show the DAGs that pipelines become, as JSON or as plain Python."),
}


app = typer.Typer(
    cls=lazy_group(_COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _sluicegate() -> None:
    """Data pipelines that survive production: YAML in, Airflow DAGs out."""


def main() -> None:
    app()
