"""The job that applies a contract on a cluster: what passes goes to one folder, the rest with its reasons to another.

Its file is the whole program: it is uploaded as it is (with the functions that its SQL calls put in) and imports
nothing but pyspark. `spark-submit spark_job.py --plan .. --source .. --to ..`

Below `--to` it writes `passed/`, `replaced/` (records that pass, and of which there is a newer one with their key),
`rejected/`, `same_key/` (of those in `passed/` the ones that have the key of a rejected one), where it is asked for
`text/` (the records of `passed/` for a COPY of Postgres) and, last, `report.json`. A run begins by removing what an
earlier one has left there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from decimal import Decimal
from typing import Any, Dict  # noqa: UP035 - what is not an annotation runs on the Python 3.9 of EMR 7
from urllib.parse import unquote

Plan = Dict[str, Any]  # noqa: UP006
FUNCTIONS: dict[str, Any] = {}

REASONS = "__failures"
GONE = "__gone"
"""Whether a record deletes the row of its key: of it, little is asked."""
OUTSIDE = "__outside"
"""Whether a record is out of the scope, and left out."""
RAW = "__raw"
PART, LINE = "__part", "__line"
"""Where a record is from: its file's place in the order of their names, and its place in that from 1."""
BLANKS = r"[ \t\n\f\r]*"
"""What may be around a value for DuckDB's regular expressions; to Java's there is one more blank."""
NUMBER = r"\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?|(?i:[+-]?(nan|inf|infinity)))\s*"
DAY = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
CLOCK = r"([T ][0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]{0,6}0*)?)?)?"
ZONE = r"( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?"
WRITTEN = {
    "SMALLINT": BLANKS + "[+-]?[0-9]+" + BLANKS,
    "INT": BLANKS + "[+-]?[0-9]+" + BLANKS,
    "BIGINT": BLANKS + "[+-]?[0-9]+" + BLANKS,
    "FLOAT": NUMBER,
    "DOUBLE": NUMBER,
    "DATE": BLANKS + DAY + r"([T ]0?0:0?0(:0?0(\.0*)?)?)?" + BLANKS,
    "TIMESTAMP_NTZ": DAY + CLOCK,
    "TIMESTAMP": DAY + CLOCK + ZONE,
    "BOOLEAN": "(?i:true|false|t|f)",
}
"""How texts are written that are values of a type: Spark's own casts take more, and cut what they do not know."""
TIME = (
    rf"\A{BLANKS}(?=[01]?[0-9]:|2[0-3]:|24:0?0(?::0?0(?:\.0*)?{BLANKS})?\z)"
    rf"([0-9]{{1,2}}):([0-5]?[0-9])(:([0-5]?[0-9])(\.([0-9]*))?{BLANKS})?\z"
)
"""A time of the day: Spark has no type for it, and it is a text as DuckDB writes it, whose order is that of times."""
UUID = r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z"
WHOLE_UP_TO = {"DOUBLE": 2**53, "FLOAT": 2**24}
"""Up to here all whole numbers are exact."""
WRITTEN_OUT = "1e16"
"""From here on a worker's double is a text with an exponent, which is not meant to its last digit."""
ANCHORED = r"\A({})\z"
SCHEME = "^[A-Za-z0-9]+:/*"
"""How a URI begins, which one file system writes in several ways: `file:/`, `file:///`."""
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
MOMENTS = ("date", "timestamp", "timestamp_ntz")
FAMILIES = {
    **dict.fromkeys(("SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"), NUMBERS),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP_NTZ"), MOMENTS),
    "BOOLEAN": ("boolean",),
    "STRING": ("tinyint", "smallint", "int", "bigint", "boolean", "date"),
}
"""Of what types of a file a type is made without a doubt, beside texts."""


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def base(kind: str) -> str:
    """A type without its digits."""
    return kind.partition("(")[0]


def made(raw: str, column: Plan, kind: str) -> str:
    """SQL of the value of `raw`, of Spark's type `kind`. Spark has no UUIDs: they are texts in small letters."""
    if column["clock"]:
        return clock(f"try_cast({raw} AS STRING)")
    # Of a number with fewer digits than a double, the digits are meant.
    by_digits = (column["type"] == "FLOAT" and base(kind) in ("double", "decimal")) or (
        kind == "float" and base(column["type"]) == "DECIMAL"
    )
    source = f"CAST({raw} AS STRING)" if by_digits else raw
    value = f"try_cast({source} AS {column['type']})"
    if column["uuid"]:
        return f"CASE WHEN lower({value}) RLIKE {literal(UUID)} THEN lower({value}) END"
    return value


