"""What was given to an aggregator: the same again after anything, nothing of who left, no second vector."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from nacl.secret import SecretBox
from numpy.typing import NDArray

from daemon.errors import StoreError
from daemon.rounds.data_windows import PARTS, DataWindows, terms_of, viewer_digests, viewer_tag, viewer_tags
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.journal import FileJournal
from federation.keys import derive
from federation.noise import skellam
from federation.proposal import BlobReference, Proposal
from policies.window import Closed
from tests.simulator.cohort import NOW, Clock
from tests.simulator.crashes import Crash, FailingJournal

ME = Identity("me.example", b"\x01" * 32)
MEMBERS = tuple(Identity(f"m{n}.example", bytes([n + 2]) * 32).public for n in range(5))
HOSTS = tuple(member.host for member in MEMBERS)
URLS = tuple(f"https://one.example/w/{n:02}" for n in range(20))
PAIRS = np.triu_indices(len(URLS), 1)
LENGTH = timedelta(days=7)
LEAST = 3
BOB = b"bob's pseudonym."

Values = NDArray[np.int64]


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power, and thousands of flushes take their time."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@dataclass
class Viewers:
    """Who is there, and what they watched, by position in URLS."""

    rows: dict[bytes, frozenset[int]]

    @classmethod
    def some(cls) -> Viewers:
        rng = random.Random(3)
        rows = {rng.randbytes(16): frozenset(rng.sample(range(len(URLS)), 6)) for _ in range(30)}
        return cls({**rows, BOB: frozenset({1, 4, 9})})

    def digests(self, key: bytes) -> dict[bytes, bytes]:
        names = sorted(self.rows)
        columns = [sorted(self.rows[name]) for name in names]
        starts = np.cumsum([0, *map(len, columns)])
        return viewer_digests(
            key, names, URLS, starts, np.concatenate([np.array(c, np.int64) for c in columns])
        )

    def present(self, key: bytes) -> frozenset[bytes]:
        return viewer_tags(key, self.rows)

    def matrix(self) -> Values:
        return np.array([[v in row for v in range(len(URLS))] for row in self.rows.values()], np.int64)

    def counts(self) -> Values:
        total: Values = self.matrix().sum(axis=0)
        return total

    def pairs(self) -> Values:
        gram: Values = self.matrix().T @ self.matrix()
        return gram[PAIRS]

    def change(self, number: int) -> None:
        """Let as many viewers watch something else."""
        for name in [name for name in sorted(self.rows) if name != BOB][:number]:
            self.rows[name] = frozenset((v + 1) % len(URLS) for v in self.rows[name])


@dataclass
class Store:
    """One instance's windows, which can be opened again and again."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    viewers: Viewers = field(default_factory=Viewers.some)
    identity: Identity = ME
    served: bool = False
    seed: int = 0
    least: int = LEAST

    def open(self) -> DataWindows:
        return DataWindows(
            self.folder,
            self.identity,
            length=LENGTH,
            least_changed=self.least,
            clock=self.clock,
            rng=os.urandom,
            served=lambda: self.served,
        )

    def give(self, proposal: Proposal, windows: DataWindows | None = None) -> Values:
        count = self.viewers.pairs if proposal.round else self.viewers.counts
        return (windows or self.open()).contribution(proposal, self.viewers.digests, count)

    def refusal(self, proposal: Proposal) -> Refusal:
        with pytest.raises(Refusal) as refused:
            self.give(proposal)
        return refused.value

    def next_window(self, changed: int = LEAST) -> None:
        self.clock.now += LENGTH.total_seconds()
        self.viewers.change(changed)

    def plain(self) -> bytes:
        """Return everything in the folder, opened as whoever has the identity could open it."""
        box = SecretBox(derive(self.identity.seed, b"storage", "windows"))
        found = b""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                raw = path.read_bytes()
                found += raw
                if path.name in ("state", "viewers", "given-0", "given-1"):
                    found += box.decrypt(raw)
        return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "windows")


NONCES = iter(range(1, 1 << 60))


