"""What the commands of `shoal group` have in common: settings, store, and talking to other instances."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from daemon.cli.terminal import Output
from daemon.errors import RequestError

if TYPE_CHECKING:
    import aiohttp
    from sqlalchemy import Engine

    from daemon.config import Config

Host = Annotated[str, typer.Argument(metavar="HOST", help="Host name of an instance, such as tube.example.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; what is shown is right.")]

T = TypeVar("T")


@dataclass(frozen=True)
class Instance:
    """One instance, as a command finds it."""

    config: Config
    engine: Engine

    @classmethod
    def open(cls, config_file: Path) -> Instance:
        """Read the settings and open the store."""
        from daemon.config import load
        from daemon.store.engine import open_checked

        config = load(config_file)
        return cls(config, open_checked(config.database))

    def online(self, ask: Callable[[aiohttp.ClientSession], Awaitable[T]]) -> T:
        """Do something that asks other instances, and return what came of it."""
        import asyncio

        from federation.http.client import new_session

        async def run() -> T:
            async with new_session() as session:
                return await ask(session)

        return asyncio.run(run())

    def url_of(self, host: str) -> str:
        """Return where an instance answers: as our book says, else behind its own domain."""
        from daemon.peers import cards, repository

        known = repository.find(self.engine, self.config, host)
        return known.url if known is not None and known.url else cards.base_url(host) + cards.ROUTER


def name_of(host: str) -> str:
    """Return a host name as people type it. Raises RequestError."""
    from daemon.config.types import check_host

    try:
        return check_host(host.removeprefix("https://").rstrip("/"))
    except ValueError as error:
        raise RequestError(f'"{host}" {error}') from None


def confirm(question: str, *, yes: bool, output: Output, advice: str = "Say so with --yes.") -> None:
    """Ask the person who types; where nobody does, refuse.

    Raises:
        RequestError: nobody is there. typer.Exit: the answer is no.

    """
    if yes:
        return
    if output is not Output.HUMAN or not sys.stdin.isatty():
        raise RequestError("nobody is there to be asked", advice=advice)
    if not typer.confirm(question, err=True):
        raise typer.Exit(3)
