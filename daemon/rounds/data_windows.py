"""What this instance gave to each aggregator in the current data window, sealed on disk.

One folder per aggregator: `state` (the window, and the seed of its noise), `viewers` (who was counted, as
keyed hashes that only serve to see who changed or left), `given` (the noisy vector), `notes` (what was
decided with it). Beside the folders lies when somebody last withdrew (`daemon.store.withdrawn`). Rules are in
`policies.window`, lengths in `policies.window_length`; everything here is sealed under a key derived from the
identity, and replaced or erased as soon as the window ends. Writes come in an order by which a crash between
two of them never lets a second vector out, nor one that somebody is in who left.

A folder that was copied back from a backup may be older than what was given since. An anchor file shows that:
no copy has the inode and the change time of the original. Each new state has a new anchor, since what copies
a backup over the folder may leave unchanged files alone. Then everything counts as served for one window.
A snapshot of the whole file system, put back, cannot be told from the original.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import StoreError
from daemon.rounds.asked import Asked, hash_of
from daemon.rounds.packed_vector import pack, unpack
from daemon.rounds.viewer_digests import SIZE, Digests, Viewers
from daemon.store import releases, withdrawn
from daemon.store.releases import OWN
from federation import cbor
from federation.envelope import VERSION
from federation.errors import Code, Refusal, silence
from federation.identity import Identity
from federation.journal import FileJournal
from federation.keys import derive
from federation.noise import skellam
from federation.proposal import Proposal
from policies.window import Closed, Window, noisy_threshold
from policies.window_length import length

_SALT = b"storage"
_ANCHORS = ("anchor-0", "anchor-1")
_NOTE = f"note-{VERSION}"
"""By version of the protocol: windows of another one cannot be read, and count as served."""
_ANY = bytes(32)
"""Journal folder of what concerns all aggregators."""
PARTS = 0.85, 0.99
"""A window lasts between these parts of the configured length, at random: a peer that asks once per
length always finds it over in time, and its end does not show when it began."""


@dataclass(frozen=True)
class StoredWindow:
    """A window with its secrets."""

    window: Window
    seed: bytes = field(repr=False)
    viewers: dict[bytes, bytes] = field(repr=False, default_factory=dict)

    @property
    def id(self) -> str:
        """Names the window in the record of releases."""
        return hashlib.sha256(b"window" + self.seed).hexdigest()[:32]

    def key(self, purpose: str) -> bytes:
        """Return 32 secret bytes of this window for one purpose."""
        return derive(self.seed, _SALT, purpose)

    def noise(self, segment: int, variance: Fraction, size: int) -> NDArray[np.int64]:
        """Return this member's share of the noise in a segment, (size,) int64."""
        return skellam(variance, size, self.key(f"noise {segment}"))

    def with_noise(self, vector: NDArray[np.int64], proposal: Proposal) -> NDArray[np.int64]:
        """Return a vector, (length,), with this member's share of the noise in each segment."""
        shares = [
            self.noise(segment, variance, part.size)
            for segment, (part, variance) in enumerate(
                zip(proposal.split(vector), proposal.share_variances, strict=True)
            )
        ]
        return vector + np.concatenate(shares)