def clock(text: str) -> str:
    """SQL of a time of the day with two digits for each of its numbers, and a fraction without zeros at its end."""
    numbers = (f"lpad(regexp_extract({text}, {literal(TIME)}, {group}), 2, '0')" for group in (1, 2, 4))
    digits = f"trim(TRAILING '0' FROM substr({fraction(text)}, 1, 6))"
    point = f"CASE WHEN {digits} = '' THEN '' ELSE '.' END"
    value = f"concat(concat_ws(':', {', '.join(numbers)}), {point}, {digits})"
    return f"CASE WHEN {text} RLIKE {literal(TIME)} THEN {value} END"


def fraction(text: str) -> str:
    """SQL of the digits behind the point of a time of the day."""
    return f"regexp_extract({text}, {literal(TIME)}, 6)"


def changed(raw: str, column: Plan, kind: str) -> str:
    """SQL of whether the cast of `raw`, of Spark's type `kind`, would lose or change its value."""
    value, type_ = made(raw, column, kind), column["type"]
    faults = [f"{value} IS NULL", *too_fine(raw, value, column)]
    if column["length"] is not None:
        faults.append(f"length({value}) > {int(column['length'])}")
    if kind == "string":
        if (written := pattern(type_)) is not None:
            faults.append(f"NOT ({raw} RLIKE {literal(ANCHORED.format(written))})")
        if type_ in WHOLE_UP_TO:
            faults.append(inexact(raw, value, WHOLE_UP_TO[type_]))
    elif type_ != "STRING":
        faults += changed_type(raw, value, type_, kind)
    return f"({raw} IS NOT NULL AND ({' OR '.join(faults)}))"


def too_fine(raw: str, value: str, column: Plan) -> list[str]:
    """Conditions under which a time has more digits behind the point than its type."""
    digits = column["digits"]
    if column["clock"]:
        most = 6 if digits is None else min(int(digits), 6)
        return [f"length(trim(TRAILING '0' FROM {fraction(f'try_cast({raw} AS STRING)')})) > {most}"]
    if digits is None or int(digits) >= 6:
        return []
    return [f"CAST(date_part('SECOND', {value}) * 1000000 AS BIGINT) % {10 ** (6 - int(digits))} <> 0"]


def changed_type(raw: str, value: str, type_: str, kind: str) -> list[str]:
    """Conditions under which `value` is not what `raw` says, which is not a text."""
    same = f"try_cast({value} AS {kind}) <=> {raw}"
    if kind == "timestamp" and type_ in ("DATE", "TIMESTAMP_NTZ"):
        return ["true"]  # It has no day and no local time before its zone is known.
    if type_ in WHOLE_UP_TO and base(kind) == "decimal":
        return [inexact(f"CAST({raw} AS STRING)", value, WHOLE_UP_TO[type_])]
    if type_ == "FLOAT" and kind == "double":
        whole = f"try_cast({value} AS DECIMAL(38,0)) <=> try_cast({raw} AS DECIMAL(38,0))"
        is_whole = f"abs({value}) >= {WHOLE_UP_TO[type_]} AND abs({raw}) < {WRITTEN_OUT}"
        return [
            f"CASE WHEN isnan({value}) THEN false WHEN abs({value}) = double('inf') THEN abs({raw}) <> double('inf') "
            f"WHEN {value} = 0 THEN {raw} <> 0 WHEN {is_whole} THEN NOT ({whole}) ELSE false END"
        ]
    if kind == "float" and type_ not in WHOLE_UP_TO:
        return [f"NOT ({same})", f"abs({raw}) >= {WHOLE_UP_TO['FLOAT']}"]
    if kind == "double" and type_ == "BIGINT":
        return [f"NOT ({same})", f"{raw} >= double('{2**63}')"]  # Spark makes the largest one of that.
    return [f"NOT ({same})"]


def inexact(raw: str, value: str, limit: int) -> str:
    """SQL of whether a text is a number that `value` is not: too large, too small, or whole with too many digits."""
    whole = f"coalesce(try_cast({value} AS DECIMAL(38,0)) = try_cast({raw} AS DECIMAL(38,0)), false)"
    return (
        f"CASE WHEN isnan({value}) THEN false WHEN abs({value}) = double('inf') THEN NOT contains(lower({raw}), 'inf') "
        f"WHEN {value} = 0 THEN {raw} RLIKE '^[^eE]*[1-9]' "
        f"WHEN abs({value}) >= {limit} AND NOT contains(lower({raw}), 'e') THEN NOT {whole} ELSE false END"
    )


