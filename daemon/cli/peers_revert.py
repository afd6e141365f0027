"""`shoal peers revert` and `shoal peers suspects`: taking out a peer, and where to look for one."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from daemon.cli.command import Commands, human, printable
from daemon.cli.instance import HERE, Instance, InstanceOption, Yes, host_name, quiet_job
from daemon.cli.peers import tell
from daemon.cli.terminal import (
    ago,
    confirm,
    count,
    facts,
    heading,
    line,
    out,
    paragraph,
    progress_bar,
    prose,
    result,
    table,
    utc,
)
from daemon.errors import RequestError, ShoalError
from daemon.revert import orchestrate, outlook, proof
from daemon.revert.out_of_service import require_known
from daemon.revert.outlook import Outlook
from daemon.revert.report import Deleted, NamedVideo, RevertReport, with_titles
from daemon.sentences import english
from daemon.training.acceptance import suspect_sub_cohorts
from daemon.training.acceptance.suspect_sub_cohorts import Run

app = Commands()

_SHOWN_EXAMPLES = 3
_SHOWN_VIDEOS = 5
_BASIS = {
    "sub-cohorts": "the sub-cohorts of the same sums that it was not in",
    "older sum": "a sum that it was never in",
    "local": "your own viewers only, until there is a new sum",
}
_VERDICTS = {
    "new": "not checked yet",
    "accepted": "passed",
    "awaiting": "passed, waits for your decision",
    "quarantined": "quarantined",
}


class NotProvenError(ShoalError):
    """Something of a peer's learning is still there."""

    code = "not-proven"
    exit_code = 5


