from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.local.stack import ports
from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.state import State


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State.at(tmp_path)
    state.create()
    return state


def test_a_taken_port_is_refused_with_the_name_of_who_has_it(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(StackError) as caught:
        ports.require(port)
    assert f"Port {port} on 127.0.0.1 is taken by " in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert "--port" in caught.value.remedy


def test_a_port_that_is_listened_on_everywhere_is_taken() -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


def test_a_taken_preference_gives_way_to_a_free_port(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    found = ports.find([taken])
    assert found != taken
    assert ports.is_free(found)


def test_no_two_servers_get_the_same_port(state: State) -> None:
    chosen = ports.choose(state)
    assert len({chosen.airflow, chosen.postgres, chosen.aws}) == 3


def test_the_next_run_gets_the_same_ports_while_they_are_free(state: State, listener: socket.socket) -> None:
    first = ports.choose(state)
    assert ports.choose(state) == first
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first.postgres))
        other.listen()
        again = ports.choose(state)
    assert again.postgres != first.postgres
    assert (again.airflow, again.aws) == (first.airflow, first.aws)


def test_a_wanted_port_is_taken_at_its_word(state: State, listener: socket.socket) -> None:
    wanted = ports.find([])
    assert ports.choose(state, airflow=wanted).airflow == wanted
    with pytest.raises(StackError):
        ports.choose(state, airflow=listener.getsockname()[1])


def test_ports_that_were_written_down_badly_are_forgotten(state: State) -> None:
    state.ports.write_text('{"airflow": "x"}')
    ports.choose(state)


CLAIM = """
import sys
from sluicegate.local.stack import ports
print(ports.find([int(sys.argv[1])]), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that end with their process")
def test_two_stacks_that_start_at_once_get_different_ports() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-c", CLAIM, str(port)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == port
        assert ports.find([port]) != port
        with pytest.raises(StackError, match="about to be used by another stack"):
            ports.require(port)
        other.communicate("")
    assert ports.require(port) == port
