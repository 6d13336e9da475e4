"""Sluicegate: YAML files become Airflow DAGs. Imported by every `airflow` call: keep it light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluicegate.discovery.one_file import load_pipelines

__version__ = "0.1.0"
__all__ = ["get_provider_info", "load_pipelines"]


def get_provider_info() -> dict[str, object]:
    """What Airflow's provider discovery asks for (schema: airflow/provider_info.schema.json)."""
    return {
        "package-name": "airflow-provider-sluicegate",
        "name": "Sluicegate",
        "description": "YAML files become DAGs with right dependencies, repeatable loads and dead letters.",
        "extra-links": [f"sluicegate.emr.links.{name}" for name in ("ClusterLink", "StepLogLink", "HistoryLink")],
        "config": {
            "sluicegate": {
                "description": "Settings of Sluicegate.",
                "options": {
                    "playbooks_folder": {
                        "description": "The folder with one page a pipeline, shown in the DAG's docs.\n"
                        "Empty: ``playbooks`` beside the dags root.\n",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/srv/pipelines/playbooks",
                        "default": "",
                    },
                    "playbooks_url": {
                        "description": "Where the playbooks are on the web: alerts link to a fault's section there,\n"
                        "``<url>/<page>.md#<fault>``. Empty: alerts name page and section.\n",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "https://git.example.com/data/pipelines/blob/main/playbooks",
                        "default": "",
                    },
                    "docs_url": {
                        "description": "Where Sluicegate's docs are published: logs and alerts link to the section\n"
                        "on a fault there, unless the pipeline's playbook has one. The page's name follows, as\n"
                        "``faults.md``, or takes the place of ``{page}``. Empty: ``docs/faults.md``.\n",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "https://docs.example.com/sluicegate/{page}/",
                        "default": "",
                    },
                    "tracebacks": {
                        "description": "Whether the log of a failed step has the traceback of a foreseen fault too.\n"
                        "That of a bug outside the author's code it always has.\n",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                    "circuit_failures": {
                        "description": "So many faults in a row of what needs one connection or host open its\n"
                        "circuit: tasks that need it wait in the triggerer instead of asking. 0: none ever does.\n",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "10",
                        "default": "5",
                    },
                    "circuit_pause": {
                        "description": "Seconds for which a circuit is open before one task may try again. Each\n"
                        "try that fails doubles them.\n",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "60",
                        "default": "30",
                    },
                    "circuit_longest": {
                        "description": "The longest of these pauses, in seconds; after that long a try without an\n"
                        "end, whose worker may have died, lets the next one through.\n",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "1800",
                        "default": "600",
                    },
                    "env_allowlist": {
                        "description": "Environment variables that pipeline files may read with ``${env:NAME}``,\n"
                        "separated by commas; those that begin with ``SLUICEGATE_`` need not be named. What is read\n"
                        "lands in serialized DAGs: no secrets.\n",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "BUCKET,STAGE",
                        "default": "",
                    },
                    "sensor_poke_interval": {
                        "description": "Seconds between two looks of a step that waits for another pipeline\n"
                        "or a source. It waits in the triggerer and takes no worker slot.\n",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "5",
                        "default": "30",
                    },
                    "deployment": {
                        "description": "The name of this Airflow: clusters are named and found again by it. Empty:\n"
                        "``sluicegate-`` and an id that Airflow keeps in the Variable ``sluicegate_installation``.\n",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "production",
                        "default": "",
                    },
                    "load_memory_limit": {
                        "description": "The memory that the records of a load may take before they go to disk; its "
                        "process takes 200 MB besides.\n",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "2GB",
                        "default": "200MB",
                    },
                    "health_open": {
                        "description": "Whether ``/sluicegate/health`` answers without a token, with counts and\n"
                        "names alone. It shows everything to a user of Airflow who may read the pipelines.\n",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                },
            }
        },
    }


def __getattr__(name: str) -> Any:
    if name == "load_pipelines":
        from sluicegate.discovery.one_file import load_pipelines

        return load_pipelines
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