def counts(aggregator: str = "peer.example", *, vocabulary: bytes = bytes(32), **changes: object) -> Proposal:
    """Return a new proposal of a first sum; two calls differ in nonce and time only."""
    nonce = next(NONCES)
    base = Proposal(
        aggregator=aggregator,
        roster=MEMBERS,
        threshold=4,
        trainer="gram/1",
        round=0,
        length=len(URLS),
        entry_bound=1000,
        ring=32,
        nonce=nonce.to_bytes(16, "big"),
        created=NOW + nonce,
        expires=NOW + nonce + 600,
        noise=4,
        colluders=1,
        parameters={"counts_noise": 4, "pairs_noise": 4},
        blobs={"vocabulary": BlobReference(vocabulary, 10)},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def pairs(first: Proposal, *, shown: bytes = bytes(32)) -> Proposal:
    return replace(
        first,
        round=1,
        parent=first.nonce * 2,
        survivors=HOSTS,
        length=len(PAIRS[0]),
        nonce=next(NONCES).to_bytes(16, "big"),
        blobs={**first.blobs, "counts": BlobReference(shown, 10)},
    )


def same(one: Values, other: Values) -> bool:
    return bool(np.array_equal(one, other))


# -- one window ----------------------------------------------------------------------------------------------


def test_the_same_vector_is_given_for_the_same_question_also_after_a_restart(store: Store) -> None:
    first = store.give(counts())
    assert not same(first, store.viewers.counts())
    store.viewers.change(1)  # too few to matter, and what was given does not move
    store.clock.now += 86400
    assert same(store.give(counts()), first)
    assert same(store.give(counts(), store.open()), first)
    second = store.give(pairs(counts()))
    store.viewers.change(2)
    assert same(store.give(pairs(counts())), second)


def test_what_is_given_is_the_counts_and_noise_of_the_windows_own_key(store: Store) -> None:
    for proposal, plain in ((counts(), store.viewers.counts()), (pairs(counts()), store.viewers.pairs())):
        vector = store.give(proposal)
        kept = store.open().read("peer.example")
        assert kept is not None
        noise = skellam(Fraction(4, 3), len(plain), kept.noise_key(proposal.round))
        np.testing.assert_array_equal(vector - noise, plain)
        assert noise.any()


def test_aggregators_and_rounds_get_noise_of_their_own(store: Store) -> None:
    plain = store.viewers.counts()
    noises = [store.give(counts(f"peer{n}.example")) - plain for n in range(3)]
    # Over as many entries as the counts have.
    noises += [store.give(pairs(counts("peer0.example")))[: len(plain)] - store.viewers.pairs()[: len(plain)]]
    for place, one in enumerate(noises):
        assert not any(same(one, other) for other in noises[:place])


def test_nothing_is_counted_again_where_something_was_given(store: Store) -> None:
    store.give(counts())

    def count() -> Values:
        raise AssertionError("counted")

    store.open().contribution(counts(), store.viewers.digests, count)


@pytest.mark.parametrize(
    "change",
    [
        {"vocabulary": b"v" * 32},
        {"length": 19},
        {"entry_bound": 999},
        {"ring": 64},
        {"trainer": "gram/2"},
        {"parameters": {"counts_noise": 4, "pairs_noise": 5}},
        {"threshold": 3},  # each member would have to add more
        {"colluders": 2},
        {"noise": 5},
    ],
)
def test_another_question_is_refused(store: Store, change: dict[str, object]) -> None:
    store.give(counts())
    found = store.refusal(counts(**change))  # type: ignore[arg-type]
    assert found.code is Code.WINDOW_OPEN


@pytest.mark.parametrize(
    "change", [{"roster": MEMBERS[:4]}, {"threshold": 5}, {"noise": 3}, {"created": NOW - 5}]
)
def test_neither_the_cohort_nor_less_noise_changes_what_is_given(
    store: Store, change: dict[str, object]
) -> None:
    first = store.give(counts())
    assert same(store.give(counts(**change)), first)  # type: ignore[arg-type]


def test_pairs_need_counts_of_the_window_and_are_asked_once(store: Store) -> None:
    assert store.refusal(pairs(counts())).code is Code.WINDOW_OPEN
    store.give(counts())
    store.give(pairs(counts()))
    assert store.refusal(pairs(counts(), shown=b"s" * 32)).code is Code.WINDOW_OPEN


def test_what_is_refused_while_counting_freezes_nothing(store: Store) -> None:
    def count() -> Values:
        raise Refusal(Code.BUDGET_SPENT, "spent")

    with pytest.raises(Refusal, match="spent"):
        store.open().contribution(counts(), store.viewers.digests, count)
    assert store.open().all() == []
    store.give(counts(vocabulary=b"v" * 32))
    # Nor does it end a window: the one before lasts until something else is given.
    store.next_window()
    with pytest.raises(Refusal, match="spent"):
        store.open().contribution(counts(), store.viewers.digests, count)
    assert len(store.open().all()) == 1


# -- the end of a window -------------------------------------------------------------------------------------


def test_after_time_and_change_there_is_a_fresh_draw_and_nothing_old(store: Store) -> None:
    first = store.give(counts())
    store.give(pairs(counts()))
    before = {path: path.read_bytes() for path in store.folder.rglob("given-*")}
    assert len(before) == 2
    old = store.open().read("peer.example")
    store.next_window()
    plain = store.viewers.counts()
    second = store.give(counts(vocabulary=b"v" * 32))
    new = store.open().read("peer.example")
    assert old is not None
    assert new is not None
    assert new.id != old.id
    assert new.seed != old.seed
    assert not same(second - plain, first - plain)
    (left,) = store.folder.rglob("given-*")
    assert left.name == "given-0"
    assert left.read_bytes() not in before.values()


@pytest.mark.parametrize(("late", "changed"), [(True, LEAST - 1), (False, len(Viewers.some().rows))])
def test_too_early_or_with_too_little_change_it_is_still_the_old_one(
    store: Store, late: bool, changed: int
) -> None:
    first = store.give(counts())
    store.clock.now += LENGTH.total_seconds() * (1 if late else PARTS[0]) - (0 if late else 1)
    store.viewers.change(changed)
    assert same(store.give(counts()), first)
    assert store.refusal(counts(vocabulary=b"v" * 32)).code is Code.WINDOW_OPEN


def test_windows_end_at_different_times_and_never_after_their_length(store: Store) -> None:
    for number in range(40):
        store.give(counts(f"peer{number}.example"))
    lengths = [(kept.window.ends - NOW) / LENGTH.total_seconds() for kept in store.open().all()]
    assert all(PARTS[0] <= part <= PARTS[1] for part in lengths)
    assert max(lengths) - min(lengths) > 0.5 * (PARTS[1] - PARTS[0])


def test_pairs_that_come_late_stay_in_the_window_of_their_counts(store: Store) -> None:
    first = counts()
    given = store.give(first)
    kept = store.open().read("peer.example")
    store.next_window(LEAST + 5)
    second = pairs(first)
    store.give(second)
    assert kept is not None
    assert store.open().check(second) == kept.id
    # Pairs tell of who was there when they were counted: what changes from then on ends the window.
    assert same(store.give(counts()), given)
    store.viewers.change(LEAST)
    again = counts()
    assert not same(store.give(again) - store.viewers.counts(), given - store.viewers.counts())
    assert store.open().check(again) != kept.id
    with pytest.raises(Refusal, match="over"):
        store.open().check(second)


def test_a_sum_of_the_window_before_cannot_go_on_in_the_next_with_the_same_terms(store: Store) -> None:
    # Its vector is another one than this window's: one release would be two.
    old, new = counts(), counts()
    assert terms_of(old) == terms_of(new)
    store.give(old)
    store.next_window()
    store.give(new)
    store.open().check(new)
    with pytest.raises(Refusal, match="over, or to another"):
        store.open().check(old)
    with pytest.raises(Refusal, match="over, or to another"):
        store.open().release(old, HOSTS)


def test_one_set_of_survivors_also_after_a_restart(store: Store) -> None:
    first, second = counts(), counts()
    store.give(first)
    store.open().release(first, HOSTS)
    store.give(second)
    with pytest.raises(Refusal, match="other survivors"):
        store.open().release(second, HOSTS[:4])
    store.open().release(second, HOSTS)
    # Nor is the vector sent where one of them is not even asked.
    assert "other survivors" in store.refusal(counts(roster=MEMBERS[:4])).sentence


# -- withdrawal ----------------------------------------------------------------------------------------------


def test_who_leaves_takes_everything_along_at_once(store: Store) -> None:
    first = counts()
    vectors = [store.give(first), store.give(pairs(first)), store.give(counts("other.example"))]
    kept = store.open().all()
    tags = [viewer_tag(one.seed, BOB) for one in kept]
    contents = [one.viewers[tag] for one, tag in zip(kept, tags, strict=True)]
    secrets = [*(v.astype("<i4").tobytes() for v in vectors), *tags, *contents]
    assert all(secret in store.plain() for secret in secrets)
    del store.viewers.rows[BOB]
    assert store.open().withdraw(store.viewers.present) == 2
    left = store.plain()
    assert not any(secret in left for secret in secrets)
    assert not list(store.folder.rglob("given-*"))
    for proposal in (first, pairs(first)):
        with pytest.raises(Refusal, match="nothing more is given"):
            store.open().check(proposal)
    for proposal in (counts(), pairs(first), counts("other.example")):
        assert store.refusal(proposal).code is Code.WINDOW_OPEN
    assert store.open().withdraw(store.viewers.present) == 0


def test_a_contribution_finds_out_by_itself_who_left(store: Store) -> None:
    store.give(counts())
    del store.viewers.rows[BOB]
    assert "nothing more" in store.refusal(counts()).sentence
    assert not list(store.folder.rglob("given-*"))


def test_nothing_is_sent_until_others_changed_and_leaving_is_no_change(store: Store) -> None:
    first = store.give(counts())
    for name in [BOB, *sorted(store.viewers.rows)[: LEAST + 2]]:
        store.viewers.rows.pop(name, None)
    store.open().withdraw(store.viewers.present)
    store.clock.now += 10 * LENGTH.total_seconds()
    assert "nothing more" in store.refusal(counts()).sentence
    store.viewers.change(LEAST - 1)
    assert "nothing more" in store.refusal(counts()).sentence
    store.viewers.change(LEAST)
    plain = store.viewers.counts()
    assert not same(store.give(counts()) - plain, first - plain)


def test_who_comes_back_counts_as_one_change_and_brings_nothing_back(store: Store) -> None:
    first = store.give(counts())
    row = store.viewers.rows.pop(BOB)
    store.open().withdraw(store.viewers.present)
    store.viewers.rows[BOB] = row
    assert store.refusal(counts()).code is Code.WINDOW_OPEN
    store.next_window(LEAST - 1)
    assert not same(store.give(counts()), first)


def test_who_leaves_while_being_counted_stops_it(store: Store) -> None:
    store.give(counts())
    before = store.viewers

    def count() -> Values:
        vector = before.pairs()
        # Another process: it does not wait for the counting.
        other = Store(store.folder, store.clock, Viewers(dict(before.rows)))
        del other.viewers.rows[BOB]
        assert other.open().withdraw(other.viewers.present) == 1
        return vector

    with pytest.raises(Refusal) as refused:
        store.open().contribution(pairs(counts()), before.digests, count)
    assert refused.value.code is Code.BUSY
    assert not list(store.folder.rglob("given-*"))


def test_a_damaged_window_does_not_keep_the_others_from_being_voided(store: Store) -> None:
    for number in range(4):
        store.give(counts(f"peer{number}.example"))
    damaged = sorted(store.folder.rglob("state"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    del store.viewers.rows[BOB]
    with pytest.raises(StoreError, match="damaged"):
        store.open().withdraw(store.viewers.present)
    damaged.unlink()
    assert [kept.window.closed for kept in store.open().all()] == [Closed.VOID] * 3


# -- the files -----------------------------------------------------------------------------------------------


def test_nothing_readable_is_on_disk(store: Store) -> None:
    vector = store.give(counts())
    kept = store.open().read("peer.example")
    assert kept is not None
    raw = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    for secret in (
        vector.astype("<i4").tobytes(),
        kept.seed,
        viewer_tag(kept.seed, BOB),
        BOB,
        b"peer.example",
        b"closed",
    ):
        assert secret not in raw
    assert "seed" not in repr(kept)
    assert all(path.stat().st_mode & 0o077 == 0 for path in store.folder.rglob("*") if path.suffix != ".lock")


def test_another_identity_is_told_clearly(store: Store) -> None:
    store.give(counts())
    other = replace(store, identity=Identity("me.example", b"\x09" * 32))
    with pytest.raises(StoreError, match="damaged") as error:
        other.give(counts())
    assert "windows/" in error.value.advice


@pytest.mark.parametrize("name", ["state", "viewers", "given-0"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damage_is_told_clearly_and_gives_nothing(store: Store, name: str, damage: str) -> None:
    store.give(counts())
    (path,) = store.folder.rglob(name)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes({"cut": bytes(raw[:30]), "flip": bytes(raw), "empty": b""}[damage])
    with pytest.raises(StoreError) as error:
        store.give(counts())
    assert error.value.advice


def test_a_lost_vector_is_not_counted_anew(store: Store) -> None:
    store.give(counts())
    (path,) = store.folder.rglob("given-0")
    path.unlink()
    with pytest.raises(StoreError, match="missing"):
        store.give(counts())


# -- backups -------------------------------------------------------------------------------------------------


def restored_in_place(backup: Path, folder: Path) -> None:
    """Do what `rsync -a` does: write over what differs in size or time, leave the rest alone."""
    for source in backup.rglob("*"):
        target = folder / source.relative_to(backup)
        if source.is_dir():
            target.mkdir(exist_ok=True)
            continue
        status = source.stat()
        if target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == (
            status.st_size,
            status.st_mtime_ns,
        ):
            continue
        shutil.copy2(source, target)


def copied_by_python(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def copied_by_cp(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    subprocess.run(["cp", "-a", backup, folder], check=True)


def copied_over(backup: Path, folder: Path) -> None:
    subprocess.run(["cp", "-a", f"{backup}/.", folder], check=True)


def removed(_backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)


def emptied(_backup: Path, folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


LOSSES = [copied_by_python, copied_by_cp, copied_over, restored_in_place, removed, emptied]


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_not_known_any_more_counts_as_given_for_a_window(
    store: Store, tmp_path: Path, loss: Callable[[Path, Path], None]
) -> None:
    store.give(counts("early.example"))
    backup = tmp_path / "backup"
    shutil.copytree(store.folder, backup)
    under_way = counts()
    first = store.give(under_way)
    store.served = True
    loss(backup, store.folder)
    windows = store.open()
    assert windows.restored
    with pytest.raises(Refusal):
        windows.check(under_way)
    for aggregator in ("peer.example", "early.example", "never-asked.example"):
        assert store.refusal(counts(aggregator)).code is Code.WINDOW_OPEN
        assert store.refusal(counts(aggregator, vocabulary=b"v" * 32)).code is Code.WINDOW_OPEN
    # Nobody is told twice, and nothing is given before time and change.
    assert not store.open().restored
    store.clock.now += LENGTH.total_seconds()
    assert store.refusal(counts()).code is Code.WINDOW_OPEN
    store.viewers.change(LEAST)
    plain = store.viewers.counts()
    assert not same(store.give(counts()) - plain, first - plain)


def test_a_backup_taken_and_not_put_back_changes_nothing(store: Store, tmp_path: Path) -> None:
    first = store.give(counts())
    shutil.copytree(store.folder, tmp_path / "backup")
    assert not store.open().restored
    assert same(store.give(counts()), first)


def test_a_fresh_instance_has_given_nothing(store: Store) -> None:
    assert not store.open().restored
    store.give(counts())


# -- crashes -------------------------------------------------------------------------------------------------


class FailingFiles(FailingJournal):
    """The same over files, which the anchor looks at."""

    def path(self, sum_id: bytes, name: str) -> Path:
        self._check()
        assert isinstance(self.inner, FileJournal)
        return self.inner.path(sum_id, name)


@dataclass
class Life:
    """What happens to an instance, step by step; a step that a crash interrupts is taken again."""

    store: Store
    opened: Callable[[], DataWindows]
    given: dict[str, list[Values]] = field(default_factory=dict)

    def steps(self, *, withdraw_again: bool) -> Iterator[Callable[[], None]]:
        store = self.store
        first, again = counts(), counts()
        second = pairs(first)
        yield lambda: self.give("counts", first)
        yield lambda: self.give("counts", first)
        yield lambda: self.opened().release(first, HOSTS)
        yield lambda: self.give("pairs", second)
        yield lambda: self.give("counts", again)
        yield lambda: self.opened().release(again, HOSTS)
        yield lambda: self.refuse(lambda: self.opened().release(again, HOSTS[:4]))
        yield lambda: self.give("pairs", second)
        store.next_window()
        third = counts(vocabulary=b"v" * 32)
        yield lambda: self.give("next counts", third)
        yield lambda: self.give("next counts", third)
        del store.viewers.rows[BOB]
        yield self.withdraw
        if withdraw_again:
            yield lambda: self.refuse(lambda: self.opened().check(third))
        yield lambda: self.refuse(lambda: self.give("void", counts(vocabulary=b"v" * 32)))
        yield lambda: self.refuse(lambda: self.opened().check(third))
        yield self.forgotten
        store.next_window()
        yield lambda: self.give("last counts", counts())

    def give(self, what: str, proposal: Proposal) -> None:
        vector = self.store.give(proposal, self.opened())
        self.given.setdefault(what, []).append(vector)

    def withdraw(self) -> None:
        self.opened().withdraw(self.store.viewers.present)

    def refuse(self, step: Callable[[], object]) -> None:
        with pytest.raises(Refusal) as refused:
            step()
        assert refused.value.code is Code.WINDOW_OPEN

    def forgotten(self) -> None:
        assert not list(self.store.folder.rglob("given-*"))
        for kept in self.opened().all():
            assert viewer_tag(kept.seed, BOB) not in kept.viewers


def lived(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, at: int, after: bool, withdraw_again: bool
) -> tuple[Life, list[int]]:
    """Live with a crash at one change of the disk; returns how many there were at the end of each step."""
    journals: list[FailingFiles] = []

    def changes() -> int:
        return sum(journal.changes for journal in journals)

    def journal(directory: Path) -> FailingFiles:
        made = FailingFiles(FileJournal(directory), at=at - changes(), after=after, error=Crash)
        journals.append(made)
        return made

    monkeypatch.setattr("daemon.rounds.data_windows.FileJournal", journal)
    store = Store(folder)

    def opened() -> DataWindows:
        windows = store.open()
        assert not windows.restored, "a crash is no restored backup"
        return windows

    life = Life(store, opened)
    ends = []
    for number, step in enumerate(life.steps(withdraw_again=withdraw_again)):
        try:
            step()
        except Crash:
            if withdraw_again or number != WITHDRAWAL:
                step()
            # Else nobody comes back to it: the next contribution has to find out.
        ends.append(changes())
    return life, ends


WITHDRAWAL = 10
"""The number of the step in which somebody leaves."""


def assert_consistent(life: Life, at: int) -> None:
    assert set(life.given) == {"counts", "pairs", "next counts", "last counts"}, at
    for what, vectors in life.given.items():
        assert all(same(vector, vectors[0]) for vector in vectors), (what, at)


@pytest.mark.parametrize("after", [True, False])
def test_no_crash_gives_a_second_vector_or_brings_back_who_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    _, ends = lived(tmp_path / "whole", monkeypatch, at=-1, after=after, withdraw_again=True)
    assert ends[-1] > 40
    for at in range(ends[-1]):
        life, _ = lived(tmp_path / str(at), monkeypatch, at=at, after=after, withdraw_again=True)
        assert_consistent(life, at)
    assert ends[WITHDRAWAL] - ends[WITHDRAWAL - 1] >= 5
    for at in range(ends[WITHDRAWAL - 1], ends[WITHDRAWAL]):
        life, _ = lived(tmp_path / f"{at}-once", monkeypatch, at=at, after=after, withdraw_again=False)
        assert_consistent(life, at)