class DataWindows:
    """All windows of one instance. Writers of several processes take turns by a lock file.

    `rng` gives 32 secret bytes per window; `clock` Unix seconds. `served` is asked where there is no record:
    whether something was given before all the same.
    """

    def __init__(
        self,
        directory: Path,
        identity: Identity,
        *,
        longest: timedelta,
        least_changed: int,
        clock: Callable[[], float],
        rng: Callable[[int], bytes],
        served: Callable[[], bool] = lambda: False,
    ) -> None:
        self._journal = FileJournal(directory)
        self.directory = directory
        self._box = SecretBox(derive(identity.seed, _SALT, "windows"))
        self._longest, self._least = longest.total_seconds(), least_changed
        self._clock, self._rng = clock, rng
        with self._turn(_ANY):
            self.restored = self._check_anchor(served)

    # -- what a contribution needs --------------------------------------------------------------------------

    def contribution(
        self,
        proposal: Proposal,
        viewers: Viewers,
        count: Callable[[], NDArray[np.int64]],
        stretch: Callable[[], float] = lambda: 1.0,
    ) -> NDArray[np.int64]:
        """Return the noisy vector for a round, (length,) int64: what was given before, or a fresh one.

        `count` counts the present viewers, without noise; raises as `give`.
        """
        asked = Asked.of(proposal)
        return self.give(asked, viewers, lambda kept: kept.with_noise(count(), proposal), stretch)

    def give(
        self,
        asked: Asked,
        viewers: Viewers,
        draw: Callable[[StoredWindow], NDArray[np.int64]],
        stretch: Callable[[], float] = lambda: 1.0,
    ) -> NDArray[np.int64]:
        """Return what is given in a window, (length,) int64: what was given before, or a fresh vector.

        `viewers` are the present ones; `draw` counts them with the noise of the window, and is called only
        when something new is given. `stretch` tells how much longer than usual a window is that opens now.

        Raises:
            Refusal: `window-open`, or what `draw` raises; nothing new is given then. `busy`: somebody left,
                or something else was given, while this was counted.
            StoreError: what was given cannot be read. Then everything counts as served for one window.

        """
        with self._served_if_damaged():
            return self._give(asked, viewers, draw, stretch)

    def _give(
        self,
        asked: Asked,
        viewers: Viewers,
        draw: Callable[[StoredWindow], NDArray[np.int64]],
        stretch: Callable[[], float],
    ) -> NDArray[np.int64]:
        key = _key(asked.aggregator)
        with self._turn(key):
            kept = self._current(asked, viewers, stretch)
            if kept.window.repeats(asked.terms):
                vector = self._given(asked)
                self._write_state(key, replace(kept, window=kept.window.give(asked.terms, asked.proposal)))
                return vector
            if kept.window.terms:
                # Frozen for an attempt that ended before anything left: counted again, with other noise.
                kept = replace(kept, seed=self._rng(32))
                if asked.redraws:
                    # What somebody is in who left since is told from it by when it was drawn.
                    kept = replace(kept, window=replace(kept.window, opened=self._clock()))
            before = self._load(key)
        # This may take minutes. Neither a round of somebody else nor a viewer who leaves waits for it.
        vector = draw(kept)
        with self._turn(key):
            if self._load(key) != before:
                # What may be given changed while it was counted.
                raise silence()
            # The window before is over. Its state first: without it the rest means nothing.
            self._journal.erase(key, "state")
            self._journal.erase(key)
            # The state last: it promises that the vector can be given again, and withdrawn with its viewers.
            self._write(key, "given", pack(vector, asked.ring))
            self._write_viewers(key, viewers.digests(kept.seed))
            self._write_state(key, replace(kept, window=kept.window.give(asked.terms, asked.proposal)))
            return vector

    def check(self, proposal: Proposal) -> str:
        """Check that an attempt under way is still the one given to in this window; returns its name.

        Raises:
            Refusal: `window-open`, `busy`.

        """
        return self._under_way(proposal.aggregator, hash_of(proposal)).id

    def leave(self, proposal: Proposal) -> None:
        """Note that the masked vector is about to leave. Raises Refusal (`window-open`, `busy`)."""
        self.used(Asked.of(proposal))

    def used(self, asked: Asked) -> None:
        """Note that what was given is about to be used outside. Raises Refusal (`window-open`, `busy`)."""
        key = _key(asked.aggregator)
        with self._turn(key):
            kept = self._under_way(asked.aggregator, asked.proposal)
            if not kept.window.left:
                self._note_first_release(asked.aggregator)
                self._write_state(key, replace(kept, window=replace(kept.window, left=True)))

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Note that a sum is about to be opened over these survivors. Raises Refusal (`window-open`)."""
        key = _key(proposal.aggregator)
        with self._turn(key):
            kept = self._under_way(proposal.aggregator, hash_of(proposal))
            window = kept.window.release(survivors)
            if window != kept.window:
                self._write_state(key, replace(kept, window=window))

    def _under_way(self, aggregator: str, proposal: bytes) -> StoredWindow:
        kept = self._load(_key(aggregator), viewers=False)
        if kept is None:
            raise Refusal(Code.WINDOW_OPEN, "what was given to this round is not known any more; begin again")
        kept.window.require_given(proposal)
        return kept

    # -- withdrawal -----------------------------------------------------------------------------------------

    def withdraw(self, present: Callable[[bytes], frozenset[bytes]], *, aggregator: str = "") -> int:
        """Void every window, or one aggregator's, in which somebody is counted who left.

        Returns of how many aggregators. `present` names those who are there, as `digests` does, under a key.
        Nothing is left of the others.

        Raises:
            StoreError: some window was damaged; the others were seen to, and everything counts as served.

        """
        with self._served_if_damaged():
            return self._withdraw(present, aggregator)

    def _withdraw(self, present: Callable[[bytes], frozenset[bytes]], aggregator: str) -> int:
        voided, damaged = 0, None
        for key in [_key(aggregator)] if aggregator else self._journal.ids():
            try:
                with self._turn(key):
                    kept = None if key == _ANY else self._load(key)
                    there = frozenset() if kept is None else present(kept.seed)
                    if kept is not None and not kept.viewers.keys() <= there:
                        self._void(key, kept, there)
                        voided += key != _key(OWN)
            except StoreError as error:
                damaged = error
                if key == _key(OWN):
                    # Whom it counts is not known.
                    withdrawn.note(self.directory, self._clock())
        if damaged is not None:
            raise damaged
        return voided

    def notes(self, aggregator: str) -> dict[str, Any]:
        """Return what was decided in a window, which is forgotten with it."""
        raw = self._read_sealed(_key(aggregator), "notes")
        found = {} if raw is None else json.loads(raw)
        return found if isinstance(found, dict) else {}

    def note(self, aggregator: str, name: str, value: Any) -> None:
        """Keep what was decided in a window, as JSON."""
        key = _key(aggregator)
        with self._turn(key):
            self._write(key, "notes", json.dumps({**self.notes(aggregator), name: value}).encode())

    def read(self, aggregator: str) -> StoredWindow | None:
        """Return an aggregator's window as it stands."""
        return self._load(_key(aggregator))

    def all(self) -> list[StoredWindow]:
        """Return every window."""
        return [kept for kept in self._all().values() if kept is not None]

    def waiting(self, *, but: str) -> list[StoredWindow]:
        """Return those of all aggregators `but` one for which something is frozen and may still leave."""
        others = {key: kept for key, kept in self._all().items() if key != _key(but)}
        return [kept for kept in others.values() if kept is not None and kept.window.terms]

    def _all(self) -> dict[bytes, StoredWindow | None]:
        return {key: self._load(key) for key in self._journal.ids() if key != _ANY}

    # -- opening and closing --------------------------------------------------------------------------------

    def _current(self, asked: Asked, viewers: Viewers, stretch: Callable[[], float]) -> StoredWindow:
        """Return the window to give from: a new one where none is there, or it is over.

        A new one is on disk as soon as something was frozen.
        """
        aggregator, now = asked.aggregator, self._clock()
        kept = self.read(aggregator)
        if kept is None:
            served_until = self.served_until()
            if served_until is None:
                return self._open(aggregator, now, stretch())
            # What was given before the restore is unknown. Who is there now is what changes are counted from.
            opened = self._open(aggregator, now, 1.0)
            kept = replace(opened, window=replace(opened.window, ends=served_until, closed=Closed.SERVED))
            kept = replace(kept, viewers=dict(viewers.digests(kept.seed)))
            self._write_viewers(_key(aggregator), kept.viewers)
            self._write_state(_key(aggregator), kept)
            return kept
        present = viewers.digests(kept.seed)
        if not kept.viewers.keys() <= present.keys():
            kept = self._void(_key(aggregator), kept, frozenset(present))
        window = kept.window
        if window.replaceable:
            return kept
        if asked.redraws and window.may_be_redrawn(now):
            return self._open(aggregator, now, stretch())
        settled = viewers.settled(kept.seed)
        changed = sum(kept.viewers.get(who) != what for who, what in present.items() if who in settled)
        draw = random.Random(self._rng(32))  # noqa: S311 (seeded with a secret)
        looked = window.look(now, changed, draw)
        if looked != window:
            kept = replace(kept, window=looked)
            self._write_state(_key(aggregator), kept)
        if looked.over(now):
            return self._open(aggregator, now, stretch(), early=window.early)
        if asked.early and window.may_be_early(now):
            return self._open(aggregator, now, stretch(), early=now)
        return kept

    def _open(self, aggregator: str, now: float, stretch: float, *, early: float = 0.0) -> StoredWindow:
        seed = self._rng(32)
        draw = random.Random(derive(seed, _SALT, "window"))  # noqa: S311 (seeded with a secret)
        first = self._first_release(aggregator)
        usual = length(0.0 if first is None else now - first, self._longest)
        seconds = usual * stretch * draw.uniform(*PARTS)
        least = noisy_threshold(self._least, draw)
        return StoredWindow(Window(now, now + seconds, least, early=early), seed)

    def _void(self, key: bytes, kept: StoredWindow, present: frozenset[bytes]) -> StoredWindow:
        if kept.window.closed is Closed.NO:
            kept = replace(kept, window=replace(kept.window, closed=Closed.VOID))
        if key == _key(OWN):
            withdrawn.note(self.directory, self._clock())
        # Who left is forgotten last: as long as they are known, a crash before the end is made good.
        self._write_state(key, kept)
        self._journal.erase(key, "given")
        kept = replace(kept, viewers={who: what for who, what in kept.viewers.items() if who in present})
        self._write_viewers(key, kept.viewers)
        return kept

    def served_until(self) -> float | None:
        """Return until when everything counts as served after a restore, Unix seconds; None without one."""
        note = self._journal.read(_ANY, "served")
        return None if note is None else float(note) + self._longest

    def _first_release(self, aggregator: str) -> float | None:
        """Return since when this instance contributes, Unix seconds; None where nothing ever left.

        Its own release has an age of its own: who joins a federation later has contributed nothing yet. After
        a loss that is not known: windows are as long then as those of an old contributor.
        """
        noted = self._journal.read(_ANY, _first(aggregator))
        if noted is None:
            return None if self.served_until() is None else -math.inf
        return float(noted)

    def _note_first_release(self, aggregator: str) -> None:
        if self._first_release(aggregator) is None:
            self._journal.write(_ANY, _first(aggregator), repr(self._clock()).encode())

    # -- files ----------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self, key: bytes) -> Iterator[None]:
        # One lock per aggregator, and one for the anchor, always taken last.
        with FileLock(self.directory / f"{key.hex()}.lock"):
            yield

    def _write_viewers(self, key: bytes, viewers: Digests) -> None:
        self._write(key, "viewers", b"".join(who + what for who, what in sorted(viewers.items())))

    def _write_state(self, key: bytes, kept: StoredWindow) -> None:
        window = kept.window
        state: dict[str, cbor.Item] = {
            # As text: deterministic CBOR has no floats here.
            "opened": repr(window.opened),
            "ends": repr(window.ends),
            "least_changed": window.least_changed,
            "closed": window.closed.value,
            "terms": window.terms,
            "proposal": window.proposal,
            "left": int(window.left),
            "early": repr(window.early),
            "looked": repr(window.looked),
            "survivors": list(window.survivors),
            "seed": kept.seed,
        }
        with self._turn(_ANY):
            self._move_anchor()
        self._write(key, "state", cbor.encode(state))

    def _load(self, key: bytes, *, viewers: bool = True) -> StoredWindow | None:
        raw = self._read_sealed(key, "state")
        if raw is None:
            return None
        hashes = (self._read_sealed(key, "viewers") or b"") if viewers else b""
        try:
            window, seed = _read_state(cbor.decode(raw))
        except (Refusal, ValueError, KeyError, TypeError) as error:
            raise _DamagedRecordError() from error
        return StoredWindow(
            window,
            seed,
            {hashes[i : i + SIZE]: hashes[i + SIZE : i + 2 * SIZE] for i in range(0, len(hashes), 2 * SIZE)},
        )

    def _given(self, asked: Asked) -> NDArray[np.int64]:
        raw = self.frozen(asked.aggregator)
        if raw is None:
            raise StoreError(
                "a frozen contribution is missing", advice="Nothing is sent until the data window is over."
            )
        return np.frombuffer(raw, f"<i{asked.ring // 8}").astype(np.int64)

    def frozen(self, aggregator: str) -> bytes | None:
        """Return the vector that is frozen for an aggregator, little-endian, as it is before masking.

        Raises:
            StoreError: it is damaged.

        """
        packed = self._read_sealed(_key(aggregator), "given")
        try:
            return None if packed is None else unpack(packed)
        except ValueError as error:
            raise _DamagedRecordError() from error

    def _write(self, key: bytes, name: str, data: bytes) -> None:
        self._journal.write(key, name, self._box.encrypt(data))

    def _read_sealed(self, key: bytes, name: str) -> bytes | None:
        sealed = self._journal.read(key, name)
        try:
            return None if sealed is None else self._box.decrypt(sealed)
        except CryptoError as error:
            raise _DamagedRecordError() from error

    def _check_anchor(self, served: Callable[[], bool]) -> bool:
        """Look for the anchor that the note describes; without it, all is forgotten and counts as served."""
        note = self._journal.read(_ANY, _NOTE)
        if note is not None and note in map(self._mark, _ANCHORS):
            return False
        kept = any(key != _ANY for key in self._journal.ids())
        copied = note is not None or kept or served()
        if copied:
            self._forget()
        self._move_anchor()
        return copied

    @contextmanager
    def _served_if_damaged(self) -> Iterator[None]:
        """Forget what was given where a part of it cannot be read: nothing may be given a second time."""
        try:
            yield
        except _DamagedRecordError:
            self.count_as_served()
            raise

    def count_as_served(self) -> None:
        """Forget what was given, which counts as given for one window then: another key could not read it."""
        with self._turn(_ANY):
            self._forget()

    def _forget(self) -> None:
        self._journal.write(_ANY, "served", repr(self._clock()).encode())
        # Who left since the backup was made is not known.
        withdrawn.note(self.directory, self._clock())
        for key in self._journal.ids():
            if key != _ANY:
                self._journal.erase(key)

    def _move_anchor(self) -> None:
        """Make a new anchor; the old one stays until the note describes the new one."""
        note = self._journal.read(_ANY, _NOTE)
        old, new = _ANCHORS if note is not None and note == self._mark(_ANCHORS[0]) else _ANCHORS[::-1]
        self._journal.write(_ANY, new, b"")
        self._journal.write(_ANY, _NOTE, self._mark(new) or b"")
        self._journal.erase(_ANY, old)

    def _mark(self, anchor: str) -> bytes | None:
        try:
            status = self._journal.path(_ANY, anchor).stat()
        except FileNotFoundError:
            return None
        return f"{anchor} {status.st_ino} {status.st_ctime_ns}".encode()


