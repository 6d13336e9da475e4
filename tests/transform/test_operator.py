"""The transform step, from its datasets through the author's function to its datasets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from sluicegate.faults import FaultError
from sluicegate.graph.location import Location
from sluicegate.pipeline.keys.model import Format
from sluicegate.runtime.operator import StepOperator
from sluicegate.testing.s3 import ScratchS3
from sluicegate.transform import TransformOperator

Run = Callable[..., Any]

CLEAN = """
    from __future__ import annotations
    import pyarrow as pa
    import pyarrow.compute as pc

    def clean(orders):
        return orders.filter(pc.is_valid(orders["x"]))

    def scaled(orders: pa.Table, factor, window, params):
        assert window.ds == "2013-02-11"
        return orders.set_column(1, "x", pc.multiply(orders["x"], factor * params["times"]))

    def stream(orders: pa.RecordBatchReader):
        assert isinstance(orders, pa.RecordBatchReader)
        for batch in orders:
            yield batch.filter(pc.is_valid(batch.column("x")))

    def both(orders):
        good = pc.is_valid(orders["x"])
        return {"good": orders.filter(good), "bad": orders.filter(pc.invert(good))}

    def joined(orders, customers):
        return orders.join(customers, "id")

    def broken(orders):
        raise ValueError("no such carrier")

    def half(orders: pa.RecordBatchReader):
        yield next(iter(orders))
        raise ValueError("half way")

    def nothing(orders):
        return None

    def no_batches(orders):
        return iter(())

    def other_columns(orders):
        yield pa.record_batch({"a": [1]})
        yield pa.record_batch({"b": [1]})