def pattern(type_: str) -> str | None:
    """How a text has to be written for a type; None where all are values of it."""
    if base(type_) != "DECIMAL":
        return WRITTEN.get(type_)
    scale = int(type_.rstrip(")").partition(",")[2])
    return BLANKS + rf"[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{max(scale, 1)}}}0*)" + BLANKS


def listed(spark: Any, folder: str) -> list[Any]:
    """The files of a folder that hold records, by their paths in it: as `(path in it, size, Hadoop's path)`."""
    path = spark._jvm.org.apache.hadoop.fs.Path(folder)
    system = path.getFileSystem(spark._jsc.hadoopConfiguration())
    root = system.makeQualified(path).toUri().getPath().rstrip("/") + "/"
    found, files = [], system.listFiles(path, True) if system.exists(path) else None
    while files is not None and files.hasNext():
        file = files.next()
        relative = file.getPath().toUri().getPath()[len(root) :]
        *folders, name = relative.split("/")
        hidden = any(part.startswith(("_", ".")) for part in (*folders, name))
        if file.getLen() and not hidden and all("=" in part for part in folders):
            found.append((relative, file.getLen(), file.getPath()))
    return sorted(found, key=lambda one: one[0])


def read(spark: Any, source: str, files: list[Any], plan: Plan) -> Any:
    """Just these files, all of their columns, and the names of folders as columns where that is asked for."""
    reader, paths = spark.read.option("mergeSchema", "true"), [path.toString() for _, _, path in files]
    folders = {folder for relative, _, _ in files for folder in relative.split("/")[:-1]}
    if not plan["partitions"] or not folders:
        return reader.parquet(*paths)
    names = {unquote(folder.partition("=")[0]) for folder in folders}
    if twice := sorted(names & set(reader.parquet(*paths).columns)):
        raise SystemExit(
            f"there is a column {', '.join(twice)} in the files and in the names of their folders, and Spark takes the "
            "latter: leave `check_on` out, or say `partitions: false` in the format"
        )
    return reader.option("basePath", source).parquet(*paths)


def schema_of(spark: Any, path: Any) -> Any:
    """What a file itself says of its columns."""
    conf = spark._jsc.hadoopConfiguration()
    return spark._jvm.org.apache.parquet.hadoop.ParquetFileReader.readFooter(conf, path).getFileMetaData().getSchema()


def without_zone(spark: Any, files: list[Any], names: list[str]) -> list[str]:
    """Those of some columns of timestamps that are of the old form INT96, in which Spark writes unless it is set
    otherwise: to others these are times without a zone. The files of one folder are written in one form.
    """
    found, unseen = [], set(names)
    for _, _, path in files:
        if not unseen:
            break
        schema = schema_of(spark, path)
        for name in [name for name in unseen if schema.containsField(name)]:
            unseen.remove(name)
            column = schema.getType(schema.getFieldIndex(name)).asPrimitiveType()
            if column.getPrimitiveTypeName().toString() == "INT96":
                found.append(name)
    return found


def keep_form(spark: Any, files: list[Any]) -> None:
    """Write timestamps as the files have them, also those within other values."""
    old = "int96" in schema_of(spark, files[0][2]).toString().lower()
    spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96" if old else "TIMESTAMP_MICROS")


MEASURED = ("length", "uuid", "clock", "digits")
"""What else of a column than its type says whether a value is one of it."""
EXACT_TEXTS = ("string", "boolean", "tinyint", "smallint", "int", "bigint")
"""Types whose values are equal just when their texts are."""


