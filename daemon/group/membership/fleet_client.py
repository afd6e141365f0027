"""The process of a connected member of a group.

`python -m daemon.group.membership.fleet_client --parent PID`, settings as JSON on stdin.

It carries bytes between the host's SuperLink and the federation listener of its own daemon, and decides
nothing: what is asked and what is answered is signed. Its stdout is JSON lines: `connected`, `busy`, `lost`,
`foreign` (a message that is not ours, left unread), `refused`, `failed`, `ended`. Kept small, as every member
has one while connected: nothing here imports the daemon's configuration, store or web server.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from daemon.process.events import EventWriter, claim_stdout
from federation import cbor
from federation.carrier import PeerRefused
from federation.cbor_fields import exact_map, text
from federation.errors import Code, Refusal
from federation.flower.fleet import FleetRefused, Pace, serve
from federation.group.node_key import public_node_key
from federation.http import CONTENT_TYPE, MESSAGE_PATH

REFUSED_STATUS: Final = 3
_LATER: Final = frozenset({429, 503})
_OK, _ACCEPTED = 200, 202
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.25
_AGAIN: Final = 0.25
_ANSWER_WITHIN: Final = 60.0
"""Seconds in which the listener says something: it answers 202 long before."""
_PREPARED_WITHIN: Final = 1_800.0
_MAX_REFUSAL: Final = 2_000
_READ: Final = 1 << 16
_HEX: Final = 64
_ME: Final = "this member"
_AWAY: Final = "http"
"""The code of an answer that is no daemon's: the aggregator counts it as nobody there."""


@dataclass(frozen=True)
class ConnectionSettings:
    """What the link is told.

    Attributes:
        fence: where the host lets its members in, HOST:PORT.
        ca: certificates to trust there (PEM), empty for those of this machine.
        key_file: PEM file with the private key of this node.
        deliver_to: this daemon's federation listener, `http://127.0.0.1:PORT`.
        spool: folder for blobs, by the hex of their hash.
        start: from when on it asks every `poll_ms`, Unix seconds.
        until: when it ends.
        poll_ms: milliseconds.
        most: bytes, of one message and of the spool.
    """

    fence: str
    ca: str
    key_file: str
    deliver_to: str
    spool: str
    start: float
    until: float
    poll_ms: int
    most: int

    @classmethod
    def read(cls, stream: TextIO) -> ConnectionSettings:
        """Return the settings on a stream. Raises ValueError."""
        content = json.load(stream)
        names = {one.name for one in fields(cls)}
        if not isinstance(content, dict) or set(content) != names:
            raise ValueError(f"the settings of a link are {', '.join(sorted(names))}")
        return cls(**content)


