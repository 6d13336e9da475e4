"""The author's function is found, and what does not fit is told before anything is read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluicegate.faults import FaultError
from sluicegate.pipeline.read.code import CodeError
from sluicegate.pipeline.read.code import find_function as find_signature
from sluicegate.runtime.code import arguments_for, failure_of, find_function, on_path, streams


def load(author: Any, reference: str) -> Any:
    with on_path(str(author.root)):
        return find_function(reference, str(author.root))


def refused(author: Any, reference: str) -> FaultError:
    with pytest.raises(FaultError) as caught:
        load(author, reference)
    return caught.value


def test_a_function_is_found_below_the_root(author: Any) -> None:
    name = author.module("def clean(): return 'clean'")
    assert load(author, f"{name}:clean")() == "clean"


def test_a_function_of_a_package_and_a_method_are_found(author: Any) -> None:
    (author.root / "authors_package").mkdir()
    (author.root / "authors_package" / "orders.py").write_text(
        "class Orders:\n    @staticmethod\n    def clean(): return 1"
    )
    assert load(author, "authors_package.orders:Orders.clean")() == 1


def test_the_root_leaves_the_path_again(author: Any) -> None:
    with on_path(str(author.root)):
        assert str(author.root) in sys.path
    assert str(author.root) not in sys.path


def test_a_root_that_was_on_the_path_stays(author: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(author.root))
    with on_path(str(author.root)):
        pass
    assert str(author.root) in sys.path


def test_a_module_that_does_not_exist_is_missing(author: Any) -> None:
    error = refused(author, "no_such_module.orders:clean")
    assert error.code == "CODE_MISSING"
    assert str(author.root) in error.detail


def test_a_library_that_the_module_wants_is_named(author: Any) -> None:
    error = refused(author, author.module("import no_such_library") + ":clean")
    assert error.code == "CODE_MISSING"
    assert "no_such_library, which is not installed" in error.detail


def test_a_misspelt_function_is_guessed(author: Any) -> None:
    error = refused(author, author.module("def clean_orders(): ...") + ":clean_order")
    assert error.code == "CODE_MISSING"
    assert "did you mean clean_orders?" in error.detail


@pytest.mark.parametrize("source", ["def clean(:", "1 / 0"])
def test_a_module_that_cannot_be_loaded_is_broken(author: Any, source: str) -> None:
    error = refused(author, author.module(source) + ":clean")
    assert error.code == "CODE_BROKEN"
    assert ".py:1" in error.detail


@pytest.mark.parametrize("reference", ["clean", "orders.clean", "orders:", ":clean", "orders:clean()", "a b:c"])
def test_a_reference_of_another_shape_is_refused(author: Any, reference: str) -> None:
    assert refused(author, reference).code == "WRONG_USE"


def test_what_is_no_plain_function_is_refused(author: Any) -> None:
    name = author.module("LIMIT = 3\nasync def fetch(): ...")
    assert refused(author, f"{name}:LIMIT").code == "WRONG_USE"
    assert "async" in refused(author, f"{name}:fetch").detail


def test_a_file_called_like_a_module_that_is_loaded_is_not_silently_ignored(author: Any) -> None:
    (author.root / "json.py").write_text("def clean(): ...")
    error = refused(author, "json:dumps")
    assert error.code == "CODE_MISSING"
    assert "another name" in error.detail


def fits(function: Any, given: Mapping[str, tuple[str, ...]], **options: Any) -> tuple[str, ...]:
    return arguments_for("m:f", function, given, ("window", "params"), **options)


def test_what_is_offered_is_passed_only_where_it_is_named() -> None:
    def f(orders: object, window: object) -> None: ...

    assert fits(f, {"reads": ("orders",)}) == ("orders", "window")


def test_kwargs_take_what_is_given_and_on_demand_what_is_offered() -> None:
    def f(**kwargs: object) -> None: ...

    assert fits(f, {"reads": ("orders",)}) == ("orders",)
    assert fits(f, {"reads": ("orders",)}, all_to_kwargs=True) == ("orders", "window", "params")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"reads": ("order",)}, "takes no 'order', which comes from reads; did you mean 'orders'?"),
        ({"reads": ()}, "wants 'orders', but gets nothing"),
        ({"reads": ("orders",), "with": ("orders",)}, "comes from both reads and with"),
        ({"reads": ("orders", "raw")}, "takes no 'raw'"),
    ],
)
def test_what_does_not_fit_is_told_with_the_signature(given: Mapping[str, tuple[str, ...]], says: str) -> None:
    def f(orders: object, limit: int = 3) -> None: ...

    with pytest.raises(FaultError) as caught:
        fits(f, given)
    assert caught.value.code == "WRONG_USE"
    assert says in caught.value.detail
    assert "limit" in caught.value.detail  # the signature


def test_a_positional_only_parameter_cannot_be_given_by_name() -> None:
    def f(orders: object, /) -> None: ...

    with pytest.raises(FaultError, match="cannot be given by name"):
        fits(f, {"reads": ("orders",)})


def test_the_annotation_decides_whether_a_read_streams() -> None:
    def f(a: pa.RecordBatchReader, b: pa.Table, c: pa.RecordBatchReader, d, e: pa.RecordBatchReader | None) -> None:  # type: ignore[no-untyped-def]
        ...

    assert [name for name in "abcdex" if streams(f, name)] == ["a", "c", "e"]


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("bad"), "CODE_FAILED"),
        (ValueError("bad"), "CODE_BROKEN"),
        (KeyError("k"), "CODE_BROKEN"),
        (IndexError("list index out of range"), "CODE_BROKEN"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), "CODE_BROKEN"),
        (pa.ArrowInvalid("cast"), "CODE_FAILED"),
        (ConnectionRefusedError("no"), "NETWORK"),
        (MemoryError(), "OUT_OF_MEMORY"),
    ],
)
def test_what_a_function_raises_is_its_own_failure_unless_it_is_known_better(error: Exception, code: str) -> None:
    assert failure_of(raised(error), "m:f", None).code == code


def test_a_failure_names_the_line_of_the_author(author: Any) -> None:
    function = load(author, author.module("import json\n\ndef f():\n    json.loads('{')") + ":f")
    try:
        function()
    except ValueError as error:
        found = failure_of(error, "m:f", str(author.root))
    assert found.detail.endswith(".py:4)")
    assert str(Path(author.root)) in found.detail


@pytest.mark.parametrize("module", ["statistics", "time", "json/decoder", "pandas/mine"])
def test_code_with_the_name_of_an_installed_module_is_refused_by_check_and_by_the_run(author: Any, module: str) -> None:
    file = author.root / f"{module}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("def mean(data): ...\ndef sleep(data): ...\n")
    reference = f"{module.replace('/', '.')}:{'sleep' if module == 'time' else 'mean'}"
    with pytest.raises(CodeError, match=r"is an installed module, which comes before .*: rename yours"):
        find_signature(reference, author.root)
    with pytest.raises(FaultError) as refused, on_path(str(author.root)):
        find_function(reference, str(author.root))
    assert refused.value.code == "CODE_MISSING"


def test_check_and_the_run_find_code_of_ones_own_by_the_same_rule(author: Any) -> None:
    (author.root / "own_lib").mkdir()
    (author.root / "own_lib" / "__init__.py").write_text("def go(): ...\n")
    (author.root / "own_lib" / "more.py").write_text("def go(): ...\n")
    for reference in ("own_lib:go", "own_lib.more:go"):
        assert find_signature(reference, author.root) is not None
        with on_path(str(author.root)):
            assert find_function(reference, str(author.root)).__name__ == "go"
