"""Each thing that can differ between two runs is said in words, what most likely explains the numbers first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sluicegate.ledger.receipts import Status
from sluicegate.receipts.differences import Difference, difference
from sluicegate.receipts.reason import Kind
from sluicegate.receipts.run import RunReceipt
from tests.receipts.runs import DOCUMENT, RAW, SAID, receipt, run


def words(after: RunReceipt, before: RunReceipt | None = None) -> list[str]:
    return [reason.words for reason in difference(before or run(), after).reasons]


def loaded(**facts: Any) -> RunReceipt:
    return run(receipt(run_id="b", facts=facts))


def test_equal_runs_say_so_and_what_is_not_recorded() -> None:
    found = difference(run(), run(receipt(run_id="b")))
    assert (found.numbers, found.reasons, found.unknown) == ((), (), ())
    assert found.conclusion.startswith("Nothing that was recorded differs between the two runs. Not recorded are:")


def test_numbers_that_differ_without_a_reason_are_not_explained_away() -> None:
    found = difference(run(), loaded(counts={"read": 100, "inserted": 97, "dead": 2, "stale": 1}))
    assert found.numbers == ("load: inserted 98 → 97 (-1), stale 0 → 1 (+1)",)
    assert found.conclusion.startswith("The numbers differ, and nothing else that was recorded does.")


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (run(receipt(dry_run=True)), "the later run was a dry run, which keeps nothing"),
        (run(receipt(force=True)), "the later run was forced to load again"),
        (run(receipt(params={"country": "FR"})), "the param country was 'DE' and is 'FR'"),
        (run(receipt(params={})), "the param country was 'DE' and is nothing"),
        (run(receipt(packages={"sluicegate": "1.0", "duckdb": "1.4"})), "the package duckdb was 1.3 and is 1.4"),
        (run(receipt(worker={"python": "3.12.1"})), "Python was 3.11.7 and is 3.12.1"),
        (run(receipt(code={**DOCUMENT["code"], "commit": "b" * 40})), "the commit was aaaaaaaaaaaa and is bbbbbbbbbbbb"),  # noqa: E501
        (run(receipt(code={**DOCUMENT["code"], "dirty": True})), "the later run had changes that are in no commit"),
        (
            run(receipt(code={**DOCUMENT["code"], "files": {"transforms.py": "2"}})),
            "the code of load changed: transforms.py",
        ),
        (
            run(receipt(pipeline={**DOCUMENT["pipeline"], "env": {"SLUICEGATE_X": "e2"}})),
            "the variable SLUICEGATE_X, which the pipeline's file asks for, has another value",
        ),
        (
            run(said={**SAID, "steps.load.columns.n.between": [0, 5]}),
            "`steps.load.columns.n.between` of the pipeline was [0, 9] and is [0, 5]",
        ),
        (
            run(said={**SAID, "steps.load.newest_by": "at"}),
            "`steps.load.newest_by` of the pipeline is 'at'; before, it was not there or had its default",
        ),
        (
            run(said={key: value for key, value in SAID.items() if key != "owner"}),
            "`owner` of the pipeline was 'shop'; now it is not there or has its default",
        ),
        (
            loaded(inputs=[{**RAW, "version": "v2", "rows": 90, "bytes": 1_500}]),
            "load read another version of raw (s3://landing/1.csv): 100 → 90 records, 2.0 kB → 1.5 kB",
        ),
        (
            loaded(inputs=[{**RAW, "uri": "s3://landing/2.csv", "version": "v2", "rows": 90}]),
            "load read raw (s3://landing/1.csv) and then raw (s3://landing/2.csv): 100 → 90 records",
        ),
        (loaded(inputs=[RAW, {**RAW, "name": "more"}]), "load reads more (s3://landing/1.csv) besides"),
        (loaded(dead_letters={"between:n": 12}), "10 more records of load are set aside by between:n: 2 → 12"),
        (loaded(dead_letters={}), "2 fewer records of load are set aside by between:n: 2 → 0"),
        (
            loaded(status="skipped", loaded_by="orders.load in run r1"),
            "load loaded nothing in the later run: orders.load in run r1 had brought in the same version before",
        ),
        (loaded(drift={"added": ["x"]}), "the columns of load's source differ: nothing → {\"added\": [\"x\"]}"),
        (
            run(receipt(status=Status.FAILED, fault={"code": "NETWORK", "detail": "db is away"})),
            "load failed in the later run: NETWORK: db is away",
        ),
        (run(receipt(status=Status.RUNNING)), "load has not ended in the later run"),
    ],
)  # fmt: skip
def test_what_differs_is_said_alone_and_in_words(after: RunReceipt, said: str) -> None:
    assert words(after) == [said]


def test_files_of_a_folder_are_named() -> None:
    def folder(**versions: str) -> RunReceipt:
        files = [{"uri": f"s3://b/{name}", "version": version, "bytes": 1} for name, version in versions.items()]
        return loaded(inputs=[{**RAW, "uri": "s3://b/", "version": str(versions), "files": files}])

    [said] = words(folder(x="1", y="2", w="1"), folder(x="1", y="1", z="1"))
    assert said.endswith("of the same size (new: w; gone: z; changed: y)")


def test_equal_content_under_another_name_explains_nothing() -> None:
    assert words(loaded(inputs=[{**RAW, "uri": "s3://landing/copy.csv"}])) == []


def test_items_of_a_mapped_step_are_compared() -> None:
    before = run(receipt(map_index=0, item="de"), receipt(map_index=1, item="fr"))
    after = run(receipt(map_index=0, item="de"), receipt(map_index=1, item="it"), receipt(map_index=2, item="es"))
    assert words(after, before)[0] == "load ran for 3 items and not for 2: with es, it, without fr"


def test_two_runs_that_failed_by_different_faults_are_not_the_same() -> None:
    network, schema = (
        run(receipt(status=Status.FAILED, fault={"code": code, "detail": "x"}))
        for code in ("NETWORK", "SCHEMA_MISMATCH")
    )
    said = "load failed in both, the earlier run: NETWORK: x; the later: SCHEMA_MISMATCH: x"
    assert words(schema, network) == [said]
    assert words(network, network) == []


def test_a_step_that_was_ended_from_outside_is_not_said_to_have_died() -> None:
    ended = run(receipt(status=Status.FAILED, reason="it was ended from outside"))
    assert words(ended) == ["load failed in the later run: it was ended from outside"]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.LOST])
def test_a_try_that_left_no_end_is_not_said_to_read_or_import_something_else(status: Status) -> None:
    begun = {key: value for key, value in DOCUMENT.items() if key not in {"facts", "packages"}}
    begun["code"] = {key: value for key, value in DOCUMENT["code"].items() if key != "files"}
    found = difference(run(), run(replace(receipt(status=status), document=begun)))
    assert {reason.kind for reason in found.reasons} == {Kind.FAULT}
    assert "what load read in the later run, as the receipt does not say it" in found.unknown


def test_inputs_that_a_receipt_left_out_are_not_said_to_be_read_no_more() -> None:
    after = run(receipt(omitted=["facts.inputs (70,000 bytes)"], facts={"inputs": []}))
    assert words(after) == []


def test_an_input_that_was_not_reached_is_no_other_version() -> None:
    missing = {key: RAW[key] for key in ("name", "uri")}
    failed = receipt(
        status=Status.FAILED, fault={"code": "SOURCE_MISSING", "detail": "none"}, code={"commit": "a" * 40}
    )
    failed = replace(failed, document={**failed.document, "facts": {**failed.facts, "inputs": [missing]}})
    assert words(run(failed)) == ["load failed in the later run: SOURCE_MISSING: none"]


def test_a_thousand_inputs_that_differ_are_some_and_a_number() -> None:
    def day(number: int) -> RunReceipt:
        files = [{**RAW, "uri": f"s3://landing/{number}/{each}.csv"} for each in range(1_000)]
        return run(*(receipt(map_index=each, facts={"inputs": [file]}) for each, file in enumerate(files)))

    said = words(day(2), day(1))
    assert len(said) == 12
    assert "load reads 995 more inputs besides" in said


def test_of_more_files_than_a_receipt_names_none_is_said_to_be_gone() -> None:
    def folder(*names: str) -> RunReceipt:
        files = [{"uri": f"s3://b/{name}", "version": "1", "bytes": 1} for name in names]
        return loaded(inputs=[{**RAW, "uri": "s3://b/", "version": str(names), "parts": 200, "files": files}])

    [said] = words(folder("a", "b"), folder("b", "c"))
    assert "gone" not in said


def first(found: Difference) -> str:
    return str(found.reasons[0].kind)


def test_another_input_comes_first_where_another_number_was_read() -> None:
    inputs = [{**RAW, "version": "v2", "rows": 50}]
    after = run(
        receipt(facts={"counts": {"read": 50, "inserted": 48, "dead": 2}, "inputs": inputs}),
        said={**SAID, "steps.load.columns.n.between": [0, 5]},
    )
    assert first(difference(run(), after)) == "content"


def test_a_changed_rule_comes_before_its_dead_letters_where_as_many_were_read() -> None:
    after = run(
        receipt(
            facts={"counts": {"read": 100, "inserted": 60, "dead": 40}, "dead_letters": {"between:n": 40}},
            packages={"sluicegate": "1.0", "duckdb": "1.4"},
            code={**DOCUMENT["code"], "commit": "b" * 40},
        ),
        said={**SAID, "steps.load.columns.n.between": [0, 5], "owner": "other"},
    )
    kinds = [str(reason.kind) for reason in difference(run(), after).reasons]
    assert kinds == ["configuration", "dead letters", "commit", "package", "configuration without influence"]


@pytest.mark.parametrize("key", ["trigger.at_most", "pools.warehouse", "faults[0].is", "steps.load.retries.times"])
def test_a_key_that_changes_no_record_explains_none(key: str) -> None:
    assert first(difference(run(), run(said={**SAID, key: "x"}))) == "configuration without influence"


def test_a_step_that_did_not_run_is_a_number() -> None:
    found = difference(run(), run(receipt(), receipt("announce")))
    assert found.numbers == ("announce: did not run before",)


def test_what_cannot_be_compared_is_said() -> None:
    found = difference(run(said=None), run(receipt(code={})))
    assert found.unknown == ("what the pipeline's file said in the earlier run", "the commit of the later run's code")
