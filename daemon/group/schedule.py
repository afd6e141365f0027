"""What is due in a group: from its row, the settings and the time to what should run. No clock and no IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from daemon.config import Config
from daemon.group.repository import Membership

DAY: Final = 86400.0
LINGER: Final = 30.0
"""Seconds that a member stays connected after it took the published sum: its answer has to arrive."""
READY: Final = 15.0
"""Seconds before the announced time at which the host's job begins: it loads, and opens the run."""
_SENDING: Final = 60.0
"""Seconds of an announced sum in which what is published is sent to who is connected, most likely."""
_FIRST_PAUSE: Final = 60.0
_SHORTEST: Final = 2.0
_LINK_PAUSE: Final = 20.0
_LONGEST: Final = 120.0
_URGENT: Final = 60.0
_JITTER: Final = 0.1
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 (compared, not bound)
_HTTPS: Final = 443


Task = Literal["announce", "hosting", "housekeeping", "learn", "link", "missed", "nodes", "poll", "sum"]
_PAUSES: Final[Mapping[Task, float]] = {"hosting": 30.0, "housekeeping": 3600.0, "nodes": 2.0}
"""Seconds between the end of a task and its next beginning, however it ended."""
_AFTER_FAILURE: Final[Mapping[Task, float]] = {"learn": 600.0}
_AFTER_OTHER_FAILURES: Final = 30.0


@dataclass
class GroupSchedule:
    """Says what is due in one group. What it remembers between two looks may be lost.

    So it says the same after a restart, and what an admin decides by command holds from the next look on.
    """

    config: Config
    _decided: tuple[Any, ...] = ()
    _near: bool = False
    _poll_at: float = 0.0
    _poll_failures: int = 0
    _link_to: tuple[Any, ...] = ()
    _link_failures: int = 0
    _run_before: str = ""
    _taken_at: float = 0.0
    _not_before: dict[Task, float] = field(default_factory=dict)

    def due(
        self, group: Membership, now: float, *, listens: str, outdated: bool, unlearnt: bool, summing: bool
    ) -> tuple[set[Task], set[Task]]:
        """Return which tasks should end, and which should then begin unless they run.

        `listens` is `HOST:PORT` of the hosted group's listener for members, empty until it is ready. The rest
        tells whether the SuperLink does not know yet who came or went, something was published that has not
        been learnt yet, and a sum is being taken.
        """
        present = window(self.config, group)
        wanted: set[Task] = set()
        if group.role == "member" and self._poll_due(group, present, now):
            wanted.add("poll")
        if group.role == "host" and group.active:
            wanted |= {"hosting", "housekeeping"}
            if listens and outdated:
                # At once, and not when the sum begins: members come to be connected before.
                wanted.add("nodes")
            if present is None:
                wanted.add("announce")
            elif now >= present.until and not summing:
                wanted.add("missed")
            elif now >= present.at - READY and listens:
                wanted.add("sum")
        if unlearnt or missed(self.config, group, now):
            wanted.add("learn")
        ended_first = self._redirect(group, present, listens)
        if self._link_due(group, present, now):
            wanted.add("link")
        kept: set[Task] = {"hosting", "link"} if group.role == "host" else {"hosting", "link", "sum"}
        begin = {task for task in wanted if now >= self._not_before.get(task, 0.0)}
        return (kept - wanted) | ended_first, begin

    def _poll_due(self, group: Membership, present: Window | None, now: float) -> bool:
        near = present is not None and present.holds(now)
        # At once after an admin's decision, and as a sum comes near or is over: it may have been moved.
        if (_decision(group), near) != (self._decided, self._near):
            self._decided, self._near = _decision(group), near
            self._poll_at, self._poll_failures = now, 0
        return now >= self._poll_at

    def polled(self, before: Membership, after: Membership | None, now: float, jitter: float) -> None:
        """Note whether the host answered; `jitter` is drawn from [-1, 1]."""
        heard = after is None or after.polled != before.polled
        self._poll_failures = 0 if heard else self._poll_failures + 1
        if after is not None:
            pause = poll_every(self.config, after, self._poll_failures)
            self._poll_at = now + pause * (1 + jitter * _JITTER)
            # What the host changed is no decision of ours, to be told at once.
            self._decided = _decision(after)

    def _redirect(self, group: Membership, present: Window | None, listens: str) -> set[Task]:
        """Note where to connect, and for which sum; a link to elsewhere has to end."""
        proxy = group.proxy
        if group.role == "host":
            proxy = listens and proxy_for_host(self.config, listens)
        to = (proxy, group.ca, group.next_at, group.poll_ms) if present is not None and proxy else ()
        if to == self._link_to:
            return set()
        self._link_to, self._link_failures = to, 0
        self._run_before, self._taken_at = group.run, 0.0
        self._not_before.pop("link", None)
        return {"link"}

    def _link_due(self, group: Membership, present: Window | None, now: float) -> bool:
        if group.run != self._run_before and not self._taken_at:
            self._taken_at = now
        over = bool(self._taken_at) and now >= self._taken_at + LINGER
        return present is not None and bool(self._link_to) and present.holds(now) and not over

    @property
    def proxy(self) -> str:
        """The host's reverse proxy, `HOST:PORT`, to connect to; empty: none."""
        return str(self._link_to[0]) if self._link_to else ""

    def link_up(self) -> None:
        """Note that the link is up."""
        self._link_failures = 0

    def ended(self, task: Task, group: Membership, now: float, *, ok: bool) -> None:
        """Note that a task ended by itself, and whether it succeeded."""
        if task == "link":
            self._link_failures += 1
            pause = link_again(group.next_at, now, self._link_failures)
        else:
            failed = 0.0 if ok else _AFTER_FAILURE.get(task, _AFTER_OTHER_FAILURES)
            pause = _PAUSES.get(task, failed)
        self._not_before[task] = now + pause


