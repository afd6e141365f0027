"""How commands of `shoal` are declared, listed and imported, `--output` of every command, and errors."""

import gc
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from importlib import import_module
from typing import Any, TypeVar, get_type_hints

import click
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.models import ArgumentInfo

from daemon.errors import ShoalError

F = TypeVar("F", bound=Callable[..., Any])


class Output(StrEnum):
    """How results are printed."""

    HUMAN = "human"
    JSON = "json"


class _Chosen:
    """The format that the command line asked for; errors follow it too."""

    output = Output.HUMAN


def human() -> bool:
    """Tell whether the reader is a person."""
    return _Chosen.output is Output.HUMAN


def failure(error: ShoalError) -> None:
    """Print an error and what to do about it."""
    if not human():
        typer.echo(json.dumps(error.as_json(), ensure_ascii=False))
        return
    for number, text in enumerate(error.message.splitlines()):
        typer.secho("       " if number else "Error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(printable(text), err=True)
    if error.advice:
        typer.echo(f"       {printable(error.advice)}", err=True)


def printable(text: str) -> str:
    """Replace control characters: a title must not be able to drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _remember(_context: click.Context, _option: click.Parameter, value: str) -> None:
    _Chosen.output = Output(value)


class _Command(TyperCommand):
    """A command whose result is printed for people, or as one JSON object."""

    def __init__(self, *args: Any, params: list[click.Parameter], **options: Any) -> None:
        output = click.Option(
            ["--output", "-o"],
            type=click.Choice([str(one) for one in Output]),
            default=str(Output.HUMAN),
            show_default=True,
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help="Tables for people, or one JSON object.",
        )
        super().__init__(*args, params=[*params, output], **options)
        texts = _argument_helps(self.callback)
        for one in self.params:
            if isinstance(one, TyperArgument):
                one.help = texts.get(one.name or "")

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Leave arguments to `format_options`, whatever the version of click."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the arguments and options mean."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(ctx):
            if (record := one.get_help_record(ctx)) is not None:
                name, text = record
                # Typer escapes brackets for rich. That an argument is required is in the usage.
                text = text.replace("\\[", "[")
                if isinstance(one, click.Argument):
                    rows["Arguments"].append((name, text.replace("[required]", "").rstrip()))
                else:
                    rows["Options"].append((name, text))
        for title, shown in rows.items():
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown)


def _argument_helps(callback: Callable[..., Any] | None) -> dict[str, str | None]:
    """Return the help of each argument of a command: click 8.5 forgets what typer 0.20 tells it."""
    hints = get_type_hints(inspect.unwrap(callback), include_extras=True) if callback else {}
    infos = ((name, info) for name, hint in hints.items() for info in getattr(hint, "__metadata__", ()))
    return {name: info.help for name, info in infos if isinstance(info, ArgumentInfo)}


@dataclass(frozen=True)
class Entry:
    """A command, or a group of commands, in a module that is imported when it is needed.

    Attributes:
        module: its `app` is the group, or holds the command.
        help: one sentence.
        below: commands of the group that are in modules of their own.
    """

    module: str
    help: str
    below: Mapping[str, "Entry"] = field(default_factory=dict)

    def load(self, name: str) -> click.Command:
        """Import the command or the group of that name."""
        # While modules are imported, garbage is looked for hundreds of times, and there is none.
        gc.disable()
        try:
            group = typer.main.get_group(import_module(self.module).app)
        finally:
            gc.freeze()
            gc.enable()
        if name in group.commands:
            return group.commands[name]
        if isinstance(group, CommandGroup):
            group.elsewhere = self.below
        group.name, group.help = name, self.help
        return group


class CommandGroup(TyperGroup):
    """Commands in the order of the code; those `elsewhere` are imported when they are named."""

    elsewhere: Mapping[str, Entry] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return [*super().list_commands(ctx), *self.elsewhere]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        entry = self.elsewhere.get(cmd_name)
        return super().get_command(ctx, cmd_name) if entry is None else entry.load(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant. Raises click.UsageError with the names that are close."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        close = " or ".join(f"'{one}'" for one in get_close_matches(name, known))
        raise click.UsageError(
            f"There is no command '{name}'.{f' Did you mean {close}?' if close else ''}", ctx
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write one line for each command; click would cut it off."""
        texts = {name: command.help or "" for name, command in self.commands.items()}
        texts |= {name: entry.help for name, entry in self.elsewhere.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_sentence(text)) for name, text in texts.items()])


class Commands(typer.Typer):
    """The commands of one module."""

    def __init__(self, **options: Any) -> None:
        options = {"cls": CommandGroup, "no_args_is_help": True, **options}
        super().__init__(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **options
        )

    def command(self, *args: Any, **options: Any) -> Callable[[F], F]:
        """Register a command."""
        return super().command(*args, cls=_Command, **options)


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, on one line, without its full stop."""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
