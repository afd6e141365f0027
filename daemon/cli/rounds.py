"""`shoal rounds`: the secure sums that this instance took part in, and starting one."""

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
from daemon.sentences import english
from daemon.store import activity

if TYPE_CHECKING:
    from daemon.process.job_context import JobOutcome
    from daemon.store.activity import RoundRecord

app = Commands()

_ID = 12
"""Characters of an id that people are shown."""
_ROLES = {
    "aggregator": "own sum",
    "member": "gave",
    "host": "the group's sum",
    "group": "others gave",
    "newcomer": "passed on",
}
_OUTCOMES = {"waiting": "waiting, to be resumed"}


@app.command("list")
def list_(
    instance: InstanceOption = HERE,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
) -> None:
    """List rounds, newest first."""
    found = activity.rounds(instance.store, limit=limit)
    result([vars(one) for one in found], lambda: _show_list(instance, found))


@app.command()
def show(
    round_: Annotated[str, typer.Argument(metavar="ROUND", help="Id of a round, or its first characters.")],
    instance: InstanceOption = HERE,
) -> None:
    """Show how a round went, what this instance gave in it, and what that tells others."""
    # Loads NumPy.
    from daemon.disclosure import privacy_report

    found = activity.round_(instance.store, round_id(instance, round_))
    if found is None:
        raise RequestError("the round was deleted just now", advice="See: shoal rounds list")
    privacy = privacy_report.round_privacy(instance.store, found)
    result(
        {**vars(found), "privacy": privacy.as_json()},
        lambda: _show(found, privacy_report.round_lines(privacy)),
    )


@app.command()
def start(instance: InstanceOption = HERE) -> None:
    """Start a round now: ask the approved peers for a sum."""
    outcome = instance.job("round")
    result({**outcome.result, "seconds": outcome.seconds}, lambda: _show_ended(outcome))


def round_id(instance: Instance, beginning: str) -> str:
    """Return the only id that begins so. Raises RequestError."""
    return one_id(activity.round_ids(instance.store, beginning), beginning, "round", "shoal rounds list")


def _show_list(instance: Instance, found: list[RoundRecord]) -> None:
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
            _outcome(one),
            f"{len(one.survivors)} of {len(one.roster)}",
            bytes_of(one.bytes_out),
        )
        for one in found
    ]
    columns = ["ROUND", "ROLE", "AGGREGATOR", "STARTED", "OUTCOME", "SUMMED", "SENT"]
    table(columns, rows, right=("SENT",))


def _outcome(round_: RoundRecord) -> str:
    told = _OUTCOMES.get(round_.outcome, round_.outcome)
    return f"{told} ({round_.reason})" if round_.reason else told


def _none_yet(instance: Instance) -> str:
    group = groups.current(instance.store)
    if group is None or not group.active:
        return "No round yet. Approve peers first: shoal peers list"
    return (
        f"No round yet. The host of the group {group.group} starts them. See: shoal group status, and "
        "shoal ledger show"
    )


def _show_ended(outcome: JobOutcome) -> None:
    found = outcome.result
    if found.get("simulated"):
        asked = ", ".join(found["peers"]) or "nobody, because no peer is approved"
        prose(
            f"Nothing was sent. A round would ask {asked} about {count(found['vocabulary'], 'video')}. "
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


def _show(found: RoundRecord, privacy: list[tuple[str, str]]) -> None:
    facts(
        [
            ("round", found.id),
            ("role", f"{found.role}: {english(whose(found.role, found.aggregator))}"),
            ("aggregator", found.aggregator),
            ("started", ago(time.time() - found.started)),
            ("outcome", _outcome(found)),
            ("roster", ", ".join(found.roster)),
            ("in the sum", ", ".join(found.survivors)),
            ("sent / received", f"{bytes_of(found.bytes_out)} / {bytes_of(found.bytes_in)}"),
            *privacy,
            *((stage, f"{float(seconds):.2f} s") for stage, seconds in found.seconds.items()),
        ]
    )