def _decision(group: Membership) -> tuple[Any, ...]:
    return group.group, group.host, group.url, group.since, group.state


@dataclass(frozen=True)
class Window:
    """When a member is connected for an announced sum, Unix seconds."""

    start: float
    at: float
    until: float

    def holds(self, now: float) -> bool:
        """Tell whether it is that time."""
        return self.start <= now < self.until


def window(config: Config, group: Membership) -> Window | None:
    """Return when this instance is to be connected, None while nothing is announced or it is no member."""
    if not group.active or not group.next_at:
        return None
    lead, stay = config.group.lead.total_seconds(), config.group.stay.total_seconds()
    return Window(group.next_at - lead, group.next_at, group.next_at + stay)


def missed(config: Config, group: Membership, now: float) -> bool:
    """Tell whether the host published a sum that was not sent here, and will not be: fetch it, then."""
    if not group.active or group.offered in ("", group.run):
        return False
    present = window(config, group)
    return present is None or not present.at <= now < present.at + _SENDING


def poll_every(config: Config, group: Membership, failures: int) -> float:
    """Return after how many seconds the host is asked again."""
    usual: float = config.group.poll.total_seconds()
    if failures:
        return min(usual, _FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
    # An instance that was not admitted has nothing to wait for within the hour.
    return max(usual, DAY) if group.state in ("refused", "ejected") else usual


def link_again(at: float, now: float, failures: int) -> float:
    """Return after how many seconds a link that ended is made again.

    A new member's key is registered when the sum begins: until then it is refused, and then it is urgent.
    """
    if at <= now < at + _URGENT:
        return _SHORTEST
    pause = min(_LINK_PAUSE * 2.0 ** min(max(failures - 1, 0), 4), _LONGEST)
    return min(pause, max(at - now, _SHORTEST)) if now < at else pause


def announce(config: Config, group: Membership, members: int, due: float, now: float) -> float:
    """Return when the host's next round is to be; 0 where none is to be announced now.

    `members` counts the host, `due` is from when on its data window allows one (0: now).
    """
    if group.role != "host" or not group.active or group.next_at or not config.schedule.enabled:
        return 0.0
    if members < config.cohort.min_cohort + 1:
        return 0.0
    return max(due, now + config.group.notice.total_seconds())


def after_round(group: Membership, at: float, problem: str) -> Membership:
    """Return the group after the sum that was announced for `at`: nothing is announced any more."""
    return replace(group, next_at=0.0 if group.next_at == at else group.next_at, problem=problem)


def proxy_for_members(config: Config, listens: str) -> str:
    """Return `HOST:PORT` under which members reach the reverse proxy, which listens at `HOST:PORT`."""
    if config.group.public_url:
        parts = urlsplit(config.group.public_url)
        return f"{parts.hostname}:{parts.port or _HTTPS}"
    host, _, port = listens.rpartition(":")
    if host.strip("[]") in _EVERYWHERE:
        return f"{config.instance.host.partition(':')[0]}:{port}"
    return listens


def proxy_for_host(config: Config, listens: str) -> str:
    """Return under which name the host's instance reaches its reverse proxy.

    Under an address of this machine, which is in the certificate that the daemon made; with a certificate of
    the admin's, under the name in that.
    """
    if config.group.certificate:
        return proxy_for_members(config, listens)
    return near(listens)


def near(listens: str) -> str:
    """Return under which address this machine reaches its own listener at `HOST:PORT`."""
    host, _, port = listens.rpartition(":")
    return f"127.0.0.1:{port}" if host.strip("[]") in _EVERYWHERE else listens
