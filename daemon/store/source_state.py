"""What the source says of itself: up to where it was read, what must not be suggested, whom it follows."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from daemon.store import effects, viewer_numbers
from daemon.store.engine import reads, writes
from daemon.store.rows import Exclusions, SourceFacts
from daemon.store.tables import Exclusion, FollowedHost, SourceRecord, Viewer
from daemon.store.videos import note_public_since

_CHANNEL, _HOST, _VIDEO = "channel", "host", "video"


@dataclass(frozen=True)
class StoredSource:
    """The last sync in numbers; times in Unix seconds, `checked` is None before the first check.

    `participants` take part at the source; `viewers` of them are stored, because they engaged with something.
    `closed` and `fills_lists` are as in `daemon.store.rows.SourceFacts`; `closed` is false unless the source
    said so lately.
    """

    kind: str
    rates: int
    history: int
    participants: int
    viewers: int
    follows: int
    synced: float
    checked: float | None
    closed: bool
    fills_lists: bool


def write(connection: Connection, facts: SourceFacts, *, now: float, participants: int) -> None:
    """Replace everything known of the source, in the caller's transaction, where its videos are by now."""
    last = _last(connection)
    connection.execute(delete(SourceRecord))
    record = {
        "id": 1,
        "kind": facts.kind,
        "rates": facts.rates,
        "history": facts.history,
        "participants": participants,
        "synced": now,
        "checked": None,
        "closed": facts.closed,
        "fills_lists": facts.fills_lists,
    }
    connection.execute(insert(SourceRecord), record)
    viewer_numbers.note(connection, now=now, viewers=participants)
    effects.replace(connection, facts.effects)
    write_exclusions(connection, facts.exclusions)
    connection.execute(delete(FollowedHost))
    first = last is None or last.kind != facts.kind
    note_public_since(connection, now=_not_before(last, now), first=first)
    if facts.follows:
        rows = [{"host": host, "since": since} for host, since in sorted(facts.follows.items())]
        connection.execute(insert(FollowedHost), rows)


def write_exclusions(connection: Connection, exclusions: Exclusions) -> bool:
    """Replace the exclusions, inside the caller's transaction; tells whether they changed."""
    if _read_exclusions(connection) == exclusions:
        return False
    connection.execute(delete(Exclusion))
    rows = [
        {"kind": kind, "value": value}
        for kind, values in (
            (_CHANNEL, exclusions.channels),
            (_HOST, exclusions.hosts),
            (_VIDEO, exclusions.videos),
        )
        for value in sorted(values)
    ]
    if rows:
        connection.execute(insert(Exclusion), rows)
    return True


def checked(engine: Engine, exclusions: Exclusions, *, now: float, participants: int, closed: bool) -> bool:
    """Record a check of the source; tells whether the exclusions changed."""
    with writes(engine) as connection:
        connection.execute(update(SourceRecord).values(checked=now, participants=participants, closed=closed))
        viewer_numbers.note(connection, now=now, viewers=participants)
        changed = write_exclusions(connection, exclusions)
        if changed:
            note_public_since(connection, now=_not_before(_last(connection), now))
        return changed


def not_checked(engine: Engine, *, before: float) -> None:
    """Take for open what was last seen before a moment (Unix seconds); after a check, whatever came of it."""
    seen = func.max(SourceRecord.synced, func.coalesce(SourceRecord.checked, 0.0))
    with writes(engine) as connection:
        connection.execute(update(SourceRecord).where(seen < before).values(closed=False))


def read(engine: Engine) -> StoredSource | None:
    """Return what is known of the source, None before the first sync."""
    with reads(engine) as connection:
        row = connection.execute(select(SourceRecord.__table__)).mappings().first()
        if row is None:
            return None
        viewers = connection.execute(select(func.count()).select_from(Viewer)).scalar() or 0
        follows = connection.execute(select(func.count()).select_from(FollowedHost)).scalar() or 0
    known = {key: value for key, value in row.items() if key != "id"}
    return StoredSource(**known, viewers=viewers, follows=follows)


def exclusions(engine: Engine) -> Exclusions:
    """Return what must not be suggested."""
    with reads(engine) as connection:
        return _read_exclusions(connection)


def follows(engine: Engine) -> list[str]:
    """Return the hosts that the instance follows, sorted."""
    with reads(engine) as connection:
        return list(connection.execute(select(FollowedHost.host).order_by(FollowedHost.host)).scalars())


def _last(connection: Connection) -> Row[str, float] | None:
    return connection.execute(select(SourceRecord.kind, SourceRecord.synced)).first()


def _not_before(last: Row[str, float] | None, now: float) -> float:
    """Return the time of a sync: a clock that was set back since the last one makes no video older."""
    return now if last is None else max(now, last.synced)


def followed_since(engine: Engine) -> dict[str, float | None]:
    """Return since when the instance follows each host, Unix seconds; None where that is not known."""
    query = select(FollowedHost.host, FollowedHost.since)
    with reads(engine) as connection:
        return {str(host): since for host, since in connection.execute(query)}


def _read_exclusions(connection: Connection) -> Exclusions:
    found: dict[str, set[str]] = {_CHANNEL: set(), _HOST: set(), _VIDEO: set()}
    for kind, value in connection.execute(select(Exclusion.kind, Exclusion.value)):
        found[kind].add(value)
    return Exclusions(frozenset(found[_CHANNEL]), frozenset(found[_HOST]), frozenset(found[_VIDEO]))
