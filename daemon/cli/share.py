"""`shoal share`: what exactly would leave, what has left, and both as a file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.sessions import session_id
from daemon.cli.terminal import bytes_of, count, heading, line, out, paragraph, prose, result, table, utc
from daemon.disclosure import share_export
from daemon.disclosure.data_kinds import DATA_KINDS
from daemon.disclosure.share_report import SharedVideo, ShareReport, gather
from daemon.disclosure.windows import FrozenVector, WindowView, frozen_pairs
from daemon.errors import RequestError
from daemon.store.releases import ReleaseRecord

app = Commands()

_ID = 12
_DIGEST = 16
"""Digits of a hash where the whole of it is not asked for."""
_LEFT = 10
"""Vectors of the past that are listed."""
_SENDS = "contribute"


@app.command()
def show(
    instance: InstanceOption = HERE,
    *,
    session: Annotated[
        str, typer.Option(help="Only what left in this session: its id, or its first characters.")
    ] = "",
    videos: Annotated[int, typer.Option(min=0, max=1000, help="How many videos to list.")] = 10,
) -> None:
    """Show what would leave next, what each rule says to it, and what has left. Nothing is sent."""
    share = gather(instance.config, instance.store, time.time())
    if not session:
        result(share.as_json(most=videos), lambda: _show(share, videos))
        return
    found = session_id(instance, session)
    left = [one for one in share.left if one.session_id == found]
    as_json = [one for one in share.as_json()["left"] if one["session"] == found]
    result({"session": found, "left": as_json}, lambda: _show_session(share, found, left, videos))


@app.command()
def export(
    destination: Annotated[
        Path, typer.Argument(help="New file: .csv with one line per video, or .json with everything.")
    ],
    instance: InstanceOption = HERE,
    *,
    pairs: Annotated[
        str, typer.Option(metavar="HOST", help="Write the pairs that this aggregator has (.csv).")
    ] = "",
) -> None:
    """Write every video, its viewers, and the number that each aggregator has of it."""
    what = "pairs" if pairs else "videos"
    if pairs:
        number = _write_pairs(instance, pairs, destination)
    else:
        number = share_export.write(gather(instance.config, instance.store, time.time()), destination)
    result(
        {"file": str(destination), what: number},
        lambda: line(f"Wrote {count(number, what[:-1])} to {destination}."),
    )


@app.command()
def kinds(_instance: InstanceOption = HERE) -> None:
    """List the kinds of data that leave an instance, and who gets them. They are the same for all."""
    found: list[Any] = [kind.as_json() for kind in DATA_KINDS]

    def show() -> None:
        for kind in DATA_KINDS:
            heading(f"{kind.name}, to {kind.to}")
            paragraph(f"{kind.sentence[:1].upper()}{kind.sentence[1:]}")

    result(found, show)


def _write_pairs(instance: Instance, host: str, destination: Path) -> int:
    found = frozen_pairs(instance.config, instance.store, host, time.time())
    if found is None:
        raise RequestError(
            f"{host} has no pairs in its present data window",
            advice="See what each aggregator has: shoal share show",
        )
    return share_export.write_pairs(destination, *found)


# What people see.


def _show(share: ShareReport, videos: int) -> None:
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


def _show_session(share: ShareReport, name: str, left: Sequence[ReleaseRecord], videos: int) -> None:
    """Print what left in one session, with so many videos where their numbers are still kept."""
    heading(f"What left in session {name[:_ID]}")
    if not left:
        paragraph("Nothing of this instance's viewers left in it for the first time.")
        return
    for record in sorted(left, key=lambda one: one.round):
        _record(share, record, whole=True)
    window = next((one for one in share.windows if one.id == left[0].window), None)
    if window is None or not window.numbers:
        paragraph("The numbers are kept until the data window ends, or until somebody in it leaves.")
        return
    _videos(islice(share.everything(), videos), [window])
    prose(f"All of them: shoal share export FILE; pairs: --pairs {window.aggregator}")


def _next(share: ShareReport, videos: int) -> None:
    config, entries = share.config, len(share.vocabulary)
    heading(f"{config.instance.host}: what would leave next")
    if config.mode != _SENDS:
        paragraph(f'Nothing, because mode is "{config.mode}". With mode = "{_SENDS}" it would be this.')
    hosts = ", ".join(share.next_sum.hosts[:_LEFT]) or "nobody, because no peer is approved"
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
        f"For a sum over {count(entries, 'public video')} of this instance, {who} would get how many of "
        f"{count(share.users, 'viewer')} engaged with each video ({bytes_of(4 * entries)}). Then, for pairs "
        "of the videos most watched by all members, how many engaged with both: at most "
        f"{count(pairs, 'number')} ({bytes_of(4 * pairs)}). Noise is added and the result masked, so that "
        "only the sum can be read."
    )
    paragraph(
        "The noise is drawn when somebody asks, and kept for a data window. From then on, the vectors have a "
        "hash. The numbers of viewers below are exact, and do not leave."
    )
    if share.total and videos:
        out.print()
        _videos(islice(share.videos(), videos), share.windows)
        if share.total > videos:
            prose(f"and {share.total - videos:,} more: shoal share export FILE")


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
        paragraph("No aggregator has anything.")
    for window in share.windows:
        ours = window.aggregator == share.config.instance.host
        name = f"{window.aggregator} (this instance; members of your own sums see the totals)"
        paragraph(name if ours else window.aggregator, bold=True)
        paragraph(_state(window), indent=4)
        for vector in window.vectors:
            paragraph(f"{_vector(vector)}, sha256", indent=4)
            paragraph(vector.sha256, indent=4)


def _state(window: WindowView) -> str:
    until = utc(window.ends)
    return {
        "open": f"If it asks again, it gets the same until {until}.",
        "over": f"It ended on {until}. If it asks again, it gets a fresh vector once enough viewers changed.",
        "void": f"A viewer in it left, so it gets nothing more until {until}. It is deleted here.",
        "served": f"A backup was restored, so this counts as served. It gets nothing until {until}.",
    }[window.state]


def _vector(vector: FrozenVector) -> str:
    if vector.round == 0:
        return f"Counts of {count(vector.entries, 'video')}, {bytes_of(vector.bytes)}"
    of = "" if vector.videos is None else f" among {count(vector.videos, 'video')}"
    return f"{count(vector.entries, 'pair')}{of}, {bytes_of(vector.bytes)}"


def _left(share: ShareReport) -> None:
    heading("What has left")
    if not share.left:
        paragraph("Nothing has left so far.")
        return
    for record in share.left[:_LEFT]:
        _record(share, record)
    if len(share.left) > _LEFT:
        paragraph(
            f"and {len(share.left) - _LEFT:,} older; all of them: shoal share export FILE.json", indent=0
        )


def _record(share: ShareReport, record: ReleaseRecord, *, whole: bool = False) -> None:
    videos = count(record.videos, "video")
    what = f"counts of {videos}" if record.round == 0 else f"pairs of a head of {videos}"
    paragraph(f"{utc(record.at)}  {what} to {record.aggregator}", hanging=2)
    digest = record.vector_sha256 or "not known: it left before hashes were kept"
    if not whole:
        shown = digest[:_DIGEST] if record.vector_sha256 else digest
        paragraph(f"session {record.session_id[:_ID]}, {bytes_of(record.bytes)}, sha256 {shown}", indent=4)
        return
    ends = share.window_ends(record)
    paragraph(
        f"If it asks again, it gets the same until {utc(ends)}." if ends else "Its window is over.", indent=4
    )
    paragraph(f"{bytes_of(record.bytes)}, sha256", indent=4)
    paragraph(digest, indent=4)


def _traffic(share: ShareReport) -> None:
    month = share.traffic[0].month if share.traffic else ""
    heading(f"Bytes exchanged in {month}" if month else "Bytes exchanged")
    rows = [
        (one.peer, bytes_of(one.sent), bytes_of(one.received)) for one in share.traffic if one.month == month
    ]
    if not rows:
        paragraph("None in the past year.")
        return
    table(["PEER", "SENT", "RECEIVED"], rows, right=("SENT", "RECEIVED"))
