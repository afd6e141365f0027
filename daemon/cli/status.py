"""`shoal status` and `shoal doctor`: how the instance is, and what is wrong."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import typer

from daemon.cli import running_daemon
from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.terminal import paragraph, prose, result
from daemon.config import PeerTubeSource
from daemon.doctor.check import Outcome, Report, Result
from daemon.errors import StoreError
from daemon.process import daemon_lock

if TYPE_CHECKING:
    from daemon.doctor.examination import Subject

app = Commands()

SOMETHING_WRONG: Final = 7
"""Exit status: a check failed."""
_MARKS: Final = {
    Outcome.OK: "ok",
    Outcome.WARNING: "look",
    Outcome.FAILURE: "WRONG",
    Outcome.UNCHECKED: "unknown",
}
_MARK, _NAME = 9, 14
"""Columns of the outcome, and of the name of a check."""


@app.command()
def status(instance: InstanceOption = HERE) -> None:
    """Show how the instance is, what comes next, and what is wrong.

    One screen, with what waits for you; the daemon may run or be stopped. Exit status 7: something is
    wrong.
    """
    # Loads NumPy.
    from daemon.cli import status_view
    from daemon.doctor import examination
    from daemon.status import view

    subject = _subject(instance)
    report = examination.quick(subject)
    try:
        found = view.gather(subject.config, instance.store, instance.public, subject.live, time.time())
    except StoreError:
        # The report says what is the matter with the database or the key.
        found = None
    problems = [one for one in report.results if one.outcome in (Outcome.FAILURE, Outcome.WARNING)]
    answer = {
        "running": subject.running is not None,
        "status": found,
        "problems": [asdict(one) for one in problems],
    }
    host = subject.config.instance.host
    result(answer, lambda: status_view.show(host, subject.running, found, problems, time.time()))
    _leave(report)


@app.command()
def doctor(
    instance: InstanceOption = HERE,
) -> None:
    """Check everything, and say what to do about what is wrong.

    From PeerTube to the peers: every page of the database is read, and every approved peer asked. Exit
    status 7: something is wrong.
    """
    from daemon.doctor import examination
    from daemon.doctor.peers import network
    from federation.http.client import new_session

    subject = _subject(instance)

    async def examine() -> Report:
        async with new_session() as session:
            return await examination.full(subject, network(session, time.time()))

    report = asyncio.run(examine())
    result(report.as_json(), lambda: _show(report))
    _leave(report)


def _subject(instance: Instance) -> Subject:
    from daemon.doctor.examination import Subject
    from daemon.source import plugin_probe

    config = instance.config
    running = daemon_lock.find(config.data_dir)
    source, probe = config.source, None
    if isinstance(source, PeerTubeSource):
        secret = source.secret.get_secret_value()
        probe = plugin_probe.probe_now(source.url, secret, host=config.instance.host)
    return Subject(config, running, running_daemon.ask(running, config), probe)


def _leave(report: Report) -> None:
    if report.wrong:
        raise typer.Exit(SOMETHING_WRONG)


def _show(report: Report) -> None:
    for one in report.results:
        _line(one)
    prose("")
    prose(report.sentence, bold=True)


def _line(one: Result) -> None:
    begin = f"{_MARKS[one.outcome]:{_MARK}}{one.check:{_NAME}}"
    paragraph(f"{begin}{one.sentence}", indent=0, hanging=len(begin))
    if one.next_step:
        paragraph(f"-> {one.next_step}", indent=len(begin), hanging=3)
