"""Which of several databases could not be reached: by what the driver says, else by asking each. Imports no Airflow."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

__all__ = ["Address", "answering", "named_in"]

Address = tuple[str, int]
"""Host and port."""
_SECONDS = 2.0


def named_in(words: str, addresses: Mapping[str, Address]) -> tuple[str, ...]:
    """Those whose host and port are in the words: `connection to server at "db" (10.0.0.5), port 5432 failed`."""
    return tuple(
        name
        for name, (host, port) in addresses.items()
        if re.search(rf"\bport:? {port}\b", words)
        and any(re.search(rf"[\"'(]{re.escape(one)}[\"')]", words) for one in (host, *_resolved(host)))
    )


def answering(addresses: Mapping[str, Address]) -> frozenset[str]:
    """Those that take a connection of TCP at this moment. A socket's path counts as one that does."""
    with ThreadPoolExecutor(max(1, len(addresses))) as threads:
        answers = threads.map(_answers, addresses.values())
        return frozenset(name for name, answers_ in zip(addresses, answers, strict=True) if answers_)


def _resolved(host: str) -> set[str]:
    """The IP addresses of a host: some drivers name these alone."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _answers(address: Address) -> bool:
    if address[0].startswith("/"):
        return True
    try:
        with socket.create_connection(address, timeout=_SECONDS):
            return True
    except OSError:
        return False