@app.command()
def revert(
    host: Annotated[str, typer.Argument(metavar="HOST", help="Peer to take out.")],
    instance: InstanceOption = HERE,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check that nothing of the peer is stored.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Take out a peer and what was learnt with it.

    You are shown what would be deleted, and asked. Then the peer is blocked, and a model without it serves at
    once. Everything that contains its contribution is deleted, a new model is trained, and the result is
    proven. What was deleted does not come back when you approve the peer again. If interrupted, run it again
    to finish.
    """
    if dry_run and verify:
        raise RequestError("--dry-run and --verify exclude each other", advice="Give one of them.")
    config, store = instance.config, instance.store
    host = host_name(host)
    require_known(store, config, host)
    if verify:
        _verify(instance, host)
        return
    if not (dry_run or yes):
        _ask(outlook.look(store, config, host))
    with progress_bar(f"{'looking at' if dry_run else 'taking out'} {host}") as progress:
        if dry_run:
            run = orchestrate.rehearse(config, instance.config_file, host, quiet_job, progress)
        else:
            run = orchestrate.carry_out(
                store, config, instance.config_file, host, quiet_job, progress=progress
            )
        report = with_titles(store, asyncio.run(run))
    result(report, lambda: _show_revert(report))
    if dry_run:
        return
    # Last: whoever was taken out may take long to answer.
    tell(instance, host)
    if not report["proof"].startswith("proof:"):
        raise NotProvenError(
            f"something of {host} is still there", advice=f"Run it again: shoal peers revert {host}"
        )


@app.command()
def suspects(instance: InstanceOption = HERE) -> None:
    """List who was in sums that were quarantined.

    A sum hides what each peer gave, so sub-cohorts are listed and never a single peer.
    """
    found = suspect_sub_cohorts.suspects(instance.store)
    result({"suspects": found}, lambda: _show_suspects(found))


def _ask(found: Outlook) -> None:
    """Show what would be deleted, and ask. Raises RequestError, typer.Exit: see `confirm`."""
    if human():
        _show_outlook(found)
    confirm(
        f"Take out {found.host}?",
        yes=False,
        advice="See what would change with --dry-run, then confirm it with --yes.",
    )


def _show_outlook(found: Outlook) -> None:
    line(f"Taking out {found.host} blocks it, and deletes what its viewers are in:")
    out.print()
    serves = found.serves_next or "no model; PeerTube's own lists"
    rows = [
        ("sums", f"{found.sums:,}"),
        ("models", f"{found.models:,}"),
        ("counts that heads are chosen from", count(found.runs, "run")),
        ("rounds in progress", f"{found.open_rounds:,}"),
        ("serves now", found.serving or "no model"),
        ("serves next", "the same" if found.serves_next == found.serving else serves),
        ("learns from", _BASIS[found.basis]),
    ]
    if found.early:
        rows.append(("data window", "ends early; the next sum is without it"))
    facts(rows)
    out.print()
    if found.too_few:
        verb = "stays" if found.left == 1 else "stay"
        prose(
            f"Then {count(found.left, 'peer')} {verb} approved, and a sum needs {found.needed}: there is no "
            "new one until you approve others."
        )
    prose("What is deleted does not come back when you approve the peer again.")


def _verify(instance: Instance, host: str) -> None:
    found = proof.prove(instance.store, instance.config, host)
    as_json = {
        "host": found.host,
        "holds": found.holds,
        "proof": found.sentence,
        "problems": list(found.problems),
        "model": found.model,
        "model_sha256": found.model_sha256,
        "manifest_sha256": found.manifest_sha256,
        "sums": list(found.sums),
        "hosts": list(found.hosts),
    }
    result(as_json, lambda: line(found.sentence))
    if not found.holds:
        raise NotProvenError(
            f"something learnt with {host} is stored here",
            advice=f"Take it out with: shoal peers revert {host}",
        )


def _show_revert(report: RevertReport) -> None:
    host, dry = report["host"], report["dry_run"]
    changed, exposure, quality = report["changed"], report["exposure"], report["quality"]
    if dry:
        line(f"Nothing was changed. Taking out {host} would do this:")
    else:
        line(f"{host} is blocked. It was out of service after {report['seconds_out_of_service']:.1f} s.")
    out.print()
    facts(
        [
            ("served before", report["served_before"] or "no model"),
            (
                "would serve" if dry else "serves now",
                report["served_now"] or "no model; PeerTube's own lists",
            ),
            ("learns from", _BASIS[report["basis"]]),
            ("lists of related videos", f"{changed['lists']:,} of {changed['of']:,} change"),
            (
                "lists with its videos",
                f"{_percent(exposure['before'])} before, {_percent(exposure['after'])} after",
            ),
            (
                "NDCG@10 on own held-out likes",
                f"{_number(quality['before'])} before, {_number(quality['after'])} after",
            ),
            ("would delete" if dry else "deleted", _listed(report["deleted"])),
            ("next sum without it", _when(report["next_window"])),
        ]
    )
    for example in changed["examples"][:_SHOWN_EXAMPLES]:
        out.print()
        line(f"Beside {_title(example)}:")
        pairs = list(zip(_titles(example["before"]), _titles(example["after"]), strict=True))
        table(["BEFORE", "AFTER"], pairs)
    if len(changed["examples"]) > _SHOWN_EXAMPLES:
        out.print()
        line(f"-o json shows {len(changed['examples'])} such lists.")
    heading("What this does not undo")
    for limit in report["limits"]:
        prose(f"- {english(limit)}", hanging=2)
    if not dry:
        out.print()
        prose(report["proof"])
        line(f"Check it again with: shoal peers revert {host} --verify")


def _titles(videos: list[NamedVideo]) -> list[str]:
    # Half of the screen each, on one line: whoever wants more has the page, or -o json.
    room = max(out.width // 2 - 2, 20)
    titles = [_title(video) for video in videos[:_SHOWN_VIDEOS]]
    shown = [title if len(title) <= room else f"{title[: room - 1]}…" for title in titles]
    return [*shown, *[""] * (_SHOWN_VIDEOS - len(shown))]


def _title(video: NamedVideo) -> str:
    return printable(video["title"] or video["url"])


def _listed(deleted: Deleted) -> str:
    return f"{count(len(deleted['models']), 'model')} and {count(len(deleted['sums']), 'sum')}"


def _when(at: float | None) -> str:
    return "possible now" if at is None else f"possible from {utc(at)}"


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _show_suspects(runs: list[Run]) -> None:
    if not runs:
        line("No stored sum is quarantined.")
        return
    for run in runs:
        heading(f"Run {run['run'][:12]}, {ago(time.time() - run['at'])}")
        paragraph(english(run["sentence"]))
        for group in run["sub_cohorts"]:
            verdict = _VERDICTS.get(group["verdict"], group["verdict"])
            paragraph(f"Sub-cohort {group['number']}, {verdict}: {', '.join(group['members'])}", hanging=2)
            for reason in group["reasons"]:
                paragraph(english(reason), indent=4)
    out.print()
    prose("To take out a peer and what was learnt with it: shoal peers revert HOST")
