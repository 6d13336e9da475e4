# ruff: noqa: E501 - tables of mistakes
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.pipeline import Diagnostic, PipelineErrors
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import LoadStep
from sluicegate.pipeline.tree import read_together
from tests.pipeline.conftest import Dags

StandsAt = Callable[[Diagnostic, str], bool]

DAY = 'schedule: {cron: "@daily", start: 2026-01-01}\n'
ORDERS = """
    sluicegate: 1
    matrix: {region: [eu, us], size: [1, 2]}
    owner: sales-{{ matrix.region }}
    schedule: {cron: "@daily", start: 2026-01-01}
    max_active_runs: "{{ matrix.size }}"
    datasets:
      raw: s3://in/{{ matrix.region }}/{{matrix.size}}/{{ ds }}.csv
      orders: table://wh/{{ matrix.region }}.orders_{{ matrix.size }}
    steps:
      a: {load: raw, into: orders}
    """
READER = "sluicegate: 1\n" + DAY + "steps:\n  r: {load: READS, into: table://w/r}\n"


def test_one_file_makes_a_pipeline_for_each_combination(dags: Dags) -> None:
    dags.write("orders.yaml", ORDERS)
    found = dags.tree()
    assert [str(diagnostic) for diagnostic in found.diagnostics] == []
    assert list(found.pipelines) == ["orders_eu_1", "orders_eu_2", "orders_us_1", "orders_us_2"]
    one = found.pipelines["orders_us_2"]
    assert (one.name, one.file, one.matrix) == ("orders_us_2", dags.root / "orders.yaml", {"region": "us", "size": 2})
    assert one.owner == "sales-us"
    assert found.files == (dags.root / "orders.yaml",)


def test_what_is_not_the_matrix_is_left_for_the_run_and_a_whole_value_keeps_its_type(dags: Dags) -> None:
    dags.write("orders.yaml", ORDERS)
    one = dags.tree().pipelines["orders_eu_2"]
    assert one.datasets["raw"].uri == "s3://in/eu/2/{{ ds }}.csv"
    assert one.max_active_runs == 2
    step = one.steps["a"]
    assert isinstance(step, LoadStep)
    assert step.load.dataset == "raw"


@pytest.mark.parametrize(("value", "read"), [("true", True), ("1", 1), ("eu", "eu"), ("'1'", "1")])
def test_a_whole_value_is_what_the_matrix_has(dags: Dags, value: str, read: object) -> None:
    dags.write(
        "a.yaml",
        f"sluicegate: 1\nmatrix: {{v: [{value}]}}\ndag: {{x: '{{{{ matrix.v }}}}', y: 'v={{{{ matrix.v }}}}'}}\nsteps: {{s: {{load: s3://b/x.csv, into: table://w/x}}}}\n",
    )
    [pipeline] = dags.tree().pipelines.values()
    text = str(read).lower()
    assert (pipeline.name, pipeline.dag) == (f"a_{text}", {"x": read, "y": f"v={text}"})
    assert type(pipeline.dag["x"]) is type(read)


def test_defaults_may_speak_of_the_matrix_of_the_files_below(dags: Dags) -> None:
    dags.write("defaults.yaml", "tags: ['{{ matrix.region }}']\n")
    dags.write("orders.yaml", ORDERS)
    assert dags.tree().pipelines["orders_us_1"].tags == ("us",)


def test_others_read_from_one_of_the_pipelines(dags: Dags) -> None:
    dags.write("orders.yaml", ORDERS)
    file = dags.write("reader.yaml", READER.replace("READS", "orders_us_2.raw"))
    assert dags.tree().diagnostics_of(file) == ()
    together = dags.together("reader.yaml")
    assert set(together.upstreams) == {"orders_us_2"}
    assert together.upstreams["orders_us_2"].matrix == {"region": "us", "size": 2}