def open_windows(
    config: Config,
    identity: Identity,
    engine: Engine,
    clock: Callable[[], float],
    *,
    least_changed: int | None = None,
) -> DataWindows:
    """Return the windows of this instance as its settings have them, `least_changed` too unless it is given.

    Raises:
        StoreError: the record of what was given cannot be read.

    """
    return DataWindows(
        config.windows_dir,
        identity,
        longest=config.privacy.window_max,
        least_changed=config.privacy.min_changed_users if least_changed is None else least_changed,
        clock=clock,
        rng=secrets.token_bytes,
        served=lambda: releases.any_given(engine),
    )


def _read_state(state: Any) -> tuple[Window, bytes]:
    """Read what `_write_state` wrote; anything else raises ValueError, KeyError or TypeError."""
    window = Window(
        opened=float(state["opened"]),
        ends=float(state["ends"]),
        least_changed=int(state["least_changed"]),
        closed=Closed(state["closed"]),
        terms=bytes(state["terms"]),
        proposal=bytes(state["proposal"]),
        left=bool(state["left"]),
        early=float(state["early"]),
        looked=float(state["looked"]),
        survivors=tuple(state["survivors"]),
    )
    return window, bytes(state["seed"])


def _first(aggregator: str) -> str:
    return "first-own" if aggregator == OWN else "first"


def _key(aggregator: str) -> bytes:
    return hashlib.sha256(aggregator.encode()).digest()


class _DamagedRecordError(StoreError):
    """A file of a window cannot be read."""

    def __init__(self) -> None:
        super().__init__(
            "the record of what was given to peers is damaged",
            advice="Nothing needs doing: everything counts as given for one data window.",
        )
