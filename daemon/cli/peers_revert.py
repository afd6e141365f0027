"""`shoal peers revert`: take a peer's learning out, see what that changes, see that it is gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    Output,
    OutputOption,
    out,
    printable,
    progress_bar,
    result,
    table,
)
from daemon.errors import RequestError, ShoalError

if TYPE_CHECKING:
    from daemon.revert.proof import Proof

_SHOWN_EXAMPLES = 3
_SHOWN_VIDEOS = 5
_BASIS = {
    "sub-cohorts": "the parts of the same sums that it was not in",
    "older sum": "a sum that it was never in",
    "local": "own viewers alone, until a new sum can be taken",
}


class NotProvenError(ShoalError):
    """Something of a peer's learning is still there."""

    code = "not-proven"
    exit_code = 5


def register(app: typer.Typer) -> None:
    """Add the command to `shoal peers`."""
    app.command("revert")(revert)


def revert(
    host: Annotated[str, typer.Argument(help="The peer whose learning is taken out.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would change; do nothing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only look whether anything of it is stored; repeats the proof.")
    ] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Block a peer, serve at once without what it contributed, delete that, train anew, and prove it.

    The decision can be taken back with `shoal peers approve`; what was deleted cannot. Interrupted, it goes
    on when it is given again.
    """
    from daemon.config import load
    from daemon.jobs.run import run_job
    from daemon.revert import orchestrate, proof
    from daemon.revert.out_of_service import require_known
    from daemon.revert.report import with_titles
    from daemon.store.engine import open_checked

    if dry_run and verify:
        raise RequestError("--dry-run and --verify exclude each other", advice="Give one of them.")
    settings = load(config)
    engine = open_checked(settings.database)
    host = host.strip().lower()
    require_known(engine, settings, host)
    if verify:
        _verified(output, proof.prove(engine, settings, host))
        return
    title = f"{'looking at' if dry_run else 'taking out'} {host}"
    with progress_bar(title) as progress:
        if dry_run:
            report = asyncio.run(orchestrate.rehearse(settings, config, host, run_job, progress))
        else:
            report = asyncio.run(
                orchestrate.carry_out(engine, settings, config, host, run_job, progress=progress)
            )
    report = with_titles(engine, report)
    result(output, report, lambda: _show(report))
    if not dry_run:
        # Last: whoever was taken out may take long to answer.
        from daemon.cli.peers import tell

        tell(config, settings, host)
    if not dry_run and not report["proof"].startswith("proof:"):
        raise NotProvenError(
            f"something of {host} is still there", advice=f"Run it again: shoal peers revert {host}."
        )


def _verified(output: Output, found: Proof) -> None:
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
    result(output, as_json, lambda: out.print(printable(found.sentence), markup=False))
    if not found.holds:
        raise NotProvenError(
            f"learning of {found.host} is stored here",
            advice=f"Take it out with: shoal peers revert {found.host}.",
        )


def _show(report: dict[str, Any]) -> None:
    host, dry = report["host"], report["dry_run"]
    changed, exposure, quality = report["changed"], report["exposure"], report["quality"]
    deleted = report["deleted"]
    if dry:
        out.print(f"Nothing was changed. Taking out {host} would do this:\n", markup=False)
    else:
        seconds = report["seconds_out_of_service"]
        out.print(f"{host} is blocked, and out of service after {seconds:.1f} s.\n", markup=False)
    rows = [
        ("served before", report["served_before"] or "no model"),
        ("would serve" if dry else "serves now", report["served_now"] or "no model; PeerTube's own lists"),
        ("learns from", _BASIS[report["basis"]]),
        ("lists of related videos", f"{changed['lists']:,} of {changed['of']:,} change"),
        (
            "lists that hold its videos",
            f"{_percent(exposure['before'])} before, {_percent(exposure['after'])} after",
        ),
        (
            "NDCG@10 on own held-out likes",
            f"{_number(quality['before'])} before, {_number(quality['after'])} after",
        ),
        ("would delete" if dry else "deleted", _listed(deleted)),
        ("next sum without it", _when(report["next_window"])),
    ]
    table(["", ""], rows)
    for example in changed["examples"][:_SHOWN_EXAMPLES]:
        out.print(f"\nBeside {_title(example)}:", markup=False)
        pairs = list(zip(_titles(example["before"]), _titles(example["after"]), strict=True))
        table(["BEFORE", "AFTER"], pairs)
    if len(changed["examples"]) > _SHOWN_EXAMPLES:
        out.print(f"\n{len(changed['examples'])} such lists are in the output of -o json.")
    out.print("\nWhat this does not undo:")
    for sentence in report["limits"]:
        out.print(f"- {printable(sentence)}", markup=False)
    if not dry:
        out.print(f"\n{printable(report['proof'])}", markup=False)
        out.print(f"Check it again with: shoal peers revert {host} --verify", markup=False)


def _titles(videos: list[dict[str, str]]) -> list[str]:
    # Half of the screen each, on one line: whoever wants more has the page, or -o json.
    room = max(out.width // 2 - 2, 20)
    titles = [_title(video) for video in videos[:_SHOWN_VIDEOS]]
    shown = [title if len(title) <= room else f"{title[: room - 1]}…" for title in titles]
    return [*shown, *[""] * (_SHOWN_VIDEOS - len(shown))]


def _title(video: dict[str, Any]) -> str:
    return printable(video["title"] or video["url"])


def _listed(deleted: dict[str, list[str]]) -> str:
    parts = [
        f"{len(names)} {kind[:-1] if len(names) == 1 else kind}" for kind, names in sorted(deleted.items())
    ]
    return " and ".join(parts)


def _when(at: float | None) -> str:
    if at is None:
        return "may be asked for now"
    return f"from {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC on"


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