class ConnectionEvents(EventWriter):
    """Events of a connection, and how many messages met which end."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._counting = threading.Lock()
        self.counts: Counter[str] = Counter()

    def count(self, event: str) -> None:
        """Count what happened to a message; say what is more than routine."""
        with self._counting:
            self.counts[event] += 1
        if event not in ("answered", "dropped"):
            self.send(event, count=self.counts[event])


class BlobFolder:
    """Writes blobs where the daemon finds them. The oldest go when there are more than `most` bytes."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()

    def put(self, blobs: Mapping[str, bytes]) -> None:
        """Write all blobs of one message, each under the hash of its content.

        Raises:
            Refusal: `oversized`, when they are more than the spool holds.

        """
        named = {hashlib.sha256(blob).hexdigest(): blob for blob in blobs.values()}
        if sum(map(len, named.values())) > self._most:
            raise Refusal(Code.OVERSIZED, f"the blobs of a message have at most {self._most} bytes")
        with self._lock:
            self._make_room(named)
            for name, blob in named.items():
                self._write(name, blob)

    def _make_room(self, named: Mapping[str, bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = self._most - sum(map(len, named.values()))
        others = []
        for path in self._folder.iterdir():
            if path.name.startswith("."):
                # What a link that was killed had begun to write.
                path.unlink(missing_ok=True)
            elif len(path.name) == _HEX and path.name not in named:
                with contextlib.suppress(FileNotFoundError):
                    found = path.stat()
                    others.append((found.st_mtime, found.st_size, path))
        for _, size, path in sorted(others, reverse=True):
            left -= size
            if left < 0:
                path.unlink(missing_ok=True)

    def _write(self, name: str, blob: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(blob)
            Path(temporary).replace(self._folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


class Delivery:
    """Hands requests to the daemon's listener, each in the thread it came in."""

    def __init__(self, to: str, spool: BlobFolder, most: int, stop: threading.Event) -> None:
        where = urlsplit(to)
        self._host, self._port = where.hostname or "127.0.0.1", where.port or 80
        self._spool = spool
        self._most = most
        self._stop = stop

    def __call__(self, request: bytes, blobs: Mapping[str, bytes]) -> bytes:
        """Return the listener's answer.

        Raises:
            PeerRefused: it refused, or is away, or too busy for several attempts.
            Refusal: its blobs, or its answer, are too large.

        """
        if blobs:
            self._spool.put(blobs)
        failures = 0
        deadline = time.monotonic() + _PREPARED_WITHIN
        while True:
            try:
                status, body = self._post(request)
            except (OSError, http.client.HTTPException):
                status, body = 0, b""
            if status == _OK:
                return body
            if status == _ACCEPTED and time.monotonic() < deadline:
                self._pause(_AGAIN)
                continue
            failures += 1
            if (status and status not in _LATER) or failures >= _ATTEMPTS:
                raise _refused(status, body)
            self._pause(_FIRST_PAUSE * 2 ** (failures - 1))

    def _post(self, request: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER_WITHIN)
        try:
            connection.request("POST", MESSAGE_PATH, body=request, headers={"Content-Type": CONTENT_TYPE})
            response = connection.getresponse()
            allowed = self._most if response.status == _OK else _MAX_REFUSAL
            # Hands its buffer out: a masked vector is held once.
            body = io.BytesIO()
            while piece := response.read1(_READ):
                body.write(piece)
                if body.tell() > allowed:
                    raise Refusal(Code.OVERSIZED, f"an answer has at most {allowed} bytes")
            if response.length:
                raise ConnectionError("the answer was cut short")
            return response.status, body.getvalue()
        finally:
            connection.close()

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise PeerRefused(_ME, _AWAY, "this member leaves")


def _refused(status: int, body: bytes) -> PeerRefused:
    try:
        content = exact_map(cbor.decode(body), "code", "sentence")
        return PeerRefused(_ME, text(content["code"]), text(content["sentence"], 300))
    except Refusal:
        what = f"answered with HTTP status {status}" if status else "did not answer"
        return PeerRefused(_ME, _AWAY, f"the daemon {what}")


def run(settings: ConnectionSettings, events: ConnectionEvents, stop: threading.Event) -> int:
    """Be connected until told to stop, or until it is time; return the exit status."""
    key = Path(settings.key_file).read_bytes()
    spool = Path(settings.spool)
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = spool / f"node-{hashlib.sha256(public_node_key(key)).hexdigest()[:16]}"
    ends = threading.Timer(max(0.0, settings.until - time.time()), stop.set)
    begins = threading.Timer(max(0.0, settings.start - time.time()), lambda: events.send("busy"))
    for timer in (ends, begins):
        timer.daemon = True
        timer.start()
    try:
        serve(
            settings.fence,
            settings.ca.encode("ascii"),
            key,
            Delivery(settings.deliver_to, BlobFolder(spool, settings.most), settings.most, stop),
            busy_at=lambda: time.time() >= settings.start,
            stop=stop,
            pace=Pace(busy=settings.poll_ms / 1000),
            most=settings.most,
            on_event=events.count,
            node_id=_number(known),
            on_node=lambda node_id: _remember(known, node_id),
        )
    except FleetRefused as refused:
        events.send("refused", message=str(refused))
        return REFUSED_STATUS
    finally:
        for timer in (ends, begins):
            timer.cancel()
    events.send("ended", **events.counts)
    return 0


def _number(path: Path) -> int:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _remember(path: Path, number: int) -> None:
    with contextlib.suppress(OSError):
        path.write_text(str(number), "ascii")


def main(argv: list[str]) -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(
        prog="python -m daemon.group.membership.fleet_client", description=__doc__
    )
    parser.add_argument("--parent", type=int, default=0, help="end when this process ends")
    options = parser.parse_args(argv)
    if options.parent:
        # The kernel's promise outlives exec, what its caller imports does not: 29 MB less.
        # -P: a folder called `daemon` where this happens to be run must not be imported instead.
        leash = [sys.executable, "-P", "-m", "daemon.process.exec_with_parent_death", str(options.parent)]
        os.execv(leash[0], [*leash, sys.executable, "-P", "-m", "daemon.group.membership.fleet_client"])  # noqa: S606
    events = ConnectionEvents(claim_stdout())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = ConnectionSettings.read(sys.stdin)
        return run(settings, events, stop)
    except (OSError, ValueError) as error:
        events.send("failed", message=f"the link cannot start ({type(error).__name__}): {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