def test_a_pipeline_reads_from_another_combination_of_its_own_file(dags: Dags) -> None:
    text = ORDERS.replace(
        "a: {load: raw",
        "b: {load: orders_eu_1.raw, into: 'table://wh/b_{{ matrix.region }}_{{ matrix.size }}'}\n      a: {load: raw",
    )
    dags.write("orders.yaml", text)
    assert [str(diagnostic) for diagnostic in dags.tree().diagnostics] == []
    together = read_together(dags.root / "orders.yaml", dags.root, only="orders_us_2")
    assert [pipeline.name for pipeline in together.pipelines] == ["orders_us_2"]
    assert set(together.upstreams) == {"orders_eu_1"}


READS = [
    ("orders_eu_3.raw", "missing-pipeline", "orders_eu_2.raw"),
    ("orders.raw", "missing-pipeline", "orders_eu_1.raw"),
    ("orders_eu_1.rw", "missing-dataset", "orders_eu_1.raw"),
]


@pytest.mark.parametrize(("reads", "code", "meant"), READS)
def test_a_combination_that_is_not_there_is_told_alone_as_in_the_tree(
    dags: Dags, stands_at: StandsAt, reads: str, code: str, meant: str
) -> None:
    dags.write("orders.yaml", ORDERS)
    file = dags.write("reader.yaml", READER.replace("READS", reads))
    [diagnostic] = dags.tree().diagnostics_of(file)
    assert (diagnostic.code, diagnostic.suggestion) == (code, meant)
    assert stands_at(diagnostic, reads)
    with pytest.raises(PipelineErrors) as errors:
        dags.together("reader.yaml")
    assert errors.value.diagnostics == (diagnostic,)


@pytest.mark.parametrize(
    "broken",
    ["sluicegate: 1\nmatrix: {region: [eu]}\nowner: 'open\n", "sluicegate: 1\nmatrix: {region: []}\nsteps: {}\n"],
)
def test_a_reader_of_a_file_with_a_broken_matrix_is_sent_there(dags: Dags, broken: str) -> None:
    dags.write("orders.yaml", broken)
    file = dags.write("reader.yaml", READER.replace("READS", "orders_eu.raw"))
    [diagnostic] = dags.tree().diagnostics_of(file)
    assert diagnostic.code == "upstream-broken"
    assert "orders.yaml:" in diagnostic.message
    with pytest.raises(PipelineErrors) as errors:
        dags.together("reader.yaml")
    assert errors.value.diagnostics == (diagnostic,)


def test_no_file_is_opened_that_cannot_make_what_is_read(dags: Dags, monkeypatch: pytest.MonkeyPatch) -> None:
    dags.write("orders.yaml", ORDERS)
    for name in ("order", "orders_", "orders_eu_11", "others", "eu_1"):
        dags.write(f"{name}.yaml", "sluicegate: 1\n")
    dags.write("reader.yaml", READER.replace("READS", "orders_eu_1.raw"))
    opened: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: (opened.append(self.name), original(self))[1])
    dags.together("reader.yaml")
    assert set(opened) == {"orders.yaml", "reader.yaml"}


def test_a_name_that_a_matrix_and_a_file_make_is_told_in_both_with_the_places(dags: Dags) -> None:
    dags.write(
        "a.yaml",
        "sluicegate: 1\nmatrix: {region: [eu, us]}\nsteps:\n  s: {load: s3://b/x.csv, into: 'table://w/{{ matrix.region }}'}\n",
    )
    dags.write("sub/a_eu.yaml", "sluicegate: 1\nsteps:\n  s: {load: s3://b/y.csv, into: table://w/y}\n")
    found = dags.tree()
    assert found.pipelines == {}
    assert [(m.file.name, m.line, m.code) for m in found.diagnostics] == [
        ("a.yaml", 2, "duplicate-name"),
        ("a_eu.yaml", 1, "duplicate-name"),
    ]
    assert found.diagnostics[0].message == "the name `a_eu` is taken twice: here and by sub/a_eu.yaml (with region=eu)"
    assert found.diagnostics[1].message == "the name `a_eu` is taken twice: here and by the matrix of a.yaml:2:1"
    for name in ("a.yaml", "sub/a_eu.yaml"):
        with pytest.raises(PipelineErrors) as errors:
            dags.together(name)
        assert errors.value.diagnostics == found.diagnostics_of(dags.root / name)


