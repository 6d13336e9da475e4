"""Which of several databases a fault is about: the one that the driver's words name, else those that do not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import psycopg
import pytest

from sluicegate.circuits.addresses import answering, named_in


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_driver_that_could_not_connect_names_the_place(closed: int) -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(host="localhost", port=closed, dbname="x", connect_timeout=5)
    addresses = {"connection:shop": ("localhost", closed), "connection:stock": ("localhost", closed * 10)}
    assert named_in(str(refused.value), addresses) == ("connection:shop",)
    assert named_in(f'connection to server at "192.0.2.1", port {closed} failed', addresses) == ()
    assert named_in("server closed the connection unexpectedly", addresses) == ()


def test_a_place_answers_or_does_not(listening: int, closed: int) -> None:
    addresses = {"a": ("127.0.0.1", listening), "b": ("127.0.0.1", closed), "c": ("/var/run/postgresql", 5432)}
    assert answering(addresses) == {"a", "c"}
    assert answering({}) == frozenset()
