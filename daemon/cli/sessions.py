"""`shoal sessions`: which sums this instance took part in, and asking for a new one."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    Output,
    OutputOption,
    ago,
    out,
    result,
    table,
)
from daemon.errors import RequestError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from daemon.disclosure.privacy_report import SessionPrivacy
    from daemon.process.job_context import JobOutcome
    from daemon.store.activity import SessionRecord

_ROLES = {
    "aggregator": "own sum",
    "member": "gave",
    "host": "the group's sum",
    "group": "what the others gave",
}

app = typer.Typer(help="Sums with other instances: list, show, start.", no_args_is_help=True)


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    output: OutputOption = Output.HUMAN,
) -> None:
    """List sessions, newest first."""
    from daemon.store.activity import sessions

    store = _store(config)
    found = sessions(store, limit=limit)

    def show() -> None:
        if not found:
            out.print(_none_yet(store))
            return
        now = time.time()
        table(
            ["SESSION", "ROLE", "AGGREGATOR", "STARTED", "OUTCOME", "SURVIVORS", "SENT", "SECONDS"],
            [
                (
                    s.id[:12],
                    _ROLES.get(s.role, s.role),
                    s.aggregator,
                    ago(now - s.started),
                    f"{s.outcome} ({s.reason})" if s.reason else s.outcome,
                    f"{len(s.survivors)} of {len(s.roster)}",
                    size(s.bytes_out),
                    f"{s.ended - s.started:.1f}" if s.ended else "",
                )
                for s in found
            ],
            right=("SENT", "SECONDS"),
        )

    result(output, [vars(s) for s in found], show)


@app.command("show")
def show_(
    session: Annotated[str, typer.Argument(help="Id of a session, or how it begins.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Show one session: who took part, what was sent, its noise, what it told about own viewers."""
    from daemon.disclosure.privacy_report import session_privacy
    from daemon.store.activity import session as find

    store = _store(config)
    found = find(store, session)
    if found is None:
        raise RequestError("there is no such session", advice="See: shoal sessions list")
    privacy = session_privacy(store, found)
    result(output, {**vars(found), "privacy": privacy.as_json()}, lambda: _show(found, privacy))


@app.command("start")
def start(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Ask the approved peers for a sum now, as its aggregator."""
    from daemon.cli.sync_and_train import job
    from daemon.config import load
    from daemon.peers import repository
    from daemon.rounds import round_config

    settings = load(config)
    started = settings.database.exists()
    known = repository.read(_store(config), settings) if started else repository.of_file(settings)
    round_config.require_session(settings, known)
    outcome = job("session", config, settings)
    result(output, {**outcome.result, "seconds": outcome.seconds}, lambda: _ended(outcome))


def _none_yet(store: "Engine") -> str:
    from daemon.group import repository

    group = repository.current(store)
    if group is None or not group.active:
        return "No session yet. Approve peers first: shoal peers list"
    return (
        f"No session yet. The sums of the group {group.group} are taken by its host: see shoal group status, "
        "and for what happened shoal ledger show"
    )


def _ended(outcome: "JobOutcome") -> None:
    found = outcome.result
    if found.get("simulated"):
        asked = ", ".join(found["peers"]) or "nobody (no peer is approved)"
        out.print(
            f"Nothing was sent. A session would ask {asked} about {found['vocabulary']:,} videos; "
            f"this instance counts {found['own_users']:,} viewers, and {found['own_videos']:,} videos that "
            "any of them engaged with."
        )
        return
    out.print(
        f"{len(found['survivors'])} members were summed over a head of {found['head']:,} videos in "
        f"{outcome.seconds:.1f} s. Next: shoal train"
    )
    for host, reason in found["lost"].items():
        out.print(f"  without {host}: {reason}")


def size(count: int) -> str:
    """Write a number of bytes with a unit."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _store(config_path: object) -> "Engine":
    from pathlib import Path

    from daemon.config import load
    from daemon.store.engine import open_checked

    return open_checked(load(Path(str(config_path))).database)


def _show(s: "SessionRecord", privacy: "SessionPrivacy") -> None:
    from daemon.disclosure.privacy_report import session_lines
    from daemon.ledger.messages import whose

    rows: list[tuple[str, str]] = [
        ("session", s.id),
        ("role", f"{s.role}: {whose(s.role, s.aggregator)}"),
        ("aggregator", s.aggregator),
        ("started", ago(time.time() - s.started)),
        ("outcome", f"{s.outcome} ({s.reason})" if s.reason else s.outcome),
        ("roster", ", ".join(s.roster)),
        ("survivors", ", ".join(s.survivors)),
        ("sent / received", f"{size(s.bytes_out)} / {size(s.bytes_in)}"),
        *session_lines(privacy),
        *((f"{stage}", f"{float(seconds):.2f} s") for stage, seconds in s.seconds.items()),
    ]
    table(["", ""], rows)