def typed(spark: Any, raw: Any, files: list[Any], plan: Plan) -> Any:
    """The records with the contract's types, what their casts lost, whether they delete or are out of the scope, their
    raw form, and where each is from.
    """
    columns, compared = plan["columns"], plan["compared"]
    kinds = {field.name: field.dataType.simpleString() for field in raw.schema.fields}
    raws = {name: quoted(name) for name in kinds}
    for name in without_zone(spark, files, [name for name, kind in kinds.items() if kind == "timestamp"]):
        kinds[name], raws[name] = "timestamp_ntz", f"CAST({quoted(name)} AS TIMESTAMP_NTZ)"
    wanted = {column["name"]: column for column in columns}
    if missing := [name for name in (*wanted, *compared) if name not in kinds]:
        raise SystemExit(f"the records have no column {', '.join(missing)} (there is {', '.join(kinds)})")
    for name in compared:
        if kinds[name] not in EXACT_TEXTS:
            raise SystemExit(f"`delete_when` compares {name!r}, which is {kinds[name]}: give it its type in `columns:`")
    values, lost = [], []
    for place, kind in kinds.items():
        name, value, column = quoted(place), raws[place], wanted.get(place)
        if column is None:
            values.append(f"{value} AS {name}")
            continue
        if kind != "string" and base(kind) not in FAMILIES[base(column["type"])]:
            raise SystemExit(
                f"column {place!r} is {kind} in the files and {column['type']} in the contract, and only a worker "
                "makes the one of the other: leave `check_on` out, or give the column the type that it has in the files"
            )
        values.append(f"{made(value, column, kind)} AS {name}")
        if kind != column["type"].lower() or any(column[more] not in (None, False) for more in MEASURED):
            reason = literal(f"type:{place}")
            lost.append(f"CASE WHEN {changed(value, column, kind)} THEN {reason} END")
    frame = raw.selectExpr(
        *values,
        f"filter(array({', '.join(lost) or 'CAST(NULL AS STRING)'}), x -> x IS NOT NULL) AS {REASONS}",
        f"struct({', '.join(f'{value} AS {quoted(name)}' for name, value in raws.items())}) AS {RAW}",
        f"regexp_replace(_metadata.file_path, {literal(SCHEME)}, '') AS __file",
        f"_metadata.row_index + 1 AS {LINE}",
    )
    numbers = [(re.sub(SCHEME, "", path.toUri().toString()), number) for number, (_, _, path) in enumerate(files)]
    places = spark.createDataFrame(numbers, f"__file STRING, {PART} INT").hint("broadcast")
    placed = frame.join(places, "__file", "left").drop("__file")
    return placed.selectExpr("*", f"({plan['gone']}) AS {GONE}", f"({plan['outside'] or 'false'}) AS {OUTSIDE}")


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


def is_bad(rule: Plan, number: int) -> str:
    """SQL of whether a record breaks a rule that holds for it."""
    return f"(__fails{number} AND NOT {GONE})" if rule["spared"] else f"__fails{number}"


def counts(frame: Any, rules: list[Plan]) -> list[tuple[int, int, int]]:
    """By rule, how many records count, how many of them break it, and for how many of these it holds."""
    if not rules:
        return []
    asked = [
        f"count(CASE WHEN {what} THEN 1 END) AS c{number}_{place}"
        for number, rule in enumerate(rules)
        for place, what in enumerate((f"__applies{number}", f"__fails{number}", is_bad(rule, number)))
    ]
    row = frame.selectExpr(*asked).first()
    return [(row[f"c{number}_0"], row[f"c{number}_1"], row[f"c{number}_2"]) for number in range(len(rules))]


def holds(rule: Plan, applies: int, bad: int) -> bool:
    return applies == 0 or applies - bad >= Decimal(str(rule["mostly"])) * applies


