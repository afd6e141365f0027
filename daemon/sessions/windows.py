"""What this instance gave to each aggregator in the current data window, sealed on disk.

One folder per aggregator: `state` (the window, and the seed of its noise), `viewers` (who was counted, as
keyed hashes that only serve to see who changed or left), `given-0` and `given-1` (the noisy vectors). Rules
are in `policies.window`; everything here is sealed under a key derived from the identity, and replaced or
erased as soon as the window ends.

A folder that was copied back from a backup may be older than what was given since. An anchor file shows that:
no copy has the inode and the change time of the original. Then everything counts as served for one window.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
from filelock import FileLock
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from numpy.typing import NDArray

from daemon.errors import StoreError
from federation import cbor
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.journal import FileJournal
from federation.keys import derive
from federation.noise import skellam
from federation.proposal import Proposal
from policies.window import Closed, Given, Window

_SALT = b"storage"
_ANCHOR = "anchor"
_NOTE = "note"
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


@dataclass(frozen=True)
class Kept:
    """A window with its secrets."""

    window: Window
    seed: bytes = field(repr=False)
    viewers: dict[bytes, bytes] = field(repr=False)

    @property
    def id(self) -> str:
        """Names the window in the record of releases."""
        return hashlib.sha256(b"window" + self.seed).hexdigest()[:32]

    def noise_key(self, round_: int) -> bytes:
        """Return the key that this window's noise of a round is drawn with."""
        return derive(self.seed, _SALT, f"noise {round_}")


