"""When what is due in a group: pure, from the membership, the settings and the time to what should run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
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
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 (compared, not bound)
_HTTPS: Final = 443


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
    if not group.active or group.offered in ("", group.batch):
        return False
    present = window(config, group)
    return present is None or not present.at <= now < present.at + _SENDING


def poll_every(config: Config, group: Membership, failures: int) -> float:
    """Return after how many seconds the host is asked again."""
    usual: float = config.group.poll.total_seconds()
    if failures:
        return min(usual, _FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
    # Whoever was not let in has nothing to wait for within the hour.
    return max(usual, DAY) if group.state in ("refused", "ejected") else usual


def link_again(at: float, now: float, failures: int) -> float:
    """Return after how many seconds a link that ended is made again.

    A new member's key is registered when the sum begins: until then it is refused, and then it is urgent.
    """
    if at <= now < at + _URGENT:
        return _SHORTEST
    pause = min(_LINK_PAUSE * 2.0 ** min(max(failures - 1, 0), 4), _LONGEST)
    return min(pause, max(at - now, _SHORTEST)) if now < at else pause


def announce(config: Config, group: Membership, members: int, last: float, now: float) -> float:
    """Return when the host's next sum is to be, by the schedule; 0 where none is to be announced now.

    `members` counts the host, `last` is when the last sum began (0: never).
    """
    if group.role != "host" or not group.active or group.next_at or not config.schedule.enabled:
        return 0.0
    if members < config.cohort.min_cohort + 1:
        return 0.0
    due = last + config.schedule.session.total_seconds() if last else 0.0
    return max(due, now + config.group.notice.total_seconds())


def after_session(group: Membership, at: float, problem: str) -> Membership:
    """Return the group after the sum that was announced for `at`: nothing is announced any more."""
    return replace(group, next_at=0.0 if group.next_at == at else group.next_at, problem=problem)


def fence_for_members(config: Config, listens: str) -> str:
    """Return `HOST:PORT` under which members reach the fence, which listens at `HOST:PORT`."""
    if config.group.public_url:
        parts = urlsplit(config.group.public_url)
        return f"{parts.hostname}:{parts.port or _HTTPS}"
    host, _, port = listens.rpartition(":")
    if host.strip("[]") in _EVERYWHERE:
        return f"{config.instance.host.partition(':')[0]}:{port}"
    return listens


def fence_for_host(config: Config, listens: str) -> str:
    """Return under which name the host's own instance reaches its fence.

    Under an address of this machine, which is in the certificate that the daemon made; with a certificate of
    the admin's, under the name in that.
    """
    if config.group.certificate:
        return fence_for_members(config, listens)
    return near(listens)


def near(listens: str) -> str:
    """Return under which address this machine reaches its own listener at `HOST:PORT`."""
    host, _, port = listens.rpartition(":")
    return f"127.0.0.1:{port}" if host.strip("[]") in _EVERYWHERE else listens