def run(spark: Any, plan: Plan, source: str, to: str) -> Plan:
    """Split the records of `source`; returns the report."""
    rules, files = plan["rows"], listed(spark, source)
    report: Plan = {"files": [[relative, size] for relative, size, _ in files]}
    if not files:
        return report | nothing(plan)
    raw = read(spark, source, files, plan)
    keep_form(spark, files)
    every = typed(spark, raw, files, plan)
    left_out = every.where(OUTSIDE).count() if plan["outside"] else 0
    frame = judged(every.where(f"NOT {OUTSIDE}"), rules).cache()
    seen = counts(frame, rules)
    all_read, placed = frame.selectExpr("count(*)", f"count({PART})").first()
    if placed < all_read:
        raise SystemExit(f"it is not known of which files {all_read - placed} records are")
    broken = [number for number, rule in enumerate(rules) if not holds(rule, seen[number][0], seen[number][2])]
    strict = [number for number in broken if rules[number]["severity"] == "critical"]
    reasons = [
        f"CASE WHEN {is_bad(rules[number], number)} THEN {literal(rules[number]['name'])} END" for number in strict
    ]
    every = f"concat({REASONS}, filter(array({', '.join(reasons) or 'CAST(NULL AS STRING)'}), x -> x IS NOT NULL))"
    names = [quoted(name) for name in raw.columns]
    split = frame.selectExpr(*names, f"{every} AS {REASONS}", RAW, PART, LINE)
    good = split.where(f"size({REASONS}) = 0").selectExpr(*names, PART, LINE)
    bad = split.where(f"size({REASONS}) > 0")
    kept, older = newest(good, plan)
    kept.write.mode("overwrite").parquet(to + "passed/")
    if older is not None:
        older.write.mode("overwrite").parquet(to + "replaced/")
    bad.selectExpr(f"{RAW}.*", PART, LINE, f"to_json({REASONS}) AS {REASONS}").write.mode("overwrite").parquet(
        to + "rejected/"
    )
    by_reason = bad.selectExpr(f"explode({REASONS}) AS rule").groupBy("rule").count().collect()
    passed = spark.read.parquet(to + "passed/")
    if plan["key"]:
        keys = [quoted(name) for name in plan["key"]]
        dead = bad.selectExpr(*keys).distinct().hint("broadcast")
        passed.join(dead, plan["key"], "left_semi").selectExpr(*map(quoted, passed.columns)).write.mode(
            "overwrite"
        ).parquet(to + "same_key/")
    if plan["text"] and (lines := as_lines(passed, plan["key"] or [PART, LINE])) is not None:
        lines.write.mode("overwrite").text(to + "text/", compression="none", lineSep="\n")
    written = {name: [[at, size] for at, size, _ in listed(spark, f"{to}{name}/")] for name in (*FOLDERS, *OTHERS)}
    rows = {name: spark.read.parquet(f"{to}{name}/").count() if written[name] else 0 for name in FOLDERS}
    if all_read != sum(rows.values()):
        raise SystemExit(f"{all_read} records were read, and written were {rows}: the folder was changed meanwhile")
    return report | {
        "read": all_read,
        "left_out": left_out,
        **rows,
        "written": written,
        "rules": [
            {"rule": rule["name"], "judged": seen[number][0], "bad": seen[number][1], "holds": number not in broken}
            for number, rule in enumerate(rules)
        ],
        "reasons": {row["rule"]: row["count"] for row in sorted(by_reason, key=lambda row: row["rule"])},
        "table": verdicts(passed, plan["table"]),
        "columns": {field.name: field.dataType.simpleString() for field in passed.schema.fields},
        "texts": texts(passed),
        "far": far(passed),
        "ends": ends(passed, plan["window_by"]),
        "blanks": blanks(split, plan["key"]),
    }


FOLDERS = ("passed", "replaced", "rejected")
OTHERS = ("same_key", "text")
"""Folders with records that are in one of the others too."""


def nothing(plan: Plan) -> Plan:
    """The report of a folder without records."""
    return {
        "read": 0,
        "left_out": 0,
        **dict.fromkeys(FOLDERS, 0),
        "written": {name: [] for name in (*FOLDERS, *OTHERS)},
        "columns": {},
        "texts": {},
        "far": [],
        "ends": None,
        "blanks": [],
        "rules": [{"rule": rule["name"], "judged": 0, "bad": 0, "holds": True} for rule in plan["rows"]],
        "reasons": {},
        "table": [],
    }


COPIED = ("string", "boolean", "date", "timestamp", "timestamp_ntz", *NUMBERS)
ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def as_lines(frame: Any, order: list[str]) -> Any:
    """The records as lines for a COPY of Postgres, in its text format; None where a column is of no type for that."""
    kinds = [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]
    kinds = [(quoted(name), kind) for name, kind in kinds if name not in (PART, LINE)]
    if not all(base(kind) in COPIED for _, kind in kinds):
        return None
    values = ", ".join(f"coalesce({copied(name, kind)}, {literal(NULL)})" for name, kind in kinds)
    return frame.orderBy(*map(quoted, order)).selectExpr(f"concat_ws({literal(TAB)}, {values}) AS value")


TAB, NULL = "\t", "\\N"


def copied(value: str, kind: str) -> str:
    """SQL of a value as Postgres reads it, whatever its settings are."""
    text = f"CAST({value} AS STRING)"
    if kind == "string":
        for character, escaped in ESCAPED.items():
            text = f"replace({text}, {literal(character)}, {literal(escaped)})"
        return text
    return f"concat({text}, '+00')" if kind == "timestamp" else text


