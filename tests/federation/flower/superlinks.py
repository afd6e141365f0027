"""A stock SuperLink for tests: an unmodified `flower-superlink`, with TLS, node authentication and SQLite."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from federation.flower import control, superlink
from federation.flower.superlink import SuperLinkAccess
from federation.group.node_key import new_node_key, public_node_key
from tests.ports import free_port


@dataclass
class SuperLink:
    """A running one; `kill` and `start` keep its state."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    registered: list[int] = field(default_factory=list)

    @property
    def access(self) -> SuperLinkAccess:
        return superlink.access(self.folder, self.port)

    @property
    def ca(self) -> bytes:
        return self.access.ca.read_bytes()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("superlink.sqlite*"))

    def start(self) -> None:
        arguments, environment = superlink.command(self.folder, self.port)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                arguments, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        context = ssl.create_default_context(cadata=self.ca.decode())
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, self.log
            try:
                connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.1)
            finally:
                connection.close()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def new_node(self) -> tuple[bytes, int]:
        """Return the key of a new node, registered, and its id."""
        key = new_node_key()
        return key, control.register(self.access, public_node_key(key))


@contextmanager
def running(folder: Path) -> Iterator[SuperLink]:
    superlink.prepare(folder)
    one = SuperLink(folder, free_port())
    one.start()
    try:
        yield one
    finally:
        one.kill()
