"""The job that applies a contract on a cluster: what passes goes to one folder, the rest with its reasons to another.

Its file is the whole program: it is uploaded as it is (with the functions that its SQL calls put in) and imports
nothing but pyspark. `spark-submit spark_job.py --plan .. --source .. --passed .. --rejected .. --report ..`
"""

from __future__ import annotations

import argparse
import json
from decimal import Decimal
from typing import Any, Dict  # noqa: UP035 - what is not an annotation runs on the Python 3.9 of EMR 7

Plan = Dict[str, Any]  # noqa: UP006
FUNCTIONS: dict[str, Any] = {}

REASONS = "__failures"
RAW = "__raw"
FILE, LINE = "__file", "__line"


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def changed(raw: str, column: Plan, kind: str) -> str:
    """SQL of whether the cast of `raw`, of Spark's type `kind`, would lose or change its value."""
    value = f"try_cast({raw} AS {column['type']})"
    faults = [f"{value} IS NULL"]
    if column["length"] is not None:
        faults.append(f"length({raw}) > {int(column['length'])}")
    if kind != "string":
        faults.append(f"NOT (try_cast({value} AS {kind}) <=> {raw})")
    elif column["type"].startswith("DECIMAL"):
        faults.append(f"NOT (try_cast({raw} AS DECIMAL(38,18)) <=> CAST({value} AS DECIMAL(38,18)))")
    elif column["type"] == "DATE":
        faults.append(f"NOT (try_cast({raw} AS TIMESTAMP_NTZ) <=> CAST({value} AS TIMESTAMP_NTZ))")
    return f"({raw} IS NOT NULL AND ({' OR '.join(faults)}))"


def typed(spark: Any, source: str, columns: list[Plan]) -> Any:
    """The records with the contract's types, what their casts lost, their raw form, and where each is from."""
    raw = spark.read.parquet(*source.split(","))
    kinds = {field.name: field.dataType.simpleString() for field in raw.schema.fields}
    if missing := [column["name"] for column in columns if column["name"] not in kinds]:
        raise SystemExit(f"the records have no column {', '.join(missing)} (there is {', '.join(kinds)})")
    values, lost = [], []
    for column in columns:
        name = quoted(column["name"])
        values.append(f"try_cast({name} AS {column['type']}) AS {name}")
        if kinds[column["name"]] != column["type"].lower() or column["length"] is not None:
            reason = literal(f"type:{column['name']}")
            lost.append(f"CASE WHEN {changed(name, column, kinds[column['name']])} THEN {reason} END")
    struct = ", ".join(quoted(name) for name in kinds)
    return raw.selectExpr(
        *values,
        f"filter(array({', '.join(lost) or 'CAST(NULL AS STRING)'}), x -> x IS NOT NULL) AS {REASONS}",
        f"to_json(struct({struct}), map('ignoreNullFields', 'false')) AS {RAW}",
        f"_metadata.file_path AS {FILE}",
        f"_metadata.row_index AS {LINE}",
    )


def judged(frame: Any, rules: list[Plan]) -> Any:
    """The records with a column for each rule, whether they break it and whether they count in its share."""
    for number, rule in enumerate(rules):
        frame = frame.selectExpr("*", f"({rule['applies']}) AS __applies{number}", f"({rule['fails']}) AS __in{number}")
        if rule["unique"]:
            frame = with_copies(frame, number, rule["unique"])
        else:
            frame = frame.withColumnRenamed(f"__in{number}", f"__fails{number}")
    return frame


def with_copies(frame: Any, number: int, values: list[str]) -> Any:
    """All copies of a value that should be unique are bad. Records without one are in no group: they may be many."""
    keys = [f"({value}) AS __key{number}_{place}" for place, value in enumerate(values)]
    names = [f"__key{number}_{place}" for place in range(len(values))]
    frame = frame.selectExpr("*", *keys)
    twice = frame.where(f"__in{number}").groupBy(*names).count().where("count > 1").drop("count")
    for name in names:
        twice = twice.withColumnRenamed(name, f"{name}_twice")
    same = " AND ".join(f"{name} <=> {name}_twice" for name in names)
    from pyspark.sql.functions import expr

    joined = frame.join(twice.selectExpr("*", "true AS __twice"), expr(f"__in{number} AND {same}"), "left")
    dropped = [*names, *(f"{name}_twice" for name in names), f"__in{number}", "__twice"]
    return joined.selectExpr("*", f"coalesce(__twice, false) AS __fails{number}").drop(*dropped)


