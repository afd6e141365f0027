"""What members keep of what they gave, read between attempts: nobody may give twice in one data window."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from daemon.identity import open_identity
from daemon.lab.demo.processes import Daemon
from daemon.rounds.data_windows import DataWindows, open_windows
from daemon.store import activity, releases
from policies.window import Window


@dataclass(frozen=True)
class Given:
    """A data window of a member, from which its vector left for an aggregator.

    `window` names it; `opened`, `ends` and `left`, when the vector first did, are Unix seconds. `frozen` is
    the SHA-256 of the vector that it keeps sealed now, `released` that of each vector on record for this
    window; `survivors` are the sets for which the member revealed shares.
    """

    member: str
    window: str
    opened: float
    ends: float
    left: float
    frozen: str
    released: tuple[str, ...]
    survivors: frozenset[tuple[str, ...]]


def window_of(member: Daemon, aggregator: str) -> Window | None:
    """Return a member's data window for an aggregator; None before it was first asked."""
    kept = _windows_of(member).read(aggregator)
    return None if kept is None else kept.window


def given_by(member: Daemon, aggregator: str) -> Given | None:
    """Return what a member keeps of its last vector for an aggregator; None before the first."""
    windows = _windows_of(member)
    kept, frozen = windows.read(aggregator), windows.frozen(aggregator)
    if kept is None or frozen is None or not kept.window.left:
        return None
    window = kept.window
    recorded = {
        tuple(one.survivors)
        for one in activity.rounds(member.engine)
        if one.role == "member" and one.aggregator == aggregator and one.started >= window.opened
    }
    on_record = [one for one in releases.since(member.engine, 0.0) if one.window == kept.id]
    return Given(
        member=member.host,
        window=kept.id,
        opened=window.opened,
        ends=window.ends,
        left=min((one.at for one in on_record), default=0.0),
        frozen=hashlib.sha256(frozen).hexdigest(),
        released=tuple(one.vector_sha256 for one in on_record),
        survivors=frozenset(found for found in {*recorded, window.survivors} if found),
    )


def _windows_of(member: Daemon) -> DataWindows:
    config = member.config
    identity = open_identity(config.identity_file, config.instance.host)
    return open_windows(config, identity, member.engine, lambda: 0.0)


@dataclass
class Witness:
    """Compares what the members of one aggregator gave with all that was seen of them before."""

    _last: dict[str, Given] = field(default_factory=dict)

    def look(self, found: Iterable[Given], *, since: float) -> list[str]:
        """Return in words where somebody gave twice; `since` is when the round began, Unix seconds."""
        present = sorted(found, key=lambda one: one.member)
        wrong = [sentence for one in present for sentence in self._compared(one)]
        sets = {found for one in present if one.left >= since for found in one.survivors}
        if len(sets) > 1:
            wrong.append(f"shares were revealed for several sets of survivors: {_told(sorted(sets))}")
        self._last |= {one.member: one for one in present}
        return wrong

    def _compared(self, now: Given) -> list[str]:
        wrong = []
        if now.released != (now.frozen,):
            wrong.append(f"{now.member} keeps another vector than the one that it has on record")
        before = self._last.get(now.member)
        if before is None:
            return wrong
        if now.window != before.window and now.opened < before.ends:
            wrong.append(f"{now.member} opened a data window before the last one was over")
        if now.window == before.window and now.frozen != before.frozen:
            wrong.append(f"{now.member} gave a second vector in one data window")
        return wrong


def _told(sets: Sequence[tuple[str, ...]]) -> str:
    return " / ".join(", ".join(hosts) for hosts in sets)