class Windows:
    """All windows of one instance. Writers of several processes take turns by a lock file.

    `rng` gives 32 secret bytes per window; `clock` Unix seconds. `served` tells that something was given
    before although no folder is there.
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
        existed = directory.exists()
        self._journal = FileJournal(directory)
        self._directory = directory
        self._box = SecretBox(derive(identity.seed, _SALT, "windows"))
        self._length, self._least = length.total_seconds(), least_changed
        self._clock, self._rng = clock, rng
        with self._turn(_ANY):
            self.restored = self._check_anchor(lost=not existed and served())

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
            Refusal: `window-open`, or what `count` raises; nothing new is given then.

        """
        aggregator, terms = proposal.aggregator, terms_of(proposal)
        with self._turn(_key(aggregator)):
            kept = self._current(proposal, digests)
            if kept.window.repeats(proposal.round, terms, proposal.share_variance):
                return self._read_vector(proposal)
            vector = count()
            vector = vector + skellam(proposal.share_variance, vector.size, kept.noise_key(proposal.round))
            given = Given(terms, proposal.share_variance)
            # The vector first: a state that names it promises that it can be given again.
            name = f"given-{proposal.round}"
            self._write(aggregator, name, vector.astype(f"<i{proposal.ring // 8}").tobytes())
            now = replace(kept, window=kept.window.give(given), viewers=dict(digests(kept.seed)))
            self._save(aggregator, now)
            return vector

    def check(self, proposal: Proposal) -> str:
        """Check that a sum under way is still the one given in this window; returns the window's name.

        Raises:
            Refusal: `window-open`.

        """
        return self._given(proposal).id

    def _given(self, proposal: Proposal) -> Kept:
        kept = self.read(proposal.aggregator)
        if kept is None:
            raise Refusal(Code.WINDOW_OPEN, "what was given to this sum is not known any more; start another")
        kept.window.require_given(proposal.round, terms_of(proposal))
        return kept

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Note that a sum is about to be opened over these survivors. Raises Refusal (`window-open`)."""
        with self._turn(_key(proposal.aggregator)):
            kept = self._given(proposal)
            window = kept.window.release(survivors)
            if window != kept.window:
                self._save(proposal.aggregator, replace(kept, window=window))

    # -- withdrawal -----------------------------------------------------------------------------------------

    def withdraw(self, present: Callable[[bytes], frozenset[bytes]]) -> int:
        """Void every window in which somebody is counted who left; returns how many.

        `present` names those who are there, as `digests` does, under a key. Nothing is left of the others.
        """
        voided = 0
        for key in self._journal.sums():
            with self._turn(key):
                kept = None if key == _ANY else self._load(key)
                if kept is not None and not kept.viewers.keys() <= present(kept.seed):
                    self._void(key, kept, present(kept.seed))
                    voided += 1
        return voided

    def read(self, aggregator: str) -> Kept | None:
        """Return an aggregator's window as it stands."""
        return self._load(_key(aggregator))

    def all(self) -> list[Kept]:
        """Return every window."""
        found = [self._load(key) for key in self._journal.sums() if key != _ANY]
        return [kept for kept in found if kept is not None]

    # -- opening and closing --------------------------------------------------------------------------------

    def _current(self, proposal: Proposal, digests: Callable[[bytes], Digests]) -> Kept:
        """Return the window to give from; a first sum opens a new one when there is none or the last is over.

        A later sum belongs to the window of the first, however late it comes.
        """
        aggregator, now = proposal.aggregator, self._clock()
        kept = self.read(aggregator)
        if kept is None:
            served_until = self._served_until()
            if served_until is None:
                return self._open(now)
            # What was given before the restore is unknown. Who is there now is what changes are counted from.
            kept = replace(self._open(now), window=Window(now, served_until, Closed.SERVED))
            kept = replace(kept, viewers=dict(digests(kept.seed)))
            self._save(aggregator, kept)
            return kept
        present = digests(kept.seed)
        if not kept.viewers.keys() <= present.keys():
            kept = self._void(_key(aggregator), kept, frozenset(present))
        changed = sum(kept.viewers.get(who) != what for who, what in present.items())
        if proposal.round == 0 and kept.window.over(now, changed=changed, least=self._least):
            self._journal.erase(_key(aggregator))
            return self._open(now)
        return kept

    def _open(self, now: float) -> Kept:
        seed = self._rng(32)
        part = random.Random(derive(seed, _SALT, "length")).uniform(*PARTS)  # noqa: S311 (no secret)
        return Kept(Window(now, now + part * self._length), seed, {})

    def _void(self, key: bytes, kept: Kept, present: frozenset[bytes]) -> Kept:
        window = kept.window
        if window.closed is Closed.NO:
            window = replace(window, closed=Closed.VOID)
        kept = replace(
            kept, window=window, viewers={who: what for who, what in kept.viewers.items() if who in present}
        )
        self._save_under(key, kept)
        self._journal.erase(key, "given-0", "given-1")
        return kept

    def _served_until(self) -> float | None:
        note = self._journal.read(_ANY, "served")
        return None if note is None else float(note) + self._length

    # -- files ----------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self, key: bytes) -> Iterator[None]:
        # One lock per aggregator: counting for one takes seconds, and must not hold up another.
        with FileLock(self._directory / f"{key.hex()}.lock"):
            yield

    def _save(self, aggregator: str, kept: Kept) -> None:
        self._save_under(_key(aggregator), kept)

    def _save_under(self, key: bytes, kept: Kept) -> None:
        window = kept.window
        viewers = b"".join(who + what for who, what in sorted(kept.viewers.items()))
        self._write_under(key, "viewers", viewers)
        state: dict[str, cbor.Item] = {
            # As text: deterministic CBOR has no floats here.
            "opened": repr(window.opened),
            "ends": repr(window.ends),
            "closed": window.closed.value,
            "given": [[g.terms, g.variance.numerator, g.variance.denominator] for g in window.given],
            "survivors": list(window.survivors),
            "seed": kept.seed,
        }
        self._write_under(key, "state", cbor.encode(state))

    def _load(self, key: bytes) -> Kept | None:
        raw = self._read_sealed(key, "state")
        if raw is None:
            return None
        state = cbor.decode(raw)
        viewers = self._read_sealed(key, "viewers") or b""
        if not isinstance(state, dict):
            raise _damaged()
        window = Window(
            opened=float(str(state["opened"])),
            ends=float(str(state["ends"])),
            closed=Closed(str(state["closed"])),
            given=tuple(Given(g[0], Fraction(g[1], g[2])) for g in state["given"]),  # type: ignore[union-attr,index,arg-type]
            survivors=tuple(str(host) for host in state["survivors"]),  # type: ignore[union-attr]
        )
        seed = state["seed"]
        if not isinstance(seed, bytes):
            raise _damaged()
        pairs = {viewers[i : i + 16]: viewers[i + 16 : i + 32] for i in range(0, len(viewers), 32)}
        return Kept(window, seed, pairs)

    def _read_vector(self, proposal: Proposal) -> NDArray[np.int64]:
        raw = self._read_sealed(_key(proposal.aggregator), f"given-{proposal.round}")
        if raw is None:
            raise StoreError(
                "a frozen contribution is missing", advice="Nothing is sent until the data window is over."
            )
        return np.frombuffer(raw, f"<i{proposal.ring // 8}").astype(np.int64)

    def _write(self, aggregator: str, name: str, data: bytes) -> None:
        self._write_under(_key(aggregator), name, data)

    def _write_under(self, key: bytes, name: str, data: bytes) -> None:
        self._journal.write(key, name, self._box.encrypt(data))

    def _read_sealed(self, key: bytes, name: str) -> bytes | None:
        sealed = self._journal.read(key, name)
        try:
            return None if sealed is None else self._box.decrypt(sealed)
        except CryptoError as error:
            raise _damaged() from error

    def _check_anchor(self, *, lost: bool) -> bool:
        """Compare the anchor with its note; on a copy, forget everything and count it as served."""
        anchor = self._journal.path(_ANY, _ANCHOR)
        note = self._journal.read(_ANY, _NOTE)
        if note is not None and anchor.exists() and note == _mark(anchor):
            return False
        copied = lost or note is not None or anchor.exists()
        if copied:
            self._journal.write(_ANY, "served", repr(self._clock()).encode())
            for key in self._journal.sums():
                if key != _ANY:
                    self._journal.erase(key)
        anchor.unlink(missing_ok=True)
        self._journal.write(_ANY, _ANCHOR, b"")
        self._journal.write(_ANY, _NOTE, _mark(anchor))
        return copied


def _mark(path: Path) -> bytes:
    status = path.stat()
    return f"{status.st_ino} {status.st_ctime_ns}".encode()


def _key(aggregator: str) -> bytes:
    return hashlib.sha256(aggregator.encode()).digest()


def _damaged() -> StoreError:
    return StoreError(
        "the record of what was given to peers is damaged",
        advice="Remove the folder windows/ from data_dir: everything then counts as given for one window.",
    )
