"""What this instance gave to each aggregator in the current data window, sealed on disk.

One folder per aggregator: `state` (the window, and the seed of its noise), `viewers` (who was counted, as
keyed hashes that only serve to see who changed or left), `given-0` and `given-1` (the noisy vectors). Rules
are in `policies.window`; everything here is sealed under a key derived from the identity, and replaced or
erased as soon as the window ends. Writes come in an order by which a crash between two of them never lets a
second vector out, nor one that somebody is in who left.

A folder that was copied back from a backup may be older than what was given since. An anchor file shows that:
no copy has the inode and the change time of the original. Each new state has a new anchor, since what copies
a backup over the folder may leave unchanged files alone. Then everything counts as served for one window.
A snapshot of the whole file system, put back, cannot be told from the original.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from daemon.identity import open_identity
from daemon.store import releases
from daemon.store.viewers import viewer_states
from federation import cbor
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.journal import FileJournal
from federation.keys import derive
from federation.noise import skellam
from federation.proposal import Proposal
from policies.window import Closed, Given, Window

_SALT = b"storage"
_ANCHORS = ("anchor-0", "anchor-1")
_NOTE = "note"
_DIGEST_SIZE = 16
_ANY = bytes(32)
"""Journal folder of what concerns all aggregators."""
PARTS = 0.85, 0.99
"""A window lasts between these parts of the configured length, at random: a peer that asks once per
length always finds it over in time, and its end does not show when it began."""

Digests = Mapping[bytes, bytes]
"""Per viewer: a keyed hash of who, a keyed hash of what counts; 16 bytes each."""


def terms_of(proposal: Proposal) -> bytes:
    """Return the hash of all that a contribution depends on, 32 bytes; not of cohort, time or nonce."""
    return hashlib.sha256(
        cbor.encode(
            {
                "trainer": proposal.trainer,
                "round": proposal.round,
                "length": proposal.length,
                "entry_bound": proposal.entry_bound,
                "ring": proposal.ring,
                "parameters": dict(proposal.parameters),
                "blobs": {name: blob.sha256 for name, blob in proposal.blobs.items()},
            }
        )
    ).digest()


def _sum_of(proposal: Proposal) -> bytes:
    return hashlib.sha256(proposal.to_payload()).digest()


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

    def noise_key(self, round_: int) -> bytes:
        """Return the key that this window's noise of a round is drawn with."""
        return derive(self.seed, _SALT, f"noise {round_}")


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
        length: timedelta,
        least_changed: int,
        clock: Callable[[], float],
        rng: Callable[[int], bytes],
        served: Callable[[], bool] = lambda: False,
    ) -> None:
        self._journal = FileJournal(directory)
        self._directory = directory
        self._box = SecretBox(derive(identity.seed, _SALT, "windows"))
        self._length, self._least = length.total_seconds(), least_changed
        self._clock, self._rng = clock, rng
        with self._turn(_ANY):
            self.restored = self._check_anchor(served)

    # -- what a contribution needs --------------------------------------------------------------------------

    def contribution(
        self,
        proposal: Proposal,
        digests: Callable[[bytes], Digests],
        count: Callable[[], NDArray[np.int64]],
    ) -> NDArray[np.int64]:
        """Return the noisy vector for a sum, (length,) int64: what was given before, or a fresh one.

        `digests` describes the present viewers under a key; `count` counts them, and is called only when
        something new is given.

        Raises:
            Refusal: `window-open`, or what `count` raises; nothing new is given then. `busy`: somebody left,
                or something else was given, while this was counted.
            StoreError: what was given cannot be read.

        """
        key, round_ = _key(proposal.aggregator), proposal.round
        given = Given(terms_of(proposal), proposal.share_variance, _sum_of(proposal))
        with self._turn(key):
            kept = self._current(proposal, digests)
            kept.window.require_room(proposal.survivors or proposal.hosts)
            if kept.window.repeats(round_, given.terms, given.variance):
                vector = self.given(proposal, round_)
                self._write_state(key, replace(kept, window=kept.window.repeat(round_, given.sum)))
                return vector
            before = self._load(key)
        # This may take minutes. Neither a sum for somebody else nor a viewer who leaves waits for it.
        vector = count()
        vector = vector + skellam(given.variance, vector.size, kept.noise_key(round_))
        with self._turn(key):
            if self._load(key) != before:
                raise Refusal(Code.BUSY, "what may be given changed while it was counted; try again")
            if not kept.window.given:
                # The window before is over. Its state first: without it the rest means nothing.
                self._journal.erase(key, "state")
                self._journal.erase(key)
            # The state last: it promises that the vector can be given again, and withdrawn with its viewers.
            self._write(key, f"given-{round_}", vector.astype(f"<i{proposal.ring // 8}").tobytes())
            self._write_viewers(key, digests(kept.seed))
            self._write_state(key, replace(kept, window=kept.window.give(given)))
            return vector

    def check(self, proposal: Proposal) -> str:
        """Check that a sum under way is still the one given in this window; returns the window's name.

        Raises:
            Refusal: `window-open`.

        """
        return self._given(proposal).id

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Note that a sum is about to be opened over these survivors. Raises Refusal (`window-open`)."""
        key = _key(proposal.aggregator)
        with self._turn(key):
            kept = self._given(proposal)
            window = kept.window.release(survivors)
            if window != kept.window:
                self._write_state(key, replace(kept, window=window))

    def _given(self, proposal: Proposal) -> StoredWindow:
        kept = self._load(_key(proposal.aggregator), viewers=False)
        if kept is None:
            raise Refusal(Code.WINDOW_OPEN, "what was given to this sum is not known any more; start another")
        kept.window.require_given(proposal.round, _sum_of(proposal))
        return kept

    # -- withdrawal -----------------------------------------------------------------------------------------

    def withdraw(self, present: Callable[[bytes], frozenset[bytes]], *, aggregator: str = "") -> int:
        """Void every window, or one aggregator's, in which somebody is counted who left; returns how many.

        `present` names those who are there, as `digests` does, under a key. Nothing is left of the others.

        Raises:
            StoreError: some window is damaged; the others were seen to.

        """
        voided, damaged = 0, None
        for key in [_key(aggregator)] if aggregator else self._journal.sums():
            try:
                with self._turn(key):
                    kept = None if key == _ANY else self._load(key)
                    there = frozenset() if kept is None else present(kept.seed)
                    if kept is not None and not kept.viewers.keys() <= there:
                        self._void(key, kept, there)
                        voided += 1
            except StoreError as error:
                damaged = error
        if damaged is not None:
            raise damaged
        return voided

    def read(self, aggregator: str) -> StoredWindow | None:
        """Return an aggregator's window as it stands."""
        return self._load(_key(aggregator))

    def all(self) -> list[StoredWindow]:
        """Return every window."""
        found = [self._load(key) for key in self._journal.sums() if key != _ANY]
        return [kept for kept in found if kept is not None]

    # -- opening and closing --------------------------------------------------------------------------------

    def _current(self, proposal: Proposal, digests: Callable[[bytes], Digests]) -> StoredWindow:
        """Return the window to give from; a first sum begins a new one when none is there, or it is over.

        A new one is on disk as soon as something was given. A later sum belongs to the window of the first,
        however late it comes.
        """
        aggregator, now = proposal.aggregator, self._clock()
        kept = self.read(aggregator)
        if kept is None:
            served_until = self.served_until()
            if served_until is None:
                return self._open(now)
            # What was given before the restore is unknown. Who is there now is what changes are counted from.
            kept = replace(self._open(now), window=Window(now, served_until, Closed.SERVED))
            kept = replace(kept, viewers=dict(digests(kept.seed)))
            self._write_viewers(_key(aggregator), kept.viewers)
            self._write_state(_key(aggregator), kept)
            return kept
        present = digests(kept.seed)
        if not kept.viewers.keys() <= present.keys():
            kept = self._void(_key(aggregator), kept, frozenset(present))
        changed = sum(kept.viewers.get(who) != what for who, what in present.items())
        if proposal.round == 0 and kept.window.over(now, changed=changed, least=self._least):
            return self._open(now)
        return kept

    def _open(self, now: float) -> StoredWindow:
        seed = self._rng(32)
        part = random.Random(derive(seed, _SALT, "length")).uniform(*PARTS)  # noqa: S311 (no secret)
        return StoredWindow(Window(now, now + part * self._length), seed)

    def _void(self, key: bytes, kept: StoredWindow, present: frozenset[bytes]) -> StoredWindow:
        if kept.window.closed is Closed.NO:
            kept = replace(kept, window=replace(kept.window, closed=Closed.VOID))
        # Who left is forgotten last: as long as they are known, a crash before the end is made good.
        self._write_state(key, kept)
        self._journal.erase(key, "given-0", "given-1")
        kept = replace(kept, viewers={who: what for who, what in kept.viewers.items() if who in present})
        self._write_viewers(key, kept.viewers)
        return kept

    def served_until(self) -> float | None:
        """Return until when everything counts as served after a restore, Unix seconds; None without one."""
        note = self._journal.read(_ANY, "served")
        return None if note is None else float(note) + self._length

    # -- files ----------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self, key: bytes) -> Iterator[None]:
        # One lock per aggregator, and one for the anchor, always taken last.
        with FileLock(self._directory / f"{key.hex()}.lock"):
            yield

    def _write_viewers(self, key: bytes, viewers: Digests) -> None:
        self._write(key, "viewers", b"".join(who + what for who, what in sorted(viewers.items())))

    def _write_state(self, key: bytes, kept: StoredWindow) -> None:
        window = kept.window
        state: dict[str, cbor.Item] = {
            # As text: deterministic CBOR has no floats here.
            "opened": repr(window.opened),
            "ends": repr(window.ends),
            "closed": window.closed.value,
            "given": [[g.terms, g.variance.numerator, g.variance.denominator, g.sum] for g in window.given],
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
            raise _damaged() from error
        return StoredWindow(
            window, seed, {hashes[i : i + 16]: hashes[i + 16 : i + 32] for i in range(0, len(hashes), 32)}
        )

    def given(self, proposal: Proposal, round_: int) -> NDArray[np.int64]:
        """Return the noisy vector that was frozen for a round of this session, int64.

        Raises:
            StoreError: it is not there, or damaged.

        """
        raw = self.frozen(proposal.aggregator, round_)
        if raw is None:
            raise StoreError(
                "a frozen contribution is missing", advice="Nothing is sent until the data window is over."
            )
        return np.frombuffer(raw, f"<i{proposal.ring // 8}").astype(np.int64)

    def frozen(self, aggregator: str, round_: int) -> bytes | None:
        """Return the bytes of it, little-endian, as they are before masking. Raises StoreError (damaged)."""
        return self._read_sealed(_key(aggregator), f"given-{round_}")

    def _write(self, key: bytes, name: str, data: bytes) -> None:
        self._journal.write(key, name, self._box.encrypt(data))

    def _read_sealed(self, key: bytes, name: str) -> bytes | None:
        sealed = self._journal.read(key, name)
        try:
            return None if sealed is None else self._box.decrypt(sealed)
        except CryptoError as error:
            raise _damaged() from error

    def _check_anchor(self, served: Callable[[], bool]) -> bool:
        """Look for the anchor that the note describes; without it, all is forgotten and counts as served."""
        note = self._journal.read(_ANY, _NOTE)
        if note is not None and note in map(self._mark, _ANCHORS):
            return False
        copied = note is not None or served()
        if copied:
            self._forget()
        self._move_anchor()
        return copied

    def count_as_served(self) -> None:
        """Forget what was given, which counts as given for one window then: another key could not read it."""
        with self._turn(_ANY):
            self._forget()

    def _forget(self) -> None:
        self._journal.write(_ANY, "served", repr(self._clock()).encode())
        for key in self._journal.sums():
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
    config: Config, identity: Identity, engine: Engine, clock: Callable[[], float]
) -> DataWindows:
    """Return the windows of this instance as its settings have them.

    Raises:
        StoreError: the record of what was given cannot be read.

    """
    return DataWindows(
        config.windows_dir,
        identity,
        length=config.privacy.window,
        least_changed=config.privacy.min_changed_users,
        clock=clock,
        rng=secrets.token_bytes,
        served=lambda: releases.any_given(engine),
    )


