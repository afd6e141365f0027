"""Nodes of a stock SuperLink, as threads: each is `fleet.serve` with a handler that tests exchange."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from federation.flower import fleet
from federation.flower.fleet import Handler, NodeSettings, Pace
from tests.federation.flower.superlinks import SuperLink

QUICK = Pace(busy=0.4)
MOST = 80_000_000


def wait_until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@dataclass
class Member:
    """One node; `start` after `leave` connects it again."""

    superlink: SuperLink
    key: bytes
    node_id: int
    handler: Handler = lambda request, _blobs: request
    events: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    remembered: int = 0
    thread: threading.Thread | None = None

    @property
    def connected(self) -> bool:
        return self.events["connected"] > 0

    def start(self) -> None:
        self.stop, self.events = threading.Event(), Counter()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def leave(self) -> None:
        self.stop.set()
        if self.thread is not None:
            self.thread.join(20.0)

    def _serve(self) -> None:
        def handle(request: bytes, blobs: Mapping[str, bytes]) -> bytes:
            return self.handler(request, blobs)

        try:
            settings = NodeSettings(
                f"127.0.0.1:{self.superlink.port}",
                self.superlink.ca,
                self.key,
                handle,
                MOST,
                busy=lambda: True,
                pace=QUICK,
                on_event=lambda event: self.events.update([event]),
                node_id=self.remembered,
            )
            fleet.serve(settings, self.stop)
        except Exception as error:
            self.error = error


@dataclass
class Fleet:
    """Members by host."""

    superlink: SuperLink
    members: dict[str, Member]

    @classmethod
    def of(cls, superlink: SuperLink, hosts: list[str]) -> Fleet:
        return cls(superlink, {host: Member(superlink, *superlink.new_node()) for host in hosts})

    @property
    def nodes(self) -> dict[str, int]:
        return {host: member.node_id for host, member in self.members.items()}

    def start(self) -> None:
        for member in self.members.values():
            if member.stop.is_set():
                member.leave()
            if member.thread is None or not member.thread.is_alive():
                member.start()
        wait_until(lambda: all(member.connected for member in self.members.values()))

    def close(self) -> None:
        for member in self.members.values():
            member.stop.set()
        for member in self.members.values():
            member.leave()
