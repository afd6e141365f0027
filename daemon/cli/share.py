"""`shoal share`: what exactly would leave, what has left, and both as a file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.rounds import round_id
from daemon.cli.terminal import bytes_of, count, heading, line, out, paragraph, prose, result, table, utc
from daemon.disclosure import formatting, share_export, waiting
from daemon.disclosure.data_kinds import DATA_KINDS
from daemon.disclosure.share_report import SharedVideo, ShareReport, gather
from daemon.disclosure.windows import FrozenVector, State, WindowView, frozen_pairs
from daemon.errors import RequestError
from daemon.sentences import english
from daemon.store.releases import OWN, ReleaseRecord

app = Commands()

_ID = 12
_DIGEST = 16
"""Digits of a hash where the whole of it is not asked for."""
_LEFT = 10
"""Vectors of the past, or hosts, that are listed."""
_SENDS = "contribute"


@app.command()
def show(
    instance: InstanceOption = HERE,
    *,
    round_: Annotated[
        str, typer.Option("--round", help="Only what left in this round: its id, or its first characters.")
    ] = "",
    videos: Annotated[int, typer.Option(min=0, max=1000, help="How many videos to list.")] = 10,
) -> None:
    """Show what would leave next, what each rule says to it, and what has left. Nothing is sent."""
    share = gather(instance.config, instance.store, time.time())
    if not round_:
        missing = waiting.gather(instance.config, instance.store, time.time())

        def show() -> None:
            _show(share, videos)
            heading("When")
            paragraph(missing.english)

        result({**share.with_videos(videos), "waiting": missing}, show)
        return
    found = round_id(instance, round_)
    left = [one for one in share.left if one.round_id == found]
    as_json = [one for one in share.answer()["left"] if one["round"] == found]
    result({"round": found, "left": as_json}, lambda: _show_round(share, found, left, videos))


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
    found = [kind.shown for kind in DATA_KINDS]

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
        told = english(*verdict.sentences)
        paragraph(f"{mark}  {verdict.policy}: {told}", hanging=9, bold=not verdict.allowed)
        paragraph(verdict.reason, indent=11)
    _windows(share)
    _left(share)
    _traffic(share)


def _show_round(share: ShareReport, name: str, left: Sequence[ReleaseRecord], videos: int) -> None:
    """Print what left in one round, with so many videos where their numbers are still kept."""
    heading(f"What left in round {name[:_ID]}")
    if not left:
        paragraph("Nothing of this instance's viewers left in it for the first time.")
        return
    for record in left:
        _record(share, record, whole=True)
    window = next((one for one in share.windows if one.id == left[0].window), None)
    if window is None or not window.numbers:
        paragraph("The numbers are kept until the next data window opens, or until somebody in it leaves.")
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
            "" if share.next_sum.drawn == "epoch" else ", or with some of them, as is drawn before the round"
        )
        paragraph(f"It would be summed with {named}{until}.")
    head, pairs = share.most_pairs
    who = "it" if group else "each of them"
    paragraph(
        f"For a sum over {count(entries, 'public video')} of this instance, {who} would get one vector: how "
        f"many of {count(share.users, 'viewer')} engaged with each video and, for at most {head:,} of them "
        f"that the round names, with both videos of each pair. That is at most {count(pairs, 'pair')}, and "
        f"{bytes_of(share.most_bytes)}. Noise is added and the result masked, so that only the sum can be "
        f"read. {formatting.WEIGHTS}"
    )
    paragraph(
        "The noise is drawn when somebody asks, and kept for a data window. Once the vector has left, it has "
        "a hash. The numbers of viewers below are exact, and do not leave."
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
    columns = ["VIEWERS", *(OWN.upper() if host == OWN else f"GIVEN TO {host}" for host in named)]
    rows = [
        (video.users, *(_given(video, host) for host in named), video.title or video.url) for video in found
    ]
    table([*columns, "VIDEO"], rows, right=columns)


def _given(video: SharedVideo, host: str) -> str:
    return f"{video.given[host]:.1f}" if host in video.given else ""


def _windows(share: ShareReport) -> None:
    heading("What aggregators have in the present data window")
    if not share.windows:
        paragraph("No aggregator has anything.")
    for window in share.windows:
        own = window.aggregator == OWN
        paragraph(
            "our own release (what others may see of own viewers rests on it)" if own else window.aggregator,
            bold=True,
        )
        paragraph((_OF_OWN if own else _OF_OTHERS)[window.state].format(until=utc(window.ends)), indent=4)
        if window.vector is not None:
            told = _vector(window.vector)
            paragraph(f"{told[:1].upper()}{told[1:]}, sha256", indent=4)
            paragraph(window.vector.sha256, indent=4)


_OF_OTHERS: dict[State, str] = {
    "prepared": "Nothing has left yet. If it asks again, viewers may be counted anew.",
    "open": "If it asks again, it gets the same until {until}.",
    "given": "Its sum was opened. It gets nothing more until {until}.",
    "over": "It ended on {until}. If it asks again, it gets a fresh vector once enough viewers changed.",
    "void": "A viewer in it left, so it gets nothing more until {until}. It is deleted here.",
    "served": "A backup was restored, so this counts as served. It gets nothing until {until}.",
}
_OF_OWN: dict[State, str] = {
    "prepared": "Drawn, and not used yet.",
    "open": "The same numbers are used until {until}.",
    "given": "The same numbers are used until {until}.",
    "over": "It ended on {until}. The next training draws it anew.",
    "void": "A viewer in it left, so it is deleted. A training draws it anew, a week after the last draw at "
    "the earliest.",
    "served": "A backup was restored, so this counts as served. It is not drawn again before {until}.",
}


def _vector(vector: FrozenVector) -> str:
    if vector.vocabulary is None or vector.head is None:
        return f"{count(vector.entries, 'number')}, {bytes_of(vector.bytes)}"
    return f"{_segments(vector.vocabulary, vector.head)}, {bytes_of(vector.bytes)}"


def _segments(vocabulary: int, head: int) -> str:
    counts = f"counts of {count(vocabulary, 'video')}"
    return f"{counts}, pairs of a head of {count(head, 'video')}" if head else counts


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
    own = record.aggregator == OWN
    where = "in our own release" if own else f"to {record.aggregator}"
    paragraph(f"{utc(record.at)}  {_segments(record.vocabulary, record.head)} {where}", hanging=2)
    digest = record.vector_sha256 or "not known"
    if not whole:
        name = "" if own else f"round {record.round_id[:_ID]}, "
        paragraph(f"{name}{bytes_of(record.bytes)}, sha256 {digest[:_DIGEST]}", indent=4)
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