"""


@pytest.fixture
def module(author: Any) -> str:
    return author.module(CLEAN)  # type: ignore[no-any-return]


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text("id,x\n1,1.5\n2,\n3,2\n")
    return path


@pytest.fixture
def step(
    author: Any, module: str, tmp_path: Path, orders: Path, task_id: Callable[[], str]
) -> Callable[..., TransformOperator]:
    def make(function: str, **arguments: Any) -> TransformOperator:
        defaults = {
            "reads": {"orders": str(orders)},
            "writes": {"out": f"{tmp_path}/out/{{{{ ds }}}}.parquet"},
            "root": str(author.root),
        }
        return TransformOperator(task_id=task_id(), function=f"{module}:{function}", **(defaults | arguments))

    return make


def fails(run: Run, step: StepOperator, **params: Any) -> FaultError:
    with pytest.raises(FaultError) as caught:
        run(step, **params)
    return caught.value


def test_a_table_goes_through_the_function_into_its_place(run: Run, step: Any, tmp_path: Path) -> None:
    report = run(step("clean"))
    assert pq.read_table(tmp_path / "out" / "2013-02-11.parquet").column("id").to_pylist() == [1, 3]
    assert report == {"read": {"orders": 3}, "written": {"out": 2}}


def test_arguments_window_and_params_reach_the_function(run: Run, step: Any, tmp_path: Path) -> None:
    run(step("scaled", with_={"factor": 2}), times=3)
    assert pq.read_table(tmp_path / "out" / "2013-02-11.parquet").column("x").to_pylist() == [9.0, None, 12.0]


def test_a_location_is_rendered_with_the_window_of_the_run(run: Run, step: Any, tmp_path: Path) -> None:
    (tmp_path / "2013-02-11.csv").write_text("id,x\n7,1\n")
    run(step("clean", reads={"orders": Location("orders", f"{tmp_path}/{{{{ ds }}}}.csv")}))
    assert pq.read_table(tmp_path / "out" / "2013-02-11.parquet").column("id").to_pylist() == [7]


def test_a_location_brings_its_format(run: Run, step: Any, tmp_path: Path) -> None:
    (tmp_path / "export").write_text("id;x\n7;NA\n8;1\n")
    place = Location(
        "orders",
        f"{tmp_path}/export",
        Format.model_validate({"type": "csv", "delimiter": ";", "null": ["NA"]}),
    )
    run(step("clean", reads={"orders": place}))
    assert pq.read_table(tmp_path / "out" / "2013-02-11.parquet").column("id").to_pylist() == [8]


def test_a_stream_flows_through(run: Run, step: Any, tmp_path: Path) -> None:
    assert run(step("stream"))["written"] == {"out": 2}
    assert pq.read_table(tmp_path / "out" / "2013-02-11.parquet").num_rows == 2


def test_several_reads_and_writes_go_by_their_bindings(run: Run, step: Any, tmp_path: Path, orders: Path) -> None:
    (tmp_path / "customers.jsonl").write_text('{"id": 1, "name": "Ada"}\n')
    run(step("joined", reads={"orders": str(orders), "customers": f"{tmp_path}/customers.jsonl"}))
    assert "name" in pq.read_schema(tmp_path / "out" / "2013-02-11.parquet").names
    run(step("both", writes={"good": f"{tmp_path}/good.csv", "bad": f"{tmp_path}/bad.jsonl"}))
    assert (tmp_path / "good.csv").read_text() == '"id","x"\n1,1.5\n3,2\n'
    assert json.loads((tmp_path / "bad.jsonl").read_text()) == {"id": 2, "x": None}


def test_several_windows_are_one_table_in_their_order(run: Run, step: Any, tmp_path: Path) -> None:
    for day in (2, 1):
        (tmp_path / f"{day}.csv").write_text(f"id,x\n{day},1\n")
    run(step("clean", reads={"orders": [f"{tmp_path}/2.csv", f"{tmp_path}/1.csv"]}))
    assert pq.read_table(tmp_path / "out" / "2013-02-11.parquet").column("id").to_pylist() == [2, 1]


def test_a_folder_gets_one_part_and_loses_the_others(run: Run, step: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("part-00000.parquet", "part-00001.parquet", "part-00000-old.csv"):
        (out / name).write_text("old")
    (out / "_SUCCESS").touch()
    run(step("clean", writes={"out": f"{out}/"}))
    assert sorted(path.name for path in out.iterdir()) == ["_SUCCESS", "part-00000.parquet"]
    assert pq.read_table(out / "part-00000.parquet").num_rows == 2


def test_a_folder_may_have_another_format(run: Run, step: Any, tmp_path: Path) -> None:
    run(step("clean", writes={"out": f"{tmp_path}/out/"}, formats={"out": Format(type="csv")}))
    assert (tmp_path / "out" / "part-00000.csv").read_text() == '"id","x"\n1,1.5\n3,2\n'


def test_a_second_run_writes_the_same_bytes(run: Run, step: Any, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        run(step("clean", writes={"out": f"{tmp_path}/out.csv.gz"}))
        written.append((tmp_path / "out.csv.gz").read_bytes())
    assert written[0] == written[1]
    assert gzip.decompress(written[0]) == b'"id","x"\n1,1.5\n3,2\n'


def test_a_dry_run_does_everything_but_write(run: Run, step: Any, tmp_path: Path) -> None:
    assert run(step("clean"), dry_run=True)["written"] == {"out": 2}
    assert not (tmp_path / "out").exists()


def test_a_dry_run_without_its_input_is_skipped(run: Run, step: Any, tmp_path: Path) -> None:
    missing = {"orders": f"{tmp_path}/not-written.csv"}
    with pytest.raises(AirflowSkipException, match=r"not-written\.csv"):
        run(step("clean", reads=missing), dry_run=True)
    assert fails(run, step("clean", reads=missing)).code == "SOURCE_MISSING"


@pytest.mark.parametrize("function", ["broken", "half"])
def test_a_function_that_fails_leaves_the_old_output(run: Run, step: Any, tmp_path: Path, function: str) -> None:
    (tmp_path / "out").mkdir()
    old = tmp_path / "out" / "2013-02-11.parquet"
    old.write_text("old")
    error = fails(run, step(function))
    assert error.code == "CODE_BROKEN"
    assert isinstance(error.__cause__, ValueError)  # with the author's traceback
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("function", ["nothing", "no_batches", "other_columns"])
def test_a_result_that_is_no_table_says_so(run: Run, step: Any, function: str) -> None:
    error = fails(run, step(function))
    assert error.code == "WRONG_USE"
    assert function in error.detail


def test_a_result_that_does_not_fit_the_writes_says_so(run: Run, step: Any, tmp_path: Path) -> None:
    two = {"good": f"{tmp_path}/a.csv", "worse": f"{tmp_path}/b.csv"}
    assert "good, bad" in fails(run, step("both", writes=two)).detail
    assert "has to return a mapping" in fails(run, step("clean", writes=two)).detail


def test_a_source_that_breaks_in_the_stream_is_blamed_not_the_function(run: Run, step: Any, tmp_path: Path) -> None:
    whole = gzip.compress(b"id,x\n" + b"".join(b"%d,1\n" % n for n in range(500_000)))
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    error = fails(run, step("stream", reads={"orders": f"{tmp_path}/cut.csv.gz"}))
    assert error.code == "SOURCE_UNREADABLE"


def test_a_signature_that_does_not_fit_is_told_before_anything_is_read(run: Run, step: Any, tmp_path: Path) -> None:
    error = fails(run, step("clean", reads={"order": f"{tmp_path}/no-such-file.csv"}))
    assert error.code == "WRONG_USE"
    assert "did you mean 'orders'?" in error.detail


def test_a_source_that_changes_while_it_is_read_is_not_written(
    run: Run, author: Any, orders: Path, tmp_path: Path
) -> None:
    name = author.module(f"""
        def clean(orders):
            open({str(orders)!r}, "a").write("4,4\\n")
            return orders
    """)
    step = TransformOperator(
        task_id="t",
        function=f"{name}:clean",
        reads={"orders": str(orders)},
        writes={"out": f"{tmp_path}/out.csv"},
        root=str(author.root),
    )
    assert fails(run, step).code == "SOURCE_CHANGED"
    assert not (tmp_path / "out.csv").exists()


def test_a_pandas_frame_is_a_table_too(run: Run, author: Any, orders: Path, tmp_path: Path) -> None:
    name = author.module("def clean(orders):\n    return orders.to_pandas().dropna()")
    run(
        TransformOperator(
            task_id="t",
            function=f"{name}:clean",
            reads={"orders": str(orders)},
            writes={"out": f"{tmp_path}/out.csv"},
            root=str(author.root),
        )
    )
    assert (tmp_path / "out.csv").read_text().startswith('"id","x"\n1,1.5')


def test_from_s3_to_s3(run: Run, step: Any, s3: ScratchS3) -> None:
    for part in (0, 1):
        s3.put(f"s3://lake/in/part-{part}.csv", f"id,x\n{part},1\n")
    s3.put("s3://lake/out/2013-02-11/part-00007.csv", "old")
    run(
        step(
            "clean",
            reads={"orders": "s3://lake/in/"},
            writes={"out": "s3://lake/out/{{ ds }}/"},
            formats={"out": Format(type="csv")},
        )
    )
    assert s3.uris("s3://lake/out/") == ["s3://lake/out/2013-02-11/part-00000.csv"]
    assert s3.get("s3://lake/out/2013-02-11/part-00000.csv") == b'"id","x"\n0,1\n1,1\n'
