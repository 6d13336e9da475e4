"""What the keys of a step mean: as `words`, for the five kinds of steps and what stands inside them."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.pipeline.keys import shapes
from sluicegate.pipeline.keys.shapes import Shape, choice, either, known_or_text, list_of, mapping_of, section
from sluicegate.pipeline.keys.words import FILE_SECTIONS, Section, Word

__all__ = ["COMMON_WORDS", "KIND_SECTIONS", "PART_SECTIONS"]

_READ = either(Shape("dataset", shapes.WORDS.schema), section("read", "keys of [what is read](#what-is-read)"))
_AFTER = either(Shape("step", shapes.WORDS.schema), section("after", "keys of [another DAG](#after-another-dag)"))
_JOB = either(Shape("path", shapes.WORDS.schema), section("job", "keys of [a job](#a-job)"))
_COLUMN = either(
    known_or_text(
        "text", "smallint", "integer", "bigint", "numeric(12,2)", "real", "double", "boolean", "date", "time",
        "timestamp", "timestamptz", "uuid", "json", "jsonb", "varchar(10)", "char(2)",
    ),
    section("column", "keys of [a column](#a-column)"),
    Shape("nothing", {"type": "null"}),
)  # fmt: skip
_ARGS = either(shapes.SCALAR, list_of(shapes.SCALAR, "list of them"))
_RETRIES = either(section("retries", "keys of [retries](#retries)"), shapes.COUNT)
_FORMAT = FILE_SECTIONS["dataset"].words["format"].shape
_WITH = Word(shapes.ARGUMENTS, "The function's further arguments.", default={}, examples=({"country": "DE"},))

COMMON_WORDS: Mapping[str, Word] = {
    "reads": Word(
        either(_READ, list_of(_READ, "list of these"), mapping_of(_READ, "`{binding: dataset}`")),
        "The datasets it reads: a name, `pipeline.name`, or, with a binding, a URI. It comes after who writes them.",
        examples=("flights.raw", ["flights.raw", "orders.clean"], {"wind": "weather.raw"}),
    ),
    "writes": Word(
        either(
            Shape("dataset", shapes.WORDS.schema), list_of(shapes.WORDS, "list of these"),
            mapping_of(shapes.WORDS, "`{binding: dataset}`"),
        ),
        "The datasets it writes: names of this pipeline, or, with a binding, URIs.",
        examples=("clean", ["clean"], {"out": "s3://lake/clean/"}),
    ),
    "after": Word(
        either(_AFTER, list_of(_AFTER, "list of these")),
        "What it comes after without reading its data: steps of this file, or a task of a DAG that is no pipeline.",
        examples=("first", ["first", {"dag": "old_dag", "task": "export"}]),
    ),
    "retries": Word(
        _RETRIES, "As at the top of the file, for this step. Keys that are not said keep the file's.",
        usual="those of the file", examples=({"count": 5, "delay": "1m"}, 0),
    ),
    "timeout": Word(shapes.DURATION, "The longest that one try may take, waiting included.", examples=("15m",)),
    "wait": Word(
        shapes.DURATION, "How long it waits for sources that are not there, or for other pipelines, before it fails.",
        usual="sources have to be there; other pipelines are waited for without limit", examples=("6h",),
    ),
    "for_each": Word(
        either(
            list_of(shapes.ANYTHING, "list of items", least=1), section("for_each", "keys of [for_each](#for_each)"),
        ),
        "Runs it once for each item, which its templates and functions know as `item`.",
        examples=(["eu", "us"], {"files": "s3://landing/{{ ds }}/*.csv"}),
    ),
    "group": Word(
        shapes.GROUP, "The box it is drawn in; `outer.inner` is a box in a box.", examples=("ingest", "ingest.raw")
    ),
    "teardown_of": Word(
        either(
            Shape("step", shapes.WORDS.schema), list_of(shapes.WORDS, "list of these", least=1),
            section("teardown_of", "keys of [teardown_of](#teardown_of)"),
        ),
        "The steps that it undoes when all after them is done, whatever became of that.", examples=("first", ["first"]),
    ),
    "pool": Word(shapes.TEXT, "The Airflow pool it takes a slot of.", examples=("warehouse",)),
    "trigger_rule": Word(
        choice(
            "all_success", "all_failed", "all_done", "all_done_min_one_success", "all_done_setup_success",
            "one_success", "one_failed", "one_done", "none_failed", "none_skipped", "always",
            "none_failed_min_one_success", "all_skipped",
        ),
        "When it runs, seen from the steps before it.", usual="`all_success`", examples=("all_done",),
    ),
    "description": Word(shapes.TEXT, "What it does. Airflow shows it.", examples=("Joins flights and weather.",)),
}  # fmt: skip

KIND_SECTIONS: Mapping[str, Section] = {
    "load": Section(
        title="load",
        intro="Brings a file, or a folder of parts, into a table, once.",
        words={
            "load": Word(
                _READ, "What is loaded: a dataset, or a URI.",
                examples=("s3://landing/orders/{{ ds }}.csv", {"dataset": "flights.raw", "latest": True}),
                required=True, empty=False,
            ),
            "into": Word(
                shapes.WORDS, "The table it goes into: a dataset, or a URI.",
                examples=("table://warehouse/orders",), required=True, empty=False,
            ),
            "key": Word(
                either(shapes.WORDS, list_of(shapes.WORDS, "list of texts")),
                "The columns that tell one record from another.", examples=("order_id", ["carrier", "day"]),
            ),
            "mode": Word(
                choice("merge", "insert_only", "append", "replace_window"),
                "How it changes the table. `replace_window` is not there yet.",
                usual="`merge` with a `key`, `append` without", examples=("append",),
            ),
            "newest_by": Word(
                shapes.TEXT, "The column by which the newest of several records with one key stays.",
                examples=("changed_at",),
            ),
            "format": Word(
                _FORMAT, "How its file is read; wins over the dataset's.", usual="the dataset's", examples=("csv",)
            ),
            "columns": Word(
                mapping_of(_COLUMN, "[columns](#a-column) by name", name=""),
                "Types and contract of columns. It need not name all of them.",
                examples=({"day": "date", "amount": {"type": "numeric(12,2)", "required": True}},),
            ),
            "checks": Word(
                list_of(shapes.CHECK, "list of expectations"), "Expectations in Great Expectations' own words.",
                examples=([{"expect_table_row_count_to_be_between": {"min_value": 1}}],),
            ),
            "suite": Word(
                shapes.WORDS, "A Great Expectations suite, saved as JSON below the dags root.",
                examples=("suites/orders.json",),
            ),
            "dead_letters": Word(
                section("dead_letters", "keys of [dead_letters](#dead_letters)"),
                "How many records may be set aside before the load fails.", examples=({"max": "1%"},),
            ),
            "on_schema_change": Word(
                choice("fail", "add", "ignore"), "What becomes of a column that the table lacks.",
                default="fail", examples=("add",),
            ),
        },
    ),
    "spark": Section(
        title="spark",
        intro="Runs a job on an EMR cluster of its own. Bound datasets become `--name uri` before `args`.",
        words={
            "spark": Word(
                either(_JOB, list_of(_JOB, "list of these", least=1)),
                "The job: a file below the dags root, or an `s3://` URI. A list runs one after the other.",
                examples=("jobs/delays.py", [{"path": "jobs/delays.py", "args": ["--all"]}]),
                required=True, empty=False,
            ),
            "cluster": Word(
                either(Shape("name", shapes.WORDS.schema), section("cluster", "keys of [a cluster](#a-cluster)")),
                "A name below `clusters` in `defaults.yaml`, or a cluster written out.",
                examples=("small",), required=True, empty=False,
            ),
            "args": Word(_ARGS, "Arguments of the jobs that have none of their own.", examples=(["--limit", 10],)),
            "max_runtime": Word(
                shapes.DURATION, "The longest that one job may take, bounded on the cluster itself.",
                default="4h", examples=("1h",),
            ),
        },
    ),
    "transform": Section(
        title="transform",
        intro="Calls a pure function: Arrow tables in, a table out, which is written whole or not at all.",
        words={
            "transform": Word(
                shapes.WORDS, "`module:function`, found from the dags root.",
                examples=("transforms.customers:clean_up",), required=True, empty=False,
            ),
            "with": _WITH,
        },
    ),
    "python": Section(
        title="python",
        intro="Calls a function with side effects. It gets what it names of `reads writes params window dry_run`.",
        words={
            "python": Word(
                shapes.WORDS, "`module:function`, found from the dags root.",
                examples=("announce:post",), required=True, empty=False,
            ),
            "with": _WITH,
        },
    ),
    "operator": Section(
        title="operator",
        intro="Any operator or sensor of Airflow.",
        words={
            "operator": Word(
                shapes.WORDS, "Its import path.",
                examples=("airflow.providers.standard.operators.bash.BashOperator",), required=True, empty=False,
            ),
            "with": Word(
                shapes.ARGUMENTS, "Its arguments, checked against its signature. Templates in them are Airflow's.",
                default={}, examples=({"bash_command": "echo {{ ds }}"},),
            ),
        },
    ),
}  # fmt: skip

PART_SECTIONS: Mapping[str, Section] = {
    "read": Section(
        title="What is read",
        intro="The long form of one dataset, for those of other pipelines.",
        words={
            "dataset": Word(
                shapes.WORDS, "The dataset: `pipeline.name`.", examples=("flights.raw",), required=True, empty=False
            ),
            "latest": Word(
                shapes.FLAG, "Asks only that it has been written once, in any run.",
                default=False, examples=(True,), empty=False,
            ),
            "on_upstream_failure": Word(
                choice("wait", "fail"), "What to do when the step that writes it has failed.",
                default="wait", examples=("fail",), empty=False,
            ),
        },
    ),
    "after": Section(
        title="after another DAG",
        intro="Waits for the run, at the start of the window, of a DAG that is no pipeline.",
        words={
            "dag": Word(shapes.TEXT, "Its DAG id.", examples=("old_dag",), required=True),
            "task": Word(shapes.TEXT, "One of its tasks.", usual="the whole run", examples=("export",)),
        },
    ),
    "job": Section(
        title="A job",
        intro="The long form. A path alone is the `path`.",
        words={
            "path": Word(
                shapes.WORDS, "A file below the dags root, or an `s3://` URI.",
                examples=("jobs/delays.py",), required=True, empty=False,
            ),
            "args": Word(_ARGS, "Its arguments.", usual="those of the step", examples=(["--all"],)),
        },
    ),
    "column": Section(
        title="A column",
        intro="The long form. A text alone is the `type`.",
        words={
            "type": Word(
                known_or_text(
                    "text", "smallint", "integer", "bigint", "numeric(12,2)", "real", "double", "boolean", "date",
                    "time", "timestamp", "timestamptz", "uuid", "json", "jsonb", "varchar(10)", "char(2)",
                ),
                "Its type. What is not one, or would be changed by the cast, is set aside.",
                usual="that of the table, else of the file",
                examples=("numeric(12,2)",),
            ),
            "round": Word(
                shapes.FLAG, "Digits that the type has no room for are rounded, and times cut. Without it the record "
                "is set aside.",
                default=False, examples=(True,), empty=False,
            ),
            "zone": Word(
                shapes.WORDS, "The time zone of its local times: of a `timestamptz` without a zone, and of a "
                "`timestamp` or `date` that is read from a value with one.",
                usual="UTC for a `timestamptz`; none for the others", examples=("Europe/Berlin",),
            ),
            "null": Word(
                shapes.TEXTS, "What means NULL, besides the texts of the format; in JSON and Parquet too.",
                default=[], examples=(["n/a", "-"],), empty=False,
            ),
            "required": Word(
                shapes.FLAG, "A record without a value is bad.", default=False, examples=(True,), empty=False
            ),
            "between": Word(
                Shape(
                    "`[low, high]`",
                    {"type": "array", "items": {"type": ["number", "string", "null"]}, "minItems": 2, "maxItems": 2},
                ),
                "A record is bad when the value lies outside. `null` leaves an end open.",
                examples=([0, 100], [0, None]),
            ),
            "in": Word(
                list_of(shapes.ANYTHING, "list of values"), "A record is bad when the value is none of these.",
                examples=(["EUR", "USD"],),
            ),
            "matches": Word(
                shapes.TEXT, "A record is bad when this regular expression is found nowhere in the value.",
                examples=("^[A-Z]{2}$",),
            ),
            "unique": Word(
                shapes.FLAG, "All records whose value comes twice are bad.",
                default=False, examples=(True,), empty=False,
            ),
            "references": Word(shapes.TEXT, "Not there yet.", examples=("reference.airports",)),
            "sensitive": Word(
                shapes.FLAG, "Its values stand as `***` in dead letters.", default=False, examples=(True,), empty=False
            ),
        },
    ),
    "for_each": Section(
        title="for_each",
        intro="The long form. One of `items`, `output_of`, `files` says what the items are; a list alone is `items`.",
        words={
            "items": Word(list_of(shapes.ANYTHING, "list", least=1), "These.", examples=(["eu", "us"],)),
            "output_of": Word(
                shapes.WORDS, "What that `python` or `operator` step returned: a list.", examples=("first",)
            ),
            "files": Word(
                shapes.URI, "The URIs of the files that match when the run comes to it: `*`, `?`, `[ab]`, and `**` for "
                "any folders. Only on `s3://` and `file://`.",
                examples=("s3://landing/{{ ds }}/*.csv",),
            ),
            "empty": Word(
                choice("fail", "skip"), "What becomes of the step when no file matches.",
                default="fail", examples=("skip",),
            ),
            "max_active": Word(
                shapes.POSITIVE, "How many items of a run are worked on at once.", usual="as Airflow's settings say",
                examples=(4,),
            ),
            "label": Word(
                shapes.TEXT, "A template: what Airflow's pages call an item.", usual="the item, or the file's name",
                examples=("{{ item.region }}",),
            ),
        },
    ),
    "teardown_of": Section(
        title="teardown_of",
        intro="The long form. A step, or a list of them, is `steps`.",
        words={
            "steps": Word(
                either(Shape("step", shapes.WORDS.schema), list_of(shapes.WORDS, "list of these", least=1)),
                "The steps that it undoes.", examples=("first",), required=True, empty=False,
            ),
            "fail_run": Word(
                shapes.FLAG, "Whether a run fails whose teardown does.", default=False, examples=(True,), empty=False
            ),
        },
    ),
    "dead_letters": Section(
        title="dead_letters",
        intro="",
        words={
            "max": Word(
                shapes.LIMIT, "The most records that may be set aside.", default="5%", examples=("1%", 100), empty=False
            ),
        },
    ),
}  # fmt: skip