def texts(frame: Any) -> Plan:
    """Of each column of texts, the bytes of the longest and whether one of them has a NUL."""
    names = [field.name for field in frame.schema.fields if field.dataType.simpleString() == "string"]
    if not names:
        return {}
    asked = [f"max(octet_length({quoted(name)})) AS b{at}" for at, name in enumerate(names)]
    asked += [f"max(instr({quoted(name)}, chr(0)) > 0) AS n{at}" for at, name in enumerate(names)]
    row = frame.selectExpr(*asked).first()
    return {name: [row[f"b{at}"] or 0, bool(row[f"n{at}"])] for at, name in enumerate(names)}


def far(frame: Any) -> list[str]:
    """The columns with a moment in a year that loads set aside: below 100, or of five digits."""
    names = [field.name for field in frame.schema.fields if field.dataType.simpleString() in MOMENTS]
    if not names:
        return []
    asked = (f"max(year({quoted(name)}) NOT BETWEEN 100 AND 9999) AS f{at}" for at, name in enumerate(names))
    row = frame.selectExpr(*asked).first()
    return [name for at, name in enumerate(names) if row[f"f{at}"]]


def ends(frame: Any, column: str | None) -> Any:
    """The first and the last value of the column by which records belong to a window, as texts, and how many have none;
    None without records.
    """
    if column is None or column not in frame.columns:
        return None
    name = quoted(column)
    asked = (f"CAST(min({name}) AS STRING)", f"CAST(max({name}) AS STRING)", f"count_if({name} IS NULL)", "count(*)")
    first, last, missing, records = frame.selectExpr(*asked).first()
    return [first, last, missing] if records else None


def blanks(frame: Any, key: list[str]) -> list[str]:
    """The columns of the key with a text that ends in a blank: some databases do not count it."""
    names = [name for name in key if dict(frame.dtypes)[name] == "string"]
    if not names:
        return []
    row = frame.selectExpr(*(f"max({quoted(name)} LIKE '% ') AS e{at}" for at, name in enumerate(names))).first()
    return [name for at, name in enumerate(names) if row[f"e{at}"]]


def newest(good: Any, plan: Plan) -> Any:
    """Of several records with one key the newest, else that of the later file and line; and the others, if any."""
    if not plan["key"]:
        return good, None
    order = f"{PART} DESC, {LINE} DESC"
    if plan["newest_by"] is not None:
        order = f"{quoted(plan['newest_by'])} DESC NULLS LAST, {order}"
    keys = ", ".join(quoted(name) for name in plan["key"])
    placed = good.selectExpr("*", f"row_number() OVER (PARTITION BY {keys} ORDER BY {order}) AS __place").cache()
    return placed.where("__place = 1").drop("__place"), placed.where("__place > 1").drop("__place")


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
    stream = path.getFileSystem(spark._jsc.hadoopConfiguration()).create(path, True)
    stream.write(bytearray(text.encode("utf-8")))
    stream.close()


def remove(spark: Any, uri: str) -> None:
    path = spark._jvm.org.apache.hadoop.fs.Path(uri)
    path.getFileSystem(spark._jsc.hadoopConfiguration()).delete(path, True)


SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
}


def begin(spark: Any) -> None:
    """Let the session mean what the plan's SQL means."""
    for setting, value in SETTINGS.items():
        spark.conf.set(setting, value)
    for name, function in FUNCTIONS.items():
        spark.udf.register(name, function, "boolean")


def carry_out(spark: Any, plan: str, source: str, to: str) -> Plan:
    """Remove what an earlier run has left at `to`, write all anew, and the report last; returns that."""
    for name in ("report.json", *FOLDERS, *OTHERS):
        remove(spark, to + name)
    report = {"plan": hashlib.sha256(plan.encode("utf-8")).hexdigest()}
    report |= run(spark, json.loads(plan), source, to)
    write(spark, to + "report.json", json.dumps(report, indent=1, ensure_ascii=False))
    return report


def main() -> None:
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("plan", "source", "to"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    spark = SparkSession.builder.appName("sluicegate checks").getOrCreate()
    begin(spark)
    [(plan,)] = spark.read.text(given.plan, wholetext=True).collect()
    report = carry_out(spark, plan, given.source, given.to)
    print(f"{report['read']} records read, {report['rejected']} rejected: {json.dumps(report['reasons'])}")


if __name__ == "__main__":
    main()
