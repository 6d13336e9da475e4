# ruff: noqa: E501 - a table of pipelines
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.pipeline import Diagnostic, PipelineErrors, tree
from tests.pipeline.conftest import Dags

StandsAt = Callable[[Diagnostic, str], bool]


def pipeline(
    reads: str = "", writes: str = "{x: s3://b/NAME}", cron: str = "@daily", extra: str = "", start: str = "2026-01-01"
) -> str:
    read = f"reads: {reads}, " if reads else ""
    return (
        f'sluicegate: 1\nschedule: {{cron: "{cron}", start: {start}}}\n{extra}'
        f"datasets: {writes}\nsteps:\n  a: {{python: 'os:system', with: {{command: x}}, {read}writes: [x]}}\n"
    )


def test_which_files_are_pipelines(dags: Dags) -> None:
    dags.write("orders.yaml", pipeline())
    dags.write("deep/er/weather.yml", pipeline(writes="{x: s3://b/weather}"))
    dags.write("values.yaml", "a: 1\nb:\n  sluicegate: 1\n")
    dags.write("notes.txt", "sluicegate: 1")
    dags.write(".hidden/secret.yaml", pipeline())
    dags.write("__pycache__/x.yaml", pipeline())
    dags.write("defaults.yaml", "owner: me\nsluicegate: 1\n")
    found = dags.tree()
    assert sorted(found.pipelines) == ["orders", "weather"]
    assert found.diagnostics == ()
    assert [file.name for file in found.files] == ["orders.yaml", "weather.yml"]


def test_a_near_miss_is_a_warning(dags: Dags) -> None:
    dags.write("orders.yaml", "# mine\nsluicegat: 1\nsteps: {}\n")
    [warning] = dags.tree().diagnostics
    assert (warning.code, warning.severity, warning.line, warning.suggestion) == (
        "not-a-pipeline", "warning", 2, "sluicegate",
    )  # fmt: skip
    assert dags.tree().files == ()


def test_defaults_under_another_ending_are_a_warning(dags: Dags) -> None:
    dags.write("defaults.yml", "owner: me\n")
    assert [m.code for m in dags.tree().diagnostics] == ["not-a-pipeline"]


def test_a_mistake_in_defaults_is_told_once_and_held_against_all_below(dags: Dags) -> None:
    dags.write("sales/defaults.yaml", "ownr: me\n")
    for name in ("one", "two"):
        dags.write(f"sales/{name}.yaml", pipeline(writes=f"{{x: s3://b/{name}}}"))
    dags.write("three.yaml", pipeline(writes="{x: s3://b/three}"))
    found = dags.tree()
    assert [(m.code, m.suggestion) for m in found.diagnostics] == [("unknown-key", "owner")]
    assert list(found.pipelines) == ["three"]
    assert len(found.diagnostics_of(dags.root / "sales/two.yaml")) == 1


def test_defaults_without_a_pipeline_are_checked_too(dags: Dags) -> None:
    dags.write("empty/defaults.yaml", "shedule: none\n")
    assert [(m.code, m.suggestion) for m in dags.tree().diagnostics] == [("unknown-key", "schedule")]


def test_good_files_stand_beside_bad_ones(dags: Dags) -> None:
    dags.write("good.yaml", pipeline())
    dags.write("open.yaml", "sluicegate: 1\nowner: 'me\n")
    dags.write("key.yaml", pipeline(writes="{x: s3://b/key}").replace("schedule", "shedule"))
    dags.write(
        "loop.yaml",
        "sluicegate: 1\nsteps:\n  a: {load: x, into: y}\n  b: {load: y, into: x}\ndatasets: {x: s3://b/1, y: s3://b/2}\n",
    )
    found = dags.tree()
    assert list(found.pipelines) == ["good"]
    assert {m.file.name: m.code for m in found.diagnostics} == {
        "open.yaml": "syntax", "key.yaml": "unknown-key", "loop.yaml": "cycle",
    }  # fmt: skip
    assert found.diagnostics_of(dags.root / "good.yaml") == ()
    assert [m.line for m in found.diagnostics_of(dags.root / "open.yaml")] == [2]


