"""`shoal sessions`: which secure sums this instance took part in, and asking for a new one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption, one_id
from daemon.cli.terminal import ago, bytes_of, count, facts, line, prose, result, table
from daemon.errors import RequestError
from daemon.group import repository as groups
from daemon.ledger.messages import whose
from daemon.peers import repository as peers
from daemon.store import activity

if TYPE_CHECKING:
    from daemon.process.job_context import JobOutcome
    from daemon.store.activity import SessionRecord

app = Commands()

_ID = 12
"""Characters of an id that people are shown."""
_ROLES = {
    "aggregator": "own sum",
    "member": "gave",
    "host": "the group's sum",
    "group": "others gave",
}


@app.command("list")
def list_(
    instance: InstanceOption = HERE,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
) -> None:
    """List sessions, newest first."""
    found = activity.sessions(instance.store, limit=limit)
    result([vars(one) for one in found], lambda: _show_list(instance, found))


@app.command()
def show(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="Id of a session, or its first characters.")
    ],
    instance: InstanceOption = HERE,
) -> None:
    """Show how a session went, what this instance gave in it, and what that tells others."""
    # Loads NumPy.
    from daemon.disclosure import privacy_report

    found = activity.session(instance.store, session_id(instance, session))
    if found is None:
        raise RequestError("the session was deleted just now", advice="See: shoal sessions list")
    privacy = privacy_report.session_privacy(instance.store, found)
    result(
        {**vars(found), "privacy": privacy.as_json()},
        lambda: _show(found, privacy_report.session_lines(privacy)),
    )


@app.command()
def start(instance: InstanceOption = HERE) -> None:
    """Ask the approved peers for a sum now, as its aggregator."""
    # Loads NumPy.
    from daemon.rounds import round_config

    config = instance.config
    known = peers.read(instance.store, config) if config.database.exists() else peers.of_file(config)
    round_config.require_session(config, known)
    outcome = instance.job("session")
    result({**outcome.result, "seconds": outcome.seconds}, lambda: _show_ended(outcome))


def session_id(instance: Instance, beginning: str) -> str:
    """Return the only id that begins so. Raises RequestError."""
    return one_id(
        activity.session_ids(instance.store, beginning), beginning, "session", "shoal sessions list"
    )


def _show_list(instance: Instance, found: list[SessionRecord]) -> None:
    if not found:
        prose(_none_yet(instance))
        return
    now = time.time()
    rows = [
        (
            one.id[:_ID],
            _ROLES.get(one.role, one.role),
            one.aggregator,
            ago(now - one.started),
            f"{one.outcome} ({one.reason})" if one.reason else one.outcome,
            f"{len(one.survivors)} of {len(one.roster)}",
            bytes_of(one.bytes_out),
        )
        for one in found
    ]
    columns = ["SESSION", "ROLE", "AGGREGATOR", "STARTED", "OUTCOME", "SUMMED", "SENT"]
    table(columns, rows, right=("SENT",))


def _none_yet(instance: Instance) -> str:
    group = groups.current(instance.store)
    if group is None or not group.active:
        return "No session yet. Approve peers first: shoal peers list"
    return (
        f"No session yet. The host of the group {group.group} takes its sums. See: shoal group status, and "
        "shoal ledger show"
    )


def _show_ended(outcome: JobOutcome) -> None:
    found = outcome.result
    if found.get("simulated"):
        asked = ", ".join(found["peers"]) or "nobody, because no peer is approved"
        prose(
            f"Nothing was sent. A session would ask {asked} about {count(found['vocabulary'], 'video')}. "
            f"This instance counts {count(found['own_users'], 'viewer')}, who engaged with "
            f"{count(found['own_videos'], 'video')}."
        )
        return
    prose(
        f"Summed {count(len(found['survivors']), 'member')} over a head of {count(found['head'], 'video')} "
        f"in {outcome.seconds:.1f} s. Next: shoal train"
    )
    for host, reason in found["lost"].items():
        line(f"  without {host}: {reason}")


def _show(found: SessionRecord, privacy: list[tuple[str, str]]) -> None:
    facts(
        [
            ("session", found.id),
            ("role", f"{found.role}: {whose(found.role, found.aggregator)}"),
            ("aggregator", found.aggregator),
            ("started", ago(time.time() - found.started)),
            ("outcome", f"{found.outcome} ({found.reason})" if found.reason else found.outcome),
            ("roster", ", ".join(found.roster)),
            ("survivors", ", ".join(found.survivors)),
            ("sent / received", f"{bytes_of(found.bytes_out)} / {bytes_of(found.bytes_in)}"),
            *privacy,
            *((stage, f"{float(seconds):.2f} s") for stage, seconds in found.seconds.items()),
        ]
    )
