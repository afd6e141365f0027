"""From the plugin's JSON to rows, trusting none of it.

A wrong type is a plugin that does not fit this daemon: the whole sync ends. A value that makes no sense may
come from any instance in the federation, which must not be able to stop a sync: the row is left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from daemon.config.types import check_host
from daemon.errors import SourceError
from daemon.store.rows import DailyEffects, EngagementRow, Exclusions, VideoRow

MAX_URL: Final = 2_000
MAX_EXCLUDED: Final = 100_000
MAX_COUNT: Final = 2**53
MAX_TIME: Final = 1e11
NARROWEST: Final = 4
MAX_DAYS: Final = 1_000

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VIEWER = re.compile(r"[0-9a-f]{32}")
_STATE = re.compile(r"[!-~]{1,128}")
_URL = re.compile(r"[!#-;=?-Z\[\]_a-z~]+")  # printable ASCII that a URL may hold as it is (RFC 3986)

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Status:
    """What the plugin says of itself and of how much there is."""

    plugin: str
    peertube: str
    host: str
    name: str
    consent: str
    participants: int
    rates: int
    history: int
    closed: bool


def misfit(what: str) -> SourceError:
    """Error for an answer that is not of the protocol."""
    return SourceError(
        f"the plugin's answer does not fit this daemon: {what}",
        advice="Install the same release of plugin and daemon. The stored data was kept.",
    )


def page(answer: Item, *, limit: int) -> tuple[list[Item], int | None]:
    """Return the items of a page and where the next begins, None after the last.

    Raises:
        SourceError: it is no page, or holds more than was asked for.
    """
    items = _list(answer, "items")
    if len(items) > limit:
        raise misfit(f"a page holds more than the {limit} rows that were asked for")
    for item in items:
        if not isinstance(item, dict):
            raise misfit("a row is not an object")
    if "next" not in answer:
        raise misfit("next is missing")
    if answer["next"] is None:
        return list(items), None
    return list(items), _count(answer, "next")


def status(answer: Item) -> Status:
    """Read the first answer of all.

    Raises:
        SourceError: it does not fit.
    """
    marks = answer.get("marks")
    if not isinstance(marks, dict):
        raise misfit("marks is not an object")
    host = _text(answer, "host")
    if _host(host) is None:
        raise misfit("host is not a host name")
    return Status(
        plugin=_text(answer, "plugin")[:50],
        peertube=_text(answer, "peertube")[:50],
        host=host,
        name=clean(_text(answer, "name", unknown=""))[:200],
        consent=_text(answer, "consent")[:20],
        participants=_count(answer, "participants"),
        rates=_count(marks, "rates"),
        history=_count(marks, "history"),
        # Whatever else it says, or does not: then anybody may see lists.
        closed=answer.get("closed") is True,
    )


def video(item: Item) -> VideoRow | None:
    """Return a video, None where its address or uuid is not one.

    Raises:
        SourceError: a field has another type than the protocol says.
    """
    url, uuid, host = _text(item, "url"), _text(item, "uuid"), _text(item, "host")
    tags = _list(item, "tags")
    if not all(isinstance(tag, str) for tag in tags):
        raise misfit("a tag is not text")
    row = VideoRow(
        url=url,
        uuid=uuid,
        title=clean(_text(item, "title")),
        channel=_address(_text(item, "channel", unknown="")),
        host=address_host(url) or "",
        category=clean(_text(item, "category", unknown="")),
        language=clean(_text(item, "language", unknown="")),
        published=_moment(item, "published"),
        nsfw=_flag(item, "nsfw"),
        views=_count(item, "views"),
        likes=_count(item, "likes"),
        tags=tuple(clean(tag) for tag in tags),
        account=_address(_text(item, "account", unknown="")) if "account" in item else "",
        scope=_scope(item),
        own=_flag(item, "own"),
        stored=_moment(item, "stored"),
    )
    # The address binds the host; one that claims another could stand for somebody else's videos.
    same = row.host.partition(":")[0] == host.lower().partition(":")[0]
    return row if row.host and same and _UUID.fullmatch(uuid) else None


def engagement(item: Item) -> EngagementRow | None:
    """Return an engagement, None where its numbers or its viewer make no sense.

    Raises:
        SourceError: a field has another type than the protocol says.
    """
    viewer, url = _text(item, "viewer"), _text(item, "video")
    liked, disliked = _flag(item, "liked"), _flag(item, "disliked")
    watched, at = _number(item, "watched"), _number(item, "at")
    if not _VIEWER.fullmatch(viewer) or not 0.0 <= watched <= 1.0 or not 0.0 <= at <= MAX_TIME:
        return None
    return EngagementRow(viewer, url, liked=liked, disliked=disliked, watched=watched, at=at)


def participant(item: Item) -> tuple[str, str]:
    """Return a viewer who takes part, and the digest of what the viewer gave.

    Raises:
        SourceError: it is not that; consent is never guessed.
    """
    viewer, state = _text(item, "viewer"), _text(item, "state")
    if not _VIEWER.fullmatch(viewer) or not _STATE.fullmatch(state):
        raise misfit("a participant is not written as agreed")
    return viewer, state


def exclusions(answer: Item) -> Exclusions:
    """Return what must not be suggested; entries that no video can have are left out.

    Raises:
        SourceError: it does not fit.
    """
    found: dict[str, frozenset[str]] = {}
    for key in ("channels", "hosts", "videos"):
        values = _list(answer, key)
        if len(values) > MAX_EXCLUDED or not all(isinstance(value, str) for value in values):
            raise misfit(f"{key} is not a list of texts, or longer than {MAX_EXCLUDED}")
        known = ((_host(v.lower()) or "") if key == "hosts" else _address(v) for v in values)
        found[key] = frozenset(value for value in known if value)
    return Exclusions(found["channels"], found["hosts"], found["videos"])


def effects(answer: Item) -> tuple[bool, list[DailyEffects]]:
    """Return whether every watch page is to show a list of ours, and what was counted, oldest day first.

    Raises:
        SourceError: it does not fit.
    """
    entries = _list(answer, "days")
    if len(entries) > MAX_DAYS:
        raise misfit(f"days has more than {MAX_DAYS} entries")
    days: dict[str, DailyEffects] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            raise misfit("a day is not an object")
        day = _text(entry, "day")
        try:
            usual = date.fromisoformat(day).isoformat() == day
        except ValueError:
            usual = False
        if not usual or day in days:
            raise misfit("a day is not a date, or is there twice")
        days[day] = DailyEffects(
            day=day,
            pages=_count(entry, "pages"),
            explained=_count(entry, "explained"),
            clicked=_count(entry, "clicked"),
            stock_clicked=_count(entry, "stockClicked"),
            hidden=_count(entry, "hidden"),
            filled=_count(entry, "filled"),
            stock=_count(entry, "stock"),
            late=_count(entry, "late"),
        )
    return _flag(answer, "fills"), [days[day] for day in sorted(days)]


def follows(answer: Item) -> tuple[dict[str, float | None], int]:
    """Return the followed hosts on a page of PeerTube's own list, and how many entries the page has.

    Each has since when it is followed, Unix seconds; None where the date is missing or makes no sense.

    Raises:
        SourceError: it does not fit.
    """
    hosts: dict[str, float | None] = {}
    entries = _list(answer, "data")
    for entry in entries:
        target = entry.get("following") if isinstance(entry, dict) else None
        if not isinstance(target, dict):
            raise misfit("an entry of the follow list is not one")
        name, host = _text(target, "name"), _host(_text(target, "host").lower())
        # Channels and accounts can be followed too; only the instance's own actor stands for all of it.
        if name == "peertube" and host is not None and entry.get("state", "accepted") == "accepted":
            hosts[host] = _date(entry.get("createdAt"))
    return hosts, len(entries)


def address_host(url: str) -> str | None:
    """Return host (and port) of a web address as PeerTube writes them, None for anything else."""
    if not 0 < len(url) <= MAX_URL or not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises where it is not a number)
    except ValueError:
        return None
    usual = url.startswith(("https://", "http://")) and "@" not in parts.netloc and not parts.fragment
    return _host(parts.netloc) if usual and len(parts.path) >= 2 else None


def clean(text: str) -> str:
    """Return text that can be stored: without NUL, and with replacements for lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _address(text: str) -> str:
    return text if address_host(text) is not None else ""