def test_two_files_of_one_name_name_each_other(dags: Dags) -> None:
    dags.write("a/orders.yaml", pipeline())
    dags.write("b/orders.yml", pipeline())
    dags.write("reader.yaml", pipeline("orders.x", "{x: s3://b/r}"))
    found = dags.tree()
    assert found.pipelines == {}
    assert [(m.code, m.file.name) for m in found.diagnostics] == [
        ("duplicate-name", "orders.yaml"), ("duplicate-name", "orders.yml"), ("ambiguous", "reader.yaml"),
    ]  # fmt: skip
    assert "b/orders.yml" in found.diagnostics[0].message
    assert "a/orders.yaml, b/orders.yml" in found.diagnostics[2].message
    with pytest.raises(PipelineErrors, match="duplicate-name"):
        dags.together("a/orders.yaml")


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        tree.read_tree(tmp_path / "none")


def test_folders_linked_in_a_circle_are_read_once(dags: Dags) -> None:
    dags.write("sales/orders.yaml", pipeline())
    (dags.root / "sales" / "again").symlink_to(dags.root / "sales")
    assert list(dags.tree().pipelines) == ["orders"]


# Reading from another pipeline: alone (as the factory reads) and in the whole tree it is the same mistake.

READS = [
    ("weather.x", {"weather": pipeline()}, None, None),
    ("wether.x", {"weather": pipeline()}, "missing-pipeline", "weather.x"),
    ("weather.rows", {"weather": pipeline(writes="{x: s3://b/x, raws: s3://b/y}")}, "missing-dataset", "weather.raws"),
    ("weather.x", {"weather": pipeline(extra="params: {p: q}\n", writes="{x: 's3://b/{{ params.p }}'}")}, "param-place", None),
    ("weather.x", {"weather": pipeline(cron="@weekly")}, "window", None),
    ("weather.x", {"weather": pipeline(start="2026-02-01")}, "window", None),
    ("{x: {dataset: weather.x, latest: true}}", {"weather": pipeline(cron="@weekly")}, None, None),
    ("{x: {dataset: weather.x, latest: true}}", {"weather": pipeline(writes="{x: 's3://b/{{ ds }}'}")}, "latest", None),
    ("weather.x", {"weather": "sluicegate: 1\nowner: 'open\n"}, "upstream-broken", None),
    ("weather.x", {"weather": pipeline(cron="nonsense")}, "upstream-broken", None),
    ("weather.x", {"weather": pipeline(extra="ownr: me\n")}, None, None),
    ("weather.x", {"weather": pipeline().replace("schedule: {", "#")}, "window", None),
    ("weather.x", {"weather": pipeline(extra="params: {p: q}\n").replace("command: x", "command: '{{ params.p }}'")}, "param-narrows", None),
]  # fmt: skip


@pytest.mark.parametrize(("reads", "others", "code", "meant"), READS)
def test_what_is_read_from_others_is_checked(
    dags: Dags, stands_at: StandsAt, reads: str, others: dict[str, str], code: str | None, meant: str | None
) -> None:
    for name, text in others.items():
        dags.write(f"other/{name}.yaml", text)
    file = dags.write("reader.yaml", pipeline(reads, writes="{x: s3://b/reader}"))
    in_tree = dags.tree().diagnostics_of(file)
    if code is None:
        assert in_tree == ()
        assert set(dags.together("reader.yaml").upstreams) == set(others)
        return
    [diagnostic] = in_tree
    assert (diagnostic.code, diagnostic.suggestion) == (code, meant), diagnostic
    assert stands_at(diagnostic, reads if reads.startswith("w") else "weather.x"), diagnostic
    with pytest.raises(PipelineErrors) as errors:
        dags.together("reader.yaml")
    assert errors.value.diagnostics == in_tree


