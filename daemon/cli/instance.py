"""The instance that a command is about: its settings, store and key, its jobs, and what it asks of others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from daemon.cli.terminal import progress_bar
from daemon.config import Config, load
from daemon.config.pasted_host import NoHostError, pasted_host
from daemon.config.types import check_peer_url
from daemon.errors import JobError, RequestError, ShoalError
from daemon.identity import open_identity
from daemon.jobs.run import run_job
from daemon.process.job_context import JobOutcome

if TYPE_CHECKING:
    import aiohttp
    from sqlalchemy import Engine

    from federation.identity import PublicIdentity

T = TypeVar("T")

quiet_job = partial(run_job, quiet=True)
"""Runs a job that logs errors only: what else it has to say is in its result."""


class Instance:
    """One instance; everything of it is read when it is first asked for."""

    def __init__(self, config_file: Path | str) -> None:
        self.config_file = Path(config_file)

    def __str__(self) -> str:
        return str(self.config_file)

    @cached_property
    def config(self) -> Config:
        """The settings. Raises ConfigError."""
        return load(self.config_file)

    @cached_property
    def store(self) -> Engine:
        """The database, at the schema of this program. Raises StoreError."""
        from daemon.store.engine import open_checked

        return open_checked(self.config.database)

    @property
    def public(self) -> PublicIdentity:
        """The public key. Raises StoreError where there is none yet."""
        return open_identity(self.config.identity_file, self.config.instance.host, create=False).public

    def job(self, name: str, **arguments: str) -> JobOutcome:
        """Run a job to its end, with a progress bar for whoever waits.

        Raises:
            ShoalError: it failed; code, message, advice and exit status are the job's.

        """
        limit = self.config.limits.job_time.total_seconds()
        with progress_bar(name) as progress:
            outcome = asyncio.run(
                quiet_job(name, self.config_file, time_limit=limit, on_progress=progress, arguments=arguments)
            )
        if not outcome.ok:
            raise _failed(outcome)
        return outcome

    def online(self, ask: Callable[[aiohttp.ClientSession], Awaitable[T]]) -> T:
        """Do something that asks other instances, and return what came of it."""
        from federation.http.client import new_session

        async def run() -> T:
            async with new_session() as session:
                return await ask(session)

        return asyncio.run(run())


HERE: Final = Instance("shoal.toml")

InstanceOption = Annotated[
    Instance,
    typer.Option(
        "--config",
        "-c",
        envvar="SHOAL_CONFIG",
        metavar="PATH",
        # Anew for each command, also where it is the default.
        parser=lambda path: Instance(str(path)),
        show_default=False,
        show_envvar=False,
        help="shoal.toml or its folder; without it, $SHOAL_CONFIG or ./shoal.toml.",
    ),
]
Host = Annotated[str, typer.Argument(metavar="HOST", help="Host name of an instance, such as tube.example.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; what is shown is right.")]


def host_name(text: str) -> str:
    """Return the host name in what was typed or pasted, see `pasted_host`. Raises RequestError."""
    try:
        return pasted_host(text)
    except NoHostError as error:
        raise RequestError(f'"{text[:100]}" {error}', advice=error.advice) from None


def peer_url(text: str) -> str:
    """Return the address after `--url`, empty where there is none. Raises RequestError."""
    try:
        return text and check_peer_url(text)
    except ValueError as error:
        raise RequestError(f'--url "{text}" {error}') from None


def one_id(known: Iterable[str], beginning: str, noun: str, see: str) -> str:
    """Return the only id that begins so; `see` is the command that lists them.

    Raises:
        RequestError: none or several do.

    """
    found = sorted({one for one in known if beginning and one.startswith(beginning)})
    if beginning in found:
        return beginning
    if len(found) != 1:
        problem = (
            f'{len(found)} {noun}s begin with "{beginning}"'
            if found
            else f'no {noun} begins with "{beginning}"'
        )
        advice = f"Type more of it, as listed by: {see}" if found else f"List them with: {see}"
        raise RequestError(problem, advice=advice)
    return found[0]


def _failed(outcome: JobOutcome) -> ShoalError:
    """Return the error of a job that ran in another process as one of this process."""
    error: Any = JobError(outcome.message, advice=outcome.advice)
    error.code, error.exit_code = outcome.code, outcome.exit_code
    return error  # type: ignore[no-any-return]