# What is wrong: text, what the caret stands at, code, suggestion.

MISTAKES = [
    ("matrix: {region: []}", "[]", "value", None),
    ("matrix: {}", "matrix", "value", None),
    ("matrix: [eu]", "[eu]", "type", None),
    ("matrix: {region: eu}", "eu}", "type", None),
    ("matrix: {region: [EU-West]}", "EU-West", "value", "eu_west"),
    ("matrix: {region: [eu, [us]]}", "[us]", "value", None),
    ("matrix: {region: [eu, null]}", "null", "value", None),
    ("matrix: {size: [1.5]}", "1.5", "value", "1_5"),
    ("matrix: {size: [-1]}", "-1", "value", "1"),
    ("matrix: {region: [eu, us, eu]}", "eu]", "value", None),
    ("matrix: {size: [1, '1']}", "'1'", "value", None),
    ("matrix: {Region: [eu]}", "Region", "name", None),
    ("matrix: {a: [x, x_y], b: [y_z, z]}", "matrix", "duplicate-name", None),
    ("matrix: {a: [0,1,2,3,4,5,6,7,8,9], b: [0,1,2,3,4,5,6,7,8,9], c: [0,1,2,3,4,5,6,7,8,9], d: [0,1]}", "matrix", "too-large", None),
    ("matrix: {region: [eu, us]}\nowner: x {{ matrix.regoin }}", "regoin", "matrix", "region"),
    ("matrix: {region: [eu, us]}\nowner: '{{ matrix.region | upper }}'", "matrix.region | upper", "matrix", None),
    ("matrix: {region: [eu, us]}\nowner: '{% if matrix.region %}x{% endif %}'", "matrix.region %}", "matrix", None),
    ("matrix: {region: [eu, us]}\nowner: 'x {{- matrix.region }}'", "matrix.region", "matrix", None),
    ("matrix: {region: [eu, us]}\nparams: {'{{ matrix.region }}': 1}", "'{{ matrix.region }}'", "matrix", None),
    ("matrix: {region: [eu, us]}\nparams: {'${env:X}': '{{ matrix.regoin }}'}", "'${env:X}'", "env", None),
    ("owner: '{{ matrix.region }}'", "matrix.region", "matrix", None),
    ("matrix: {region: [eu, us]}\nonwer: x", "onwer", "unknown-key", "owner"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "code", "meant"), MISTAKES)
def test_a_mistake_about_a_matrix_is_placed_and_told_once(
    dags: Dags, stands_at: StandsAt, text: str, words: str, code: str, meant: str | None
) -> None:
    file = dags.write(
        "a.yaml",
        f"sluicegate: 1\n{text}\nsteps: {{s: {{load: s3://b/x.csv, into: {{{{x}}}}}}}}\n".replace(
            "{{x}}", "table://w/x"
        ),
    )
    diagnostics = [diagnostic for diagnostic in read_draft(file, dags.root).diagnostics if diagnostic.is_error]
    assert len(diagnostics) == 1, "\n".join(map(str, diagnostics))
    assert (diagnostics[0].code, diagnostics[0].suggestion) == (code, meant), diagnostics[0]
    assert stands_at(diagnostics[0], words), diagnostics[0]


def test_a_matrix_in_defaults_is_refused(dags: Dags, stands_at: StandsAt) -> None:
    dags.write("defaults.yaml", "owner: x\nmatrix: {region: [eu]}\n")
    dags.write("a.yaml", "sluicegate: 1\nsteps: {s: {load: s3://b/x.csv, into: table://w/x}}\n")
    [diagnostic] = dags.tree().diagnostics
    assert (diagnostic.file.name, diagnostic.code) == ("defaults.yaml", "unknown-key")
    assert stands_at(diagnostic, "matrix")