def _host(text: str) -> str | None:
    try:
        return text if check_host(text) == text else None
    except ValueError:
        return None


def _date(text: object) -> float | None:
    """Return a date as PeerTube's API writes it (ISO 8601 with a time zone) in Unix seconds."""
    try:
        date = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return date.timestamp() if date is not None and date.tzinfo is not None else None


def _scope(item: Item) -> int:
    """Return the owner's scope; what a newer PeerTube may add counts as the narrowest."""
    if item.get("scope") is None:
        return 1
    scope = _count(item, "scope")
    return scope if 1 <= scope <= NARROWEST else NARROWEST


def _moment(item: Item, key: str) -> float | None:
    """Return Unix seconds; None where they are unknown, or so far away that no clock shows them."""
    if item.get(key) is None:
        return None
    seconds = _number(item, key)
    return seconds if abs(seconds) <= MAX_TIME else None


def _text(item: Item, key: str, *, unknown: str | None = None) -> str:
    value = item.get(key)
    if value is None and unknown is not None:
        return unknown
    if not isinstance(value, str):
        raise misfit(f"{key} is not text")
    return value


def _flag(item: Item, key: str) -> bool:
    value = item.get(key)
    if not isinstance(value, bool):
        raise misfit(f"{key} is neither true nor false")
    return value


def _count(item: Item, key: str) -> int:
    value = item.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise misfit(f"{key} is not a whole number")
    return max(0, min(value, MAX_COUNT))


def _number(item: Item, key: str) -> float:
    value = item.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise misfit(f"{key} is not a number")
    # Whole numbers of any length are JSON; nan and the like become what no check lets through.
    return float(value) if abs(value) <= MAX_COUNT else float("inf")


def _list(item: Item, key: str) -> Sequence[Any]:
    value = item.get(key)
    if not isinstance(value, list):
        raise misfit(f"{key} is not a list")
    return value
