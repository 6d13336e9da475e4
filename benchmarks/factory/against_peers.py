"""Sluicegate against hand-written Python and the YAML factories of PyPI, in turns: CPU seconds, bytes, memory.

    python benchmarks/factory/against_peers.py [--sizes 10 100 1000] [--rounds 5] [--write]

Every peer is installed in an environment of its own below `.bench/`, beside the versions of our lock file. What is
compared, and what is not, stands in `docs/benchmarks.md`, which `--write` brings up to date.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from measure.client import AskError, Servers, Session
from measure.contenders import BARE, CONTENDERS, LIKE_OURS, OURS, Contender
from measure.environments import BENCH, NotInstalledError, environment
from measure.page import write_section
from measure.tables import report
from measure.workload import pipelines

_WHERE_IT_LIES = {"fileloc", "relative_fileloc", "_processor_dags_folder"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="of the peers, those whose name has it")
    parser.add_argument("--write", action="store_true", help="the tables into docs/benchmarks.md")
    words = parser.parse_args()
    if words.write and words.only:
        parser.error("the published tables have all peers: --write goes without --only")
    began = time.monotonic()
    home = BENCH / "peers"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    installed, absent = _installed(words.only)
    with ExitStack() as stack:
        run = Run(home, Servers(stack, home), installed, words.rounds)
        results = {
            "rounds": words.rounds,
            "absent": absent,
            "parse": {size: run.parse(size) for size in sorted(words.sizes)},
            "start": {size: run.start(size) for size in (1, max(words.sizes))},
            "refresh": run.refresh(max(words.sizes)),
        }
    (home / "results.json").write_text(json.dumps(results, indent=1))
    text = report(results)
    print(f"\n{text}\n{time.monotonic() - began:.0f} s in all")
    for name, why in absent.items():
        print(f"NOT COMPARED: {name}: {why}")
    if words.write:
        write_section("peers", text)


def _installed(only: Iterable[str]) -> tuple[dict[Contender, Path], dict[str, str]]:
    """The Python of each contender; and why some are absent."""
    pythons, absent = {}, {}
    for each in CONTENDERS:
        if only and each.requirement and not any(word in each.name for word in only):
            continue
        try:
            pythons[each] = environment(each.requirement)
        except NotInstalledError as error:
            absent[each.name] = str(error)
            print(f"NOT INSTALLED, goes on without: {each.name}: {error}", flush=True)
    return pythons, absent


class Run:
    """One comparison: who takes part, how often, in which folder."""

    def __init__(self, home: Path, servers: Servers, pythons: dict[Contender, Path], rounds: int) -> None:
        self.home, self.servers, self.pythons, self.rounds = home, servers, pythons, rounds

    def parse(self, size: int) -> dict[str, Any]:
        """All files of all contenders: per round CPU seconds and memory; once the serialized DAGs."""
        sessions = self._sessions(size, "processor")
        sizes = {each: session.ask("sizes") for each, session in sessions.items()}
        _compare_what_was_built(sizes)
        seen = self._rounds(f"parse of {size}", sessions, lambda each, session: session.ask("parse"))
        return {
            each.name: {
                "cpu": [answer["cpu"] for answer in answers],
                "peak": [answer["peak"] for answer in answers],
                "private": [answer["private"] for answer in answers],
                "bytes": sizes[each]["bytes"] / size,
                "serialization": sizes[each]["seconds"],
            }
            for each, answers in seen.items()
        }

    def start(self, size: int) -> dict[str, Any]:
        """One task of the last pipeline: with what is imported already, and with nothing of it."""
        dag = pipelines(size)[-1].name
        processors = self._sessions(size, "processor")
        files = {each: session.ask("where", dag=dag)["file"] for each, session in processors.items()}

        def ask(each: Contender, session: Session) -> dict[str, Any]:
            return session.ask("start", dag=dag, task="join", file=files[each])

        found = {}
        for role in ("warm worker", "worker"):
            sessions = self._sessions(size, role)
            for each, session in sessions.items():
                ask(each, session)  # this imports, and writes what Python compiles
            seen = self._rounds(f"task start at {size}, {role}", sessions, ask)
            found[role] = {each.name: {"cpu": [one["cpu"] for one in answers]} for each, answers in seen.items()}
        return found

    def refresh(self, size: int) -> dict[str, Any]:
        """Our bundle in the dag-processor's own process, between two parses."""
        folder = self._folder(OURS, size)
        shutil.rmtree(self.home / "bundles", ignore_errors=True)
        session = self.servers.session(self.pythons[OURS], door=OURS.door, folder=str(folder), role="processor")
        time.sleep(2.5)  # a tree that changed a moment ago is looked at twice
        session.ask("refresh")
        nothing = [session.ask("refresh")["cpu"] for _ in range(max(5, self.rounds))]
        one = []
        file = folder / f"{pipelines(size)[-1].name}.yaml"
        for count in range(self.rounds):
            file.write_text(file.read_text().replace("description: ", f"description: {count} ", 1))
            one.append(session.ask("refresh")["cpu"])
        session.close()
        return {"pipelines": size, "everything": [session.prepared], "nothing": nothing, "one": one}

    def _sessions(self, size: int, role: str) -> dict[Contender, Session]:
        return {
            each: self.servers.session(python, door=each.door, folder=str(self._folder(each, size)), role=role)
            for each, python in self.pythons.items()
        }

    def _folder(self, contender: Contender, size: int) -> Path:
        folder = self.home / str(size) / contender.name.replace(" ", "_")
        if not folder.exists():
            folder.mkdir(parents=True)
            contender.write(folder, pipelines(size))
        return folder

    def _rounds(
        self, title: str, sessions: dict[Contender, Session], ask: Callable[[Contender, Session], dict[str, Any]]
    ) -> dict[Contender, list[dict[str, Any]]]:
        """Everybody once a round, each time in another order. Ends the sessions."""
        answers: dict[Contender, list[dict[str, Any]]] = {each: [] for each in sessions}
        order = list(sessions)
        for number in range(self.rounds):
            print(f"{title}: round {number + 1} of {self.rounds}", flush=True)
            for each in order:
                answers[each].append(ask(each, sessions[each]))
            order = order[1:] + order[:1]
        for session in sessions.values():
            session.close()
        return answers


def _compare_what_was_built(sizes: dict[Contender, dict[str, Any]]) -> None:
    """Nobody may be fast by leaving something out.

    :raises AskError: when a contender's DAGs are not those of the workload
    """
    wanted = sizes[BARE]["promised"]
    for each, answer in sizes.items():
        if answer["promised"] != wanted:
            name = next(name for name in wanted if answer["promised"].get(name) != wanted[name])
            raise AskError(f"{each.name} builds another {name}: {answer['promised'].get(name)}, not {wanted[name]}")
    ours, theirs = sizes[OURS]["first"]["dag"], sizes[LIKE_OURS]["first"]["dag"]
    differ = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)} - _WHERE_IT_LIES
    if differ:
        print(f"WARNING: `{LIKE_OURS.name}` is no longer the same DAG as ours: {sorted(differ)} differ", flush=True)


if __name__ == "__main__":
    try:
        main()
    except AskError as error:
        raise SystemExit(f"cannot compare: {error}") from None