def withdraw_viewers(config: Config, engine: Engine) -> int:
    """Void every data window that counts somebody who is not stored any more; returns how many.

    Called after the rows are gone. Where it is not reached, the next contribution finds the same out.
    """
    if not config.windows_dir.is_dir():
        return 0
    identity = open_identity(config.identity_file, config.instance.host)
    stored = viewer_states(engine)
    return open_windows(config, identity, engine, time.time).withdraw(lambda key: viewer_tags(key, stored))


def viewer_tag(key: bytes, pseudonym: bytes) -> bytes:
    """Return what a viewer is called under a key, 16 bytes: to see who left."""
    return hashlib.blake2b(pseudonym, digest_size=_DIGEST_SIZE, key=key, person=b"shoal viewer").digest()


def viewer_tags(key: bytes, pseudonyms: Iterable[bytes]) -> frozenset[bytes]:
    """Return what several viewers are called under a key."""
    return frozenset(viewer_tag(key, pseudonym) for pseudonym in pseudonyms)


def viewer_digests(
    key: bytes,
    pseudonyms: Sequence[bytes],
    urls: Sequence[str],
    starts: NDArray[np.integer],
    columns: NDArray[np.integer],
) -> dict[bytes, bytes]:
    """Return, per viewer that counts with any video, a hash of which videos those are, 16 bytes each.

    `starts` (viewers + 1,) and `columns` are a CSR index: the positions in `urls` of each viewer's videos,
    ascending.
    """
    videos = np.frombuffer(
        b"".join(hashlib.blake2b(url.encode(), digest_size=_DIGEST_SIZE, key=key).digest() for url in urls),
        dtype=f"V{_DIGEST_SIZE}",
    )
    found = {}
    for row, pseudonym in enumerate(pseudonyms):
        mine = columns[starts[row] : starts[row + 1]]
        if mine.size:
            content = videos[mine].tobytes()
            found[viewer_tag(key, pseudonym)] = hashlib.blake2b(
                content, digest_size=_DIGEST_SIZE, key=key
            ).digest()
    return found


def _read_state(state: Any) -> tuple[Window, bytes]:
    """Read what `_write_state` wrote; anything else raises ValueError, KeyError or TypeError."""
    given = [Given(terms, Fraction(over, under), sum_) for terms, over, under, sum_ in state["given"]]
    window = Window(
        opened=float(state["opened"]),
        ends=float(state["ends"]),
        closed=Closed(state["closed"]),
        given=tuple(given),
        survivors=tuple(state["survivors"]),
    )
    return window, bytes(state["seed"])


def _key(aggregator: str) -> bytes:
    return hashlib.sha256(aggregator.encode()).digest()


def _damaged() -> StoreError:
    return StoreError(
        "the record of what was given to peers is damaged",
        advice="Remove the folder windows/ from data_dir: everything then counts as given for one window.",
    )