def counts(frame: Any, rules: list[Plan]) -> list[tuple[int, int]]:
    """By rule, how many records count and how many of them are bad."""
    if not rules:
        return []
    asked = [
        f"count(CASE WHEN __{what}{number} THEN 1 END) AS {what}{number}"
        for number in range(len(rules))
        for what in ("applies", "fails")
    ]
    row = frame.selectExpr(*asked).first()
    return [(row[f"applies{number}"], row[f"fails{number}"]) for number in range(len(rules))]


def holds(rule: Plan, applies: int, bad: int) -> bool:
    return applies == 0 or applies - bad >= Decimal(str(rule["mostly"])) * applies


def run(spark: Any, plan: Plan, source: str, passed: str, rejected: str) -> Plan:
    """Split the records of `source`; returns the report."""
    columns, rules = plan["columns"], plan["rows"]
    frame = judged(typed(spark, source, columns), rules).cache()
    seen = counts(frame, rules)
    broken = [number for number, rule in enumerate(rules) if not holds(rule, *seen[number])]
    strict = [number for number in broken if rules[number]["severity"] == "critical"]
    reasons = [f"CASE WHEN __fails{number} THEN {literal(rules[number]['name'])} END" for number in strict]
    every = f"concat({REASONS}, filter(array({', '.join(reasons) or 'CAST(NULL AS STRING)'}), x -> x IS NOT NULL))"
    split = frame.selectExpr(*(quoted(column["name"]) for column in columns), f"{every} AS {REASONS}", RAW, FILE, LINE)
    good = split.where(f"size({REASONS}) = 0").drop(REASONS, RAW, FILE, LINE)
    bad = split.where(f"size({REASONS}) > 0")
    good.write.mode("overwrite").parquet(passed)
    bad.selectExpr(f"{FILE} AS file", f"{LINE} + 1 AS line", f"{RAW} AS record", f"{REASONS} AS failures").write.mode(
        "overwrite"
    ).parquet(rejected)
    by_reason = bad.selectExpr(f"explode({REASONS}) AS rule").groupBy("rule").count().collect()
    kept = spark.read.parquet(passed)
    read, dead = frame.count(), bad.count()
    return {
        "read": read,
        "passed": read - dead,
        "rejected": dead,
        "reasons": {row["rule"]: row["count"] for row in sorted(by_reason, key=lambda row: row["rule"])},
        "warnings": {rules[number]["name"]: seen[number][1] for number in broken if number not in strict},
        "table": verdicts(kept, plan["table"]),
    }


def verdicts(frame: Any, rules: list[Plan]) -> list[Plan]:
    """What the rules about the table see of the records that pass."""
    if not rules:
        return []
    asked = [
        text
        for number, rule in enumerate(rules)
        for text in (f"CAST({rule['observed']} AS STRING) AS o{number}", f"{rule['holds']} AS h{number}")
    ]
    row = frame.selectExpr(*asked).first()
    return [
        {
            "rule": rule["name"],
            "holds": bool(row[f"h{number}"]),
            "observed": row[f"o{number}"],
            "severity": rule["severity"],
        }
        for number, rule in enumerate(rules)
    ]


def write(spark: Any, uri: str, text: str) -> None:
    """One file, whole or not at all where the file system renames; S3 puts whole objects."""
    path = spark._jvm.org.apache.hadoop.fs.Path(uri)
    system = path.getFileSystem(spark._jsc.hadoopConfiguration())
    stream = system.create(path, True)
    stream.write(bytearray(text.encode("utf-8")))
    stream.close()


def main() -> None:
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("plan", "source", "passed", "rejected", "report"):
        parser.add_argument(f"--{name}", required=True)
    given, _ = parser.parse_known_args()
    spark = SparkSession.builder.appName("sluicegate contract").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    for name, function in FUNCTIONS.items():
        spark.udf.register(name, function, "boolean")
    [(plan,)] = spark.read.text(given.plan, wholetext=True).collect()
    report = run(spark, json.loads(plan), given.source, given.passed, given.rejected)
    write(spark, given.report, json.dumps(report, indent=1, ensure_ascii=False))
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