def test_mistakes_in_some_combinations_say_in_which(dags: Dags) -> None:
    dags.write("jobs/eu.py", "")
    dags.write("defaults.yaml", "clusters: {small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}\n")
    file = dags.write(
        "a.yaml",
        """
        sluicegate: 1
        matrix: {region: [eu, us, uk], size: [1, 2]}
        onwer: x
        steps:
          s: {spark: "jobs/{{ matrix.region }}.py", cluster: small}
          t: {load: "missing_{{ matrix.size }}", into: "table://w/{{ matrix.region }}{{ matrix.size }}"}
        """,
    )
    told = [(diagnostic.line, diagnostic.message) for diagnostic in read_draft(file, dags.root).diagnostics]
    assert told == [
        (3, "a pipeline has no key `onwer`"),
        (5, "there is no file 'jobs/us.py' below the dags root (with region=us)"),
        (5, "there is no file 'jobs/uk.py' below the dags root (with region=uk)"),
        (6, "there is no dataset 'missing_1': declare it under `datasets:`, or write its URI (with size=1)"),
        (6, "there is no dataset 'missing_2': declare it under `datasets:`, or write its URI (with size=2)"),
    ]  # fmt: skip


def test_of_many_mistakes_at_one_place_the_first_are_told_with_the_number_of_the_others(dags: Dags) -> None:
    numbers = ", ".join(str(number) for number in range(200))
    steps = "steps: {s: {load: 'gone_{{ matrix.n }}', into: 'table://w/{{ matrix.n }}'}}"
    file = dags.write("a.yaml", f"sluicegate: 1\nmatrix: {{n: [{numbers}]}}\n{steps}\n")
    told = [diagnostic.message for diagnostic in read_draft(file, dags.root).diagnostics]
    assert [message.partition(":")[0] for message in told] == [f"there is no dataset 'gone_{n}'" for n in range(3)]
    assert all(message.endswith(f"(with n={n}); 197 more are like it") for n, message in enumerate(told))


def test_a_place_that_all_combinations_write_is_one_warning(dags: Dags) -> None:
    dags.write(
        "a.yaml",
        "sluicegate: 1\nmatrix: {n: [1, 2, 3, 4, 5, 6]}\nsteps:\n  s: {load: s3://b/x.csv, into: table://w/x}\n",
    )
    [warning] = dags.tree().diagnostics
    assert (warning.code, warning.severity) == ("same-place", "warning")
    assert "`a_2`, `a_3`, `a_4` and 2 more" in warning.message


def test_cycles_through_combinations_name_their_pipelines(dags: Dags) -> None:
    dags.write(
        "a.yaml",
        "sluicegate: 1\nmatrix: {n: [1, 2]}\n"
        + DAY
        + "datasets: {x: 's3://b/{{ matrix.n }}'}\nsteps:\n  s: {load: b.x, into: x}\n",
    )
    dags.write("b.yaml", "sluicegate: 1\n" + DAY + "datasets: {x: s3://b/b}\nsteps:\n  s: {load: a_2.x, into: x}\n")
    assert {(m.file.name, m.code) for m in dags.tree().diagnostics} == {("a.yaml", "cycle"), ("b.yaml", "cycle")}
    [first, second] = dags.tree().diagnostics
    told, other = first.message.split("; see also ")
    assert other == f"b.yaml:{second.line}:{second.column}"
    path = told.split(": ")[1].split(" -> ")
    assert set(path) == {"a_2.s", "b.s"}


def test_just_one_combination_is_read_where_just_one_is_asked_for(dags: Dags) -> None:
    file = dags.write("orders.yaml", ORDERS)
    assert [one.name for one in read_draft(file, dags.root, only="orders_us_1").variants] == ["orders_us_1"]


def test_the_file_without_matrix_has_none(dags: Dags) -> None:
    assert dags.read("sluicegate: 1\nsteps: {s: {load: s3://b/matrix.csv, into: table://w/x}}\n").matrix == {}
