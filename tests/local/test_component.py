from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.local.stack.component import PERIOD, Child, Component, bound, describe_exit, rotate, tail


@pytest.fixture
def child(tmp_path: Path) -> Child:
    return Child(Component("x", ("true",), {}, tmp_path / "x.log", tmp_path))


def test_each_death_doubles_the_pause_until_there_were_too_many(child: Child) -> None:
    assert [child.died(now, most=3) for now in (0, 1, 2, 3)] == [1, 2, 4, None]


def test_deaths_of_long_ago_are_forgiven(child: Child) -> None:
    assert child.died(0) == 1
    assert child.died(PERIOD + 1) == 1


@pytest.mark.parametrize(
    ("code", "words"), [(3, "exit status 3"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63")]
)
def test_an_exit_is_told_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_last_words_are_of_the_present_life_only(child: Child) -> None:
    log = child.component.log
    log.write_text("an earlier life\n")
    child.start()
    assert child.process is not None
    child.process.wait()
    with log.open("a") as file:
        file.write("its own\n")
    assert child.last_words() == "its own"


def test_a_tail_has_the_last_lines_and_survives_a_missing_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert tail(log) == ""
    log.write_text("".join(f"{n}\n" for n in range(100_000)))
    assert tail(log, lines=2) == "99998\n99999"


def test_rotation_keeps_one_older_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    for text in ("first", "second"):
        log.write_text(text)
        rotate(log)
    assert not log.exists()
    assert (tmp_path / "x.log.1").read_text() == "second"


def test_a_log_that_grew_too_long_is_cut_under_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.local.stack.component.LOG_LIMIT", 100)
    log = tmp_path / "x.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a" * 150)
        bound(log)
        writer.write(b"new")
        assert log.read_bytes() == b"new"
    assert (tmp_path / "x.log.1").read_bytes() == b"a" * 50
    bound(log)
    assert log.read_bytes() == b"new"