def test_a_reader_that_starts_too_soon_is_told_so(dags: Dags) -> None:
    dags.write("weather.yaml", pipeline(start="2026-02-01"))
    file = dags.write("reader.yaml", pipeline("weather.x", writes="{x: s3://b/reader}"))
    [diagnostic] = dags.tree().diagnostics_of(file)
    assert "start later" in diagnostic.message


def test_a_reader_without_a_cron_has_no_window_to_wait_in(dags: Dags) -> None:
    dags.write("weather.yaml", pipeline())
    text = pipeline("weather.x", writes="{x: s3://b/reader}")
    file = dags.write("reader.yaml", text.replace('schedule: {cron: "@daily", start: 2026-01-01}', "schedule: none"))
    [diagnostic] = dags.tree().diagnostics_of(file)
    assert diagnostic.code == "window"
    assert "latest: true" in diagnostic.message


def test_one_pipeline_is_read_without_opening_what_it_does_not_read(
    dags: Dags, monkeypatch: pytest.MonkeyPatch
) -> None:
    dags.write("weather.yaml", pipeline())
    dags.write("reader.yaml", pipeline("weather.x", writes="{x: s3://b/reader}"))
    for number in range(5):
        dags.write(f"other_{number}.yaml", pipeline())
    opened: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: (opened.append(self.name), original(self))[1])
    together = dags.together("reader.yaml")
    assert set(together.upstreams) == {"weather"}
    assert set(opened) == {"weather.yaml", "reader.yaml"}


def test_the_walk_can_be_done_once_for_many_files(dags: Dags) -> None:
    dags.write("weather.yaml", pipeline())
    dags.write("reader.yaml", pipeline("weather.x", writes="{x: s3://b/reader}"))
    index = tree.stems(dags.root)
    together = tree.read_together(dags.root / "reader.yaml", dags.root, index)
    assert set(together.upstreams) == {"weather"}


def test_pipelines_that_wait_for_each_other_are_told_in_each(dags: Dags) -> None:
    dags.write("one.yaml", pipeline("two.x", "{x: s3://b/1}"))
    dags.write("two.yaml", pipeline("three.x", "{x: s3://b/2}"))
    dags.write("three.yaml", pipeline("one.x", "{x: s3://b/3}"))
    dags.write("four.yaml", pipeline("one.x", "{x: s3://b/4}"))
    found = dags.tree()
    assert list(found.pipelines) == ["four"]
    assert {(m.file.name, m.code) for m in found.diagnostics} == {
        (f"{n}.yaml", "cycle") for n in ("one", "two", "three")
    }
    path = found.diagnostics[0].message.split(": ")[1].split(" -> ")
    assert "one.a -> three.a -> two.a -> one.a" in " -> ".join([*path, *path[1:]])


def test_two_pipelines_may_read_from_each_other_where_no_step_waits_for_itself(dags: Dags) -> None:
    dags.write("one.yaml", pipeline(writes="{x: s3://b/1}") + "  b: {load: two.x, into: table://w/one}\n")
    dags.write("two.yaml", pipeline("one.x", "{x: s3://b/2}"))
    assert dags.tree().diagnostics == ()


def test_one_place_written_by_two_pipelines_is_a_warning_unless_it_is_said(dags: Dags) -> None:
    dags.write("one.yaml", pipeline(writes="{x: 's3://b/{{ ds }}'}"))
    dags.write("two.yaml", pipeline(writes="{x: 's3://b/{{ds}}'}"))
    assert [(m.file.name, m.code, m.severity) for m in dags.tree().diagnostics] == [
        ("one.yaml", "same-place", "warning"), ("two.yaml", "same-place", "warning"),
    ]  # fmt: skip
    assert sorted(dags.tree().pipelines) == ["one", "two"]
    for name in ("one", "two"):
        dags.write(f"{name}.yaml", pipeline(writes="{x: {uri: 's3://b/{{ ds }}', shared: true}}"))
    assert dags.tree().diagnostics == ()
