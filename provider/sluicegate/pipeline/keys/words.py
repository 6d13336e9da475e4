"""What the keys of a pipeline file mean, outside of its steps: the one place for these words.

The JSON Schema and the page of reference are made of them; tests hold them against what the reader knows.
Nothing here is imported when a pipeline is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.pipeline.keys import shapes
from sluicegate.pipeline.keys.shapes import Shape, choice, either, known_or_text, list_of, mapping_of, section

__all__ = ["DEFAULTS_ONLY", "FILE_SECTIONS", "PIPELINE", "UNSAID", "Section", "Word"]

UNSAID = object()
"""The default of a key that has none which a file could say."""


@dataclass(frozen=True)
class Word:
    """One key. `default` is the value that holds without it, `usual` the same in words where it is no value.

    `empty`: the key may stand without a value, which says nothing. `shared`: it may stand in `defaults.yaml` too.
    """

    shape: Shape
    meaning: str
    default: Any = UNSAID
    usual: str = ""
    examples: tuple[Any, ...] = ()
    required: bool = False
    empty: bool = True
    shared: bool = True


@dataclass(frozen=True)
class Section:
    """The keys that stand together at one place; `more` is what any other key holds, None if there is none."""

    title: str
    intro: str
    words: Mapping[str, Word]
    more: Shape | None = None


_RETRIES = either(section("retries", "keys of [retries](#retries)"), shapes.COUNT)
_CLUSTER = section("cluster", "keys of [a cluster](#a-cluster)")
_DATASET = either(shapes.URI, section("dataset", "keys of [a dataset](#a-dataset)"))
_PARAM = either(
    section("param", "keys of [a param](#a-param)"),
    Shape("its default", {"type": ["string", "number", "boolean", "null"]}),
)
_FORMAT = either(choice("csv", "jsonl", "parquet"), section("format", "keys of [a format](#a-format)"))

PIPELINE = Section(
    title="A pipeline file",
    intro="The top level of a file. All but `sluicegate` and `steps` may be left out, or stand in `defaults.yaml`.",
    words={
        "sluicegate": Word(
            shapes.exactly(1), "The version of the file's form. It makes the file a pipeline.",
            examples=(1,), required=True, empty=False,
        ),
        "description": Word(
            shapes.TEXT, "What the pipeline is for. Airflow shows it; its first line is the summary.",
            examples=("Delay by carrier and day.",),
        ),
        "owner": Word(shapes.TEXT, "Who answers for it: the owner of its tasks.", examples=("sales-data",)),
        "tags": Word(
            shapes.TEXTS, "What Airflow's list of DAGs can be filtered by.", default=[], examples=(["daily"],)
        ),
        "schedule": Word(
            either(
                choice("none", "once"), Shape("cron", shapes.WORDS.schema),
                section("schedule", "keys of [schedule](#schedule)"),
            ),
            "When it runs. A cron alone takes its `start` from `defaults.yaml`.",
            default="none",
            examples=({"cron": "@daily", "start": "2026-01-01"}, "once"),
        ),
        "fresh_within": Word(
            shapes.DURATION, "How old its data may become. Shown in the DAG's docs, not watched.", examples=("30h",)
        ),
        "params": Word(
            mapping_of(_PARAM, "[params](#a-param) by name"),
            "The form that starts a run by hand. Templates know them as `params.<name>`.",
            examples=({"carrier": {"type": "string", "default": None}},),
        ),
        "datasets": Word(
            mapping_of(_DATASET, "[datasets](#a-dataset) by name"),
            "Names for places: steps and other pipelines (`<pipeline>.<name>`) refer to them.",
            examples=({"raw": "s3://landing/orders/{{ ds }}.csv", "orders": "table://warehouse/orders"},),
        ),
        "steps": Word(
            mapping_of(section("step", "a step"), "[steps](#any-step) by name", least=1),
            "What is done. The order follows from what the steps read and write.",
            examples=({"load_orders": {"load": "s3://landing/orders.csv", "into": "table://warehouse/orders"}},),
            required=True, empty=False,
        ),
        "alerts": Word(shapes.FREE, "Who is told of a failure. Read, and without effect yet."),
        "retries": Word(
            _RETRIES, "How often and how soon a failed step is tried again, if its fault is one that may pass.",
            usual="3 times, after 30s, at most 10m",
            examples=({"count": 5, "delay": "1m"}, 2),
        ),
        "max_active_runs": Word(
            shapes.POSITIVE, "How many of its runs may be active at once.", usual="16", examples=(1,)
        ),
        "paused": Word(
            shapes.FLAG, "Whether a new DAG starts paused.", usual="as Airflow's settings say", examples=(True,)
        ),
        "matrix": Word(
            mapping_of(shapes.AXIS, "lists of values by name", least=1),
            "One file, several pipelines: one for each combination, with its values behind the name. "
            "`{{ matrix.<name> }}` is replaced when the file is read.",
            examples=({"region": ["eu", "us"]},), empty=False, shared=False,
        ),
        "dag": Word(
            shapes.ARGUMENTS, "Further arguments of Airflow's DAG, by their own names and typed by them.",
            examples=({"max_active_tasks": 4, "dagrun_timeout": "2h"},),
        ),
    },
)  # fmt: skip

DEFAULTS_ONLY = Section(
    title="defaults.yaml",
    intro="Holds for the pipelines in its folder and below: all keys of a pipeline but `matrix`, and these, which "
    "stand here only.",
    words={
        "connections": Word(
            section("connections", "keys of [connections](#connections)"), "Airflow connections.",
            examples=({"aws": "aws_default"},),
        ),
        "artifacts": Word(
            shapes.TEXT, "The folder into which job files are uploaded, under the hash of their content.",
            default="s3://sluicegate-artifacts/", examples=("s3://code/",),
        ),
        "clusters": Word(
            mapping_of(_CLUSTER, "[clusters](#a-cluster) by name", name=""), "Clusters that `spark` steps name.",
            examples=({"small": {"release": "emr-7.13.0", "instances": {"primary": "m7g.xlarge"}}},),
        ),
    },
)  # fmt: skip

FILE_SECTIONS: Mapping[str, Section] = {
    "schedule": Section(
        title="schedule",
        intro="The long form. A run's window is the time between two ticks of the cron; it runs after its window.",
        words={
            "cron": Word(
                known_or_text("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"),
                "Five fields, or a preset. It needs a `start`.",
                examples=("0 7 * * *", "@daily"), empty=False,
            ),
            "timetable": Word(
                shapes.WORDS, "In place of a cron, a timetable of Airflow's or of a plugin by its import path.",
                examples=("airflow.sdk.DeltaDataIntervalTimetable",), empty=False,
            ),
            "with": Word(shapes.ARGUMENTS, "The arguments of the timetable.", examples=({"delta": "90m"},)),
            "timezone": Word(
                shapes.WORDS, "The time zone of `cron`, `start`, `end` and `ds`, by its IANA name.",
                default="UTC", examples=("Europe/Berlin",), empty=False,
            ),
            "start": Word(
                shapes.INSTANT, "The beginning of the first window.", examples=("2026-01-01", "2026-01-01T06:00:00")
            ),
            "end": Word(shapes.INSTANT, "No window begins then or later.", examples=("2027-01-01",)),
            "catchup": Word(
                shapes.FLAG, "Whether windows that are past already run too.",
                default=False, examples=(True,), empty=False,
            ),
        },
    ),
    "retries": Section(
        title="retries",
        intro="The long form. A number alone is the `count`.",
        words={
            "count": Word(shapes.COUNT, "The most tries after the first.", default=3, examples=(5,)),
            "delay": Word(
                shapes.DURATION, "The pause before the second try; it doubles.", default="30s", examples=("1m",)
            ),
            "max_delay": Word(shapes.DURATION, "The longest pause.", default="10m", examples=("1h",)),
        },
    ),
    "dataset": Section(
        title="A dataset",
        intro="The long form. A URI alone is the `uri`.",
        words={
            "uri": Word(
                shapes.URI,
                "Where it is: a template that knows `ds`, `window` and `params`. One that ends in `/` is a folder.",
                examples=("s3://landing/orders/{{ ds }}.csv", "table://warehouse/public.orders"),
                required=True, empty=False,
            ),
            "format": Word(
                _FORMAT, "How its files are read.", usual="by suffix", examples=("csv", {"null": ["", "NA"]})
            ),
            "shared": Word(
                shapes.FLAG, "Two may write to this place.", default=False, examples=(True,), empty=False
            ),
        },
    ),
    "format": Section(
        title="A format",
        intro="The long form. A text alone is the `type`.",
        words={
            "type": Word(choice("csv", "jsonl", "parquet"), "The kind of file.", usual="by suffix", examples=("csv",)),
            "null": Word(
                shapes.TEXTS, "Texts that mean NULL (CSV).", default=[""], examples=(["", "NA"],), empty=False
            ),
            "delimiter": Word(
                shapes.TEXT, "What stands between two values (CSV).", usual="`,`, and a tab in a `.tsv` file",
                examples=(";",), empty=False,
            ),
            "header": Word(
                shapes.FLAG, "Whether the first line names the columns (CSV).",
                default=True, examples=(False,), empty=False,
            ),
            "encoding": Word(
                shapes.TEXT, "Any that Python knows.", default="utf-8", examples=("latin-1",), empty=False
            ),
        },
    ),
    "param": Section(
        title="A param",
        intro="JSON Schema with a default. A value alone is the `default`.",
        words={
            "type": Word(
                either(
                    choice("string", "number", "integer", "boolean", "array", "object", "null"),
                    list_of(shapes.TEXT, "list of types"),
                ),
                "The type of its values.", examples=("string",), empty=False,
            ),
            "default": Word(
                shapes.ANYTHING, "Its value in a run that says nothing else; `null` makes it nullable. "
                "Scheduled pipelines need one.",
                examples=("DE",),
            ),
            "description": Word(shapes.TEXT, "Stands beside it in the form.", examples=("One carrier only",)),
        },
        more=Shape("any other keyword of JSON Schema", {}),
    ),
    "connections": Section(
        title="connections",
        intro="Ids of Airflow connections.",
        words={
            "aws": Word(shapes.TEXT, "For S3 and EMR.", default="aws_default", examples=("aws_lake",)),
            "ledger": Word(shapes.TEXT, "Read, and without effect yet.", examples=("warehouse",)),
        },
    ),
    "cluster": Section(
        title="A cluster",
        intro="What one run's EMR cluster is made of.",
        words={
            "release": Word(shapes.TEXT, "EMR's release.", examples=("emr-7.13.0",), required=True, empty=False),
            "instances": Word(
                section("instances", "keys of [instances](#instances)"), "Its machines.",
                examples=({"primary": "m7g.xlarge", "core": {"type": "m7g.xlarge", "count": 2}},),
                required=True, empty=False,
            ),
            "log_uri": Word(
                shapes.TEXT, "Where EMR leaves its logs. Without it the log of a failed job is lost.",
                examples=("s3://emr-logs/",),
            ),
            "service_role": Word(shapes.TEXT, "EMR's own role.", default="EMR_DefaultRole", empty=False),
            "job_flow_role": Word(shapes.TEXT, "The role of its machines.", default="EMR_EC2_DefaultRole", empty=False),
            "subnet": Word(shapes.TEXT, "The subnet it starts in.", examples=("subnet-0a1b2c3d",)),
            "tags": Word(
                mapping_of(shapes.TEXT, "texts by name", name=""), "AWS tags, beside those by which it is found again.",
                default={}, examples=({"team": "data"},), empty=False,
            ),
            "run_job_flow": Word(
                shapes.FREE, "Whatever else EMR's RunJobFlow takes, by its own names.", default={},
                examples=({"StepConcurrencyLevel": 1},), empty=False,
            ),
        },
    ),
    "instances": Section(
        title="instances",
        intro="The machines of a cluster.",
        words={
            "primary": Word(
                shapes.TEXT, "The type of the primary node.", examples=("m7g.xlarge",), required=True, empty=False
            ),
            "core": Word(
                section("core", "keys of [core](#core)"), "The core nodes.", usual="none",
                examples=({"type": "m7g.xlarge", "count": 2},),
            ),
        },
    ),
    "core": Section(
        title="core",
        intro="The core nodes of a cluster.",
        words={
            "type": Word(shapes.TEXT, "Their type.", examples=("m7g.xlarge",), required=True, empty=False),
            "count": Word(shapes.POSITIVE, "How many there are.", default=1, examples=(2,), empty=False),
        },
    ),
}  # fmt: skip
