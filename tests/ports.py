"""Ports for programs that cannot choose one themselves and say which."""

import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final

_FIRST: Final = 20_000
"""Below the ports that Linux hands out by itself (from 32768 on): nobody takes one meanwhile by chance."""
_EACH: Final = 1_000


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
    begin = _FIRST + worker * _EACH + os.getpid() % 100
    return itertools.cycle(range(begin, begin + _EACH - 100))


_NEXT: Final = _ports()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses now, and that no other worker is given."""
    for port in _NEXT:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("itertools.cycle never ends")
