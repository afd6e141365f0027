"""The page of `shoal share show`: what is in a report, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from daemon.cli.prose import heading, paragraph
from daemon.cli.sessions import size
from daemon.cli.terminal import out, table
from daemon.disclosure.formatting import day, plural
from daemon.disclosure.share_report import SharedVideo, ShareReport
from daemon.disclosure.windows import FrozenVector, WindowView
from daemon.store.releases import ReleaseRecord

_ID = 12
_DIGEST = 16
"""Digits of a hash where the whole of it is not asked for."""
_LEFT = 10
"""Vectors of the past that are listed."""
_SENDS = "contribute"


def show(share: ShareReport, videos: int) -> None:
    """Print it all, with so many videos."""
    _next(share, videos)
    heading("What each rule says")
    for verdict in share.verdicts:
        mark = "allows " if verdict.allowed else "REFUSES"
        paragraph(f"{mark}  {verdict.policy}: {verdict.sentence}", hanging=9, bold=not verdict.allowed)
        paragraph(verdict.reason, indent=11)
    _windows(share)
    _left(share)
    _traffic(share)


def session(share: ShareReport, session_id: str, left: Sequence[ReleaseRecord], videos: int) -> None:
    """Print what left in one session, with so many videos where their numbers are still kept."""
    heading(f"What left in session {session_id[:_ID]}")
    if not left:
        paragraph("Nothing of this instance's viewers left in it for the first time.")
        return
    for record in sorted(left, key=lambda one: one.round):
        _record(share, record, whole=True)
    window = next((one for one in share.windows if one.id == left[0].window), None)
    if window is None or not window.numbers:
        paragraph(
            "The numbers themselves are kept until the data window ends, or until somebody in it leaves."
        )
        return
    _videos(islice(share.everything(), videos), [window])
    paragraph(f"All of them: shoal share export FILE; pairs: --pairs {window.aggregator}", indent=0)


def _next(share: ShareReport, videos: int) -> None:
    config, entries = share.config, len(share.vocabulary)
    heading(f"{config.instance.host}: what would leave next")
    if config.mode != _SENDS:
        paragraph(f'Nothing: the mode is "{config.mode}". With mode = "{_SENDS}" it would be this.')
    hosts = ", ".join(share.next_sum.hosts[:_LEFT]) or "nobody, since no peer is approved"
    group = f", the host of the group {share.next_sum.group}" if share.next_sum.group else ""
    paragraph(f"Who may ask for a sum: {hosts}{group}.")
    if group:
        others = [host for host in share.next_sum.members if host != config.instance.host]
        named = f"{', '.join(others[:_LEFT])}{' and others' if len(others) > _LEFT else ''}" or "nobody"
        until = (
            "" if share.next_sum.drawn == "epoch" else ", or with some of them, as is drawn before the sum"
        )
        paragraph(f"It would be summed with {named}{until}.")
    head = min(config.model.max_head, entries)
    pairs = head * (head - 1) // 2
    who = "it" if group else "each of them"
    paragraph(
        f"What {who} would get, for a sum over {plural(entries, 'public video')} of this instance: "
        f"how many of {plural(share.users, 'viewer')} engaged with each ({size(4 * entries)}); then, with "
        f"each pair of the most watched ones of all members, at most {plural(pairs, 'number')} "
        f"({size(4 * pairs)}). Noise is added and the result masked: only the sum can be read."
    )
    paragraph(
        "The noise is drawn when somebody asks and then kept for a data window, so the vectors that leave "
        "have a hash from then on. Numbers of viewers below are exact, for your eyes only."
    )
    if share.total and videos:
        out.print()
        _videos(islice(share.videos(), videos), share.windows)
        if share.total > videos:
            paragraph(f"and {share.total - videos:,} more: shoal share export FILE", indent=0)


def _videos(found: Iterable[SharedVideo], windows: Iterable[WindowView]) -> None:
    hosts = [window.aggregator for window in windows if window.numbers]
    # More columns than these leave no room for titles.
    named = hosts[: max(1, (out.width - 50) // 16)]
    columns = ["VIEWERS", *(f"GIVEN TO {host}" for host in named)]
    rows = [
        (video.users, *(video.given.get(host, "") for host in named), video.title or video.url)
        for video in found
    ]
    table([*columns, "VIDEO"], rows, right=columns)


def _windows(share: ShareReport) -> None:
    heading("What aggregators have in the present data window")
    if not share.windows:
        paragraph("Nobody has anything.")
    for window in share.windows:
        ours = window.aggregator == share.config.instance.host
        name = f"{window.aggregator} (this instance; members of our own sums see the totals)"
        paragraph(name if ours else window.aggregator, bold=True)
        paragraph(_state(window), indent=4)
        for vector in window.vectors:
            paragraph(f"{_vector(vector)}, sha256", indent=4)
            paragraph(vector.sha256, indent=4)


def _state(window: WindowView) -> str:
    until = day(window.ends)
    return {
        "open": f"Asked again, it gets the same until {until}.",
        "over": f"It ended on {until}; asked again, it gets a fresh vector if enough viewers changed.",
        "void": f"A viewer in it left, so nothing more is given until {until}; it is deleted here.",
        "served": f"A backup was restored, so it counts as served; nothing is given until {until}.",
    }[window.state]


def _vector(vector: FrozenVector) -> str:
    if vector.round == 0:
        return f"Counts of {plural(vector.entries, 'video')}, {size(vector.bytes)}"
    of = "" if vector.videos is None else f" among {plural(vector.videos, 'video')}"
    return f"{plural(vector.entries, 'pair')}{of}, {size(vector.bytes)}"


def _left(share: ShareReport) -> None:
    heading("What has left")
    if not share.left:
        paragraph("Nothing, ever.")
        return
    for record in share.left[:_LEFT]:
        _record(share, record)
    if len(share.left) > _LEFT:
        paragraph(
            f"and {len(share.left) - _LEFT:,} older; all of them: shoal share export FILE.json", indent=0
        )


def _record(share: ShareReport, record: ReleaseRecord, *, whole: bool = False) -> None:
    videos = plural(record.videos, "video")
    what = f"counts of {videos}" if record.round == 0 else f"pairs of a head of {videos}"
    paragraph(f"{day(record.at)}  {what} to {record.aggregator}", hanging=2)
    digest = record.vector_sha256 or "not known: it left before hashes were kept"
    if not whole:
        shown = digest[:_DIGEST] if record.vector_sha256 else digest
        paragraph(f"session {record.session_id[:_ID]}, {size(record.bytes)}, sha256 {shown}", indent=4)
        return
    ends = share.window_ends(record)
    paragraph(
        f"Asked again, it gets the same until {day(ends)}." if ends else "Its window is over.", indent=4
    )
    paragraph(f"{size(record.bytes)}, sha256", indent=4)
    paragraph(digest, indent=4)


def _traffic(share: ShareReport) -> None:
    month = share.traffic[0].month if share.traffic else ""
    heading(f"Bytes exchanged in {month}" if month else "Bytes exchanged")
    rows = [(one.peer, size(one.sent), size(one.received)) for one in share.traffic if one.month == month]
    if not rows:
        paragraph("None in the past year.")
        return
    table(["PEER", "SENT", "RECEIVED"], rows, right=("SENT", "RECEIVED"))
