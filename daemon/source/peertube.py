"""A PeerTube instance as a source: its plugin's pages, read in an order that keeps withdrawals safe.

First the marks, the highest row numbers; then the videos; then who takes part; then the engagements up to the
marks; and at the very end who takes part once more. Kept is only who stood in both lists with the same
digest: rows that were deleted while we read cannot slip in.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from daemon.config import PeerTubeSource
from daemon.errors import SourceError
from daemon.source import peertube_rows as rows
from daemon.source.peertube_client import KEPT, ExportClient, Pace
from daemon.source.plugin_probe import Outcome, probe_now
from daemon.store.rows import EngagementRow, Exclusions, SourceFacts, VideoRow

KIND: Final = "peertube"
MAX_PAGES: Final = 20_000
MAX_FOLLOWS: Final = 10_000
FOLLOWS_PAGE: Final = 100


@contextmanager
def open_client(settings: PeerTubeSource) -> Iterator[ExportClient]:
    """Connect as the settings say.

    Raises:
        SourceError: what the block could not read; where the probe knows why, with its sentence.
    """
    secret = settings.secret.get_secret_value()
    try:
        with ExportClient(settings.url, secret, Pace(settings.requests_per_second)) as client:
            yield client
    except SourceError:
        # A page that is missing may mean another secret, no plugin, or one that did not start.
        found = probe_now(settings.url, secret)
        if found.outcome in {Outcome.OK, Outcome.CLOCK}:
            raise
        raise SourceError(found.message, advice=f"{found.advice} {KEPT}") from None


class PeerTubeExport:
    """A `Source` over the plugin's export pages."""

    def __init__(self, client: ExportClient, *, page: int = 1_000) -> None:
        self._client = client
        self._page = page
        self._status: rows.Status | None = None
        self._before: dict[str, str] = {}
        self._participants = 0
        self.left_out = 0

    @property
    def status(self) -> rows.Status:
        """What the plugin said at the beginning; the marks hold for everything that is read after."""
        if self._status is None:
            self._status = rows.status(self._client.export("status"))
        return self._status

    @property
    def participants(self) -> int:
        """How many viewers take part, as far as they were listed."""
        return self._participants

    def videos(self) -> Iterator[tuple[float, Sequence[VideoRow]]]:
        """Yield pages of public videos; those whose address makes no sense are counted in `left_out`."""
        self.status  # noqa: B018 (the marks come first)
        for number, (_, items) in enumerate(self._pages("videos"), 1):
            found = [rows.video(item) for item in items]
            kept = [video for video in found if video is not None]
            self.left_out += len(found) - len(kept)
            # How many there will be is not known beforehand.
            yield number / (number + 20), kept

    def engagements(self) -> Iterator[tuple[float, Sequence[EngagementRow]]]:
        """Yield pages of what participants did, up to the marks."""
        marks = {"rates": self.status.rates, "history": self.status.history}
        self._before = self._who_takes_part()
        total = sum(marks.values())
        done = 0
        for kind, mark in marks.items():
            if mark == 0:
                continue
            for last, items in self._pages("engagements", kind=kind, upto=mark):
                found = [rows.engagement(item) for item in items]
                kept = [row for row in found if row is not None and row.viewer in self._before]
                self.left_out += len(found) - len(kept)
                yield min(1.0, (done + min(last or mark, mark)) / total), kept
            done += mark

    def confirmed(self) -> Mapping[str, str]:
        """Return who still takes part with everything that was read, and the digest of it."""
        now = self._who_takes_part()
        return {viewer: state for viewer, state in now.items() if self._before.get(viewer) == state}

    def facts(self) -> SourceFacts:
        """Return marks, exclusions, follows, and what suggestions achieved."""
        fills_lists, effects = rows.effects(self._client.export("effects"))
        return SourceFacts(
            KIND,
            rates=self.status.rates,
            history=self.status.history,
            closed=read_closed(self._client),
            exclusions=read_exclusions(self._client),
            follows=read_follows(self._client),
            fills_lists=fills_lists,
            effects=effects,
        )

    def _who_takes_part(self) -> dict[str, str]:
        found = read_participants(
            self._client, rates=self.status.rates, history=self.status.history, page=self._page
        )
        self._participants = len(found)
        return found

    def _pages(self, route: str, **parameters: int | str) -> Iterator[tuple[int | None, Sequence[rows.Item]]]:
        return read_pages(self._client, route, self._page, **parameters)


def read_pages(
    client: ExportClient, route: str, limit: int, **parameters: int | str
) -> Iterator[tuple[int | None, Sequence[rows.Item]]]:
    """Yield every page of a listing with the number at which the next begins, which may be in any order.

    Raises:
        SourceError: a page is not one, or they never end.
    """
    after: int | None = 0
    seen = {0}
    while after is not None:
        answer = client.export(route, after=after, limit=limit, **parameters)
        items, after = rows.page(answer, limit=limit)
        if after in seen:
            raise rows.misfit(f"the pages of {route} lead in a circle")
        if len(seen) == MAX_PAGES:
            raise rows.misfit(f"{route} has more than {MAX_PAGES} pages")
        yield after, items
        if after is not None:
            seen.add(after)


def read_participants(client: ExportClient, *, rates: int, history: int, page: int) -> dict[str, str]:
    """Return every viewer who takes part, with the digest of the rows up to the marks.

    Raises:
        SourceError: the list cannot be read to its end.
    """
    found: dict[str, str] = {}
    for _, items in read_pages(client, "participants", page, rates=rates, history=history):
        for item in items:
            viewer, state = rows.participant(item)
            if viewer in found:
                raise rows.misfit("a participant is listed twice")
            found[viewer] = state
    return found


def read_closed(client: ExportClient) -> bool:
    """Tell whether members alone see lists, and nobody can become one by registering; not if it is not said.

    A plugin that cannot tell must not keep viewers from withdrawing, so no answer is an answer here.
    """
    try:
        return rows.status(client.export("status")).closed
    except SourceError:
        return False


def read_exclusions(client: ExportClient) -> Exclusions:
    """Return what admin and owners keep out of suggestions.

    Raises:
        SourceError: the list cannot be read.
    """
    return rows.exclusions(client.export("exclusions"))


def read_follows(client: ExportClient) -> dict[str, float | None]:
    """Return the hosts that the instance follows, each with since when (Unix seconds), None if not known.

    Raises:
        SourceError: the list cannot be read.
    """
    hosts: dict[str, float | None] = {}
    for start in range(0, MAX_FOLLOWS, FOLLOWS_PAGE):
        answer = client.public(
            "/api/v1/server/following",
            start=start,
            count=FOLLOWS_PAGE,
            state="accepted",
            actorType="Application",
        )
        found, entries = rows.follows(answer)
        hosts |= found
        if entries < FOLLOWS_PAGE:
            break
    return hosts
