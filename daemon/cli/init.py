"""`shoal init`: a folder with a commented configuration and a key of its own."""

import getpass
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from daemon.cli.command import Commands
from daemon.cli.terminal import line, prose, result
from daemon.config import FILE_NAME, Config, PeerTubeSource, load
from daemon.config.template import render
from daemon.errors import ConfigError, RequestError
from daemon.identity import open_identity
from daemon.process.daemon_lock import replace_file
from federation.identity import format_key

app = Commands()
_FLAGS: Final = {
    "instance.host": "--host",
    "source.path": "--data",
    "source.url": "--peertube",
    "source.secret": "--secret",
}
"""The option that a setting comes from."""


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="New folder for the configuration and data.")],
    *,
    peertube: Annotated[
        str, typer.Option(metavar="URL", help="PeerTube to read from, such as http://127.0.0.1:9000.")
    ] = "",
    secret: Annotated[
        str, typer.Option(help="Secret from the plugin's settings page; without it, you are asked.")
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Read from a data set in this folder instead.", exists=True, file_okay=False),
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="Host name of the instance, which cannot change later; PeerTube tells its own."),
    ] = "",
) -> None:
    """Write shoal.toml and create the key of a new instance.

    The file lists every setting with its reason. With --peertube, the plugin is asked first, so that what is
    written works.
    """
    path = directory / FILE_NAME
    if path.exists():
        raise RequestError(f"{path} exists already", advice="Give another folder, or edit that file.")
    if bool(peertube) and data is not None:
        raise RequestError("--peertube and --data exclude each other", advice="Give one of them.")
    if secret and not peertube:
        raise RequestError("--secret needs --peertube", advice="Give the address of PeerTube as well.")
    values: dict[str, dict[str, Any]] = {"instance": {"host": host or _default_host(peertube)}}
    if peertube:
        shared = secret or getpass.getpass("Secret of the plugin: ")
        values["source"] = {"kind": "peertube", "url": peertube, "secret": shared}
    else:
        values["source"] = {"path": str(data.resolve()) if data else "dataset"}
    source = _checked(values).source
    if isinstance(source, PeerTubeSource):
        values["instance"]["host"] = _host_of(source)
        _checked(values)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(path, render(values).encode())
    config = load(path, {})
    public = open_identity(config.identity_file, config.instance.host).public

    def show() -> None:
        line(f"Wrote {path}, with every setting and its reason.")
        line(f"This instance is {public.host}, and peers know it by this key:")
        line(f"  {format_key(public.key)}")
        if peertube:
            prose("The file holds the plugin's secret: let nobody but its owner read it.")
        elif data is None:
            line(f"Set source.path in {path} to the folder of a data set.")
        line(f"Next: shoal run -c {directory}")

    result({"config": str(path), "host": public.host, "key": format_key(public.key)}, show)


def _default_host(peertube: str) -> str:
    """Return a placeholder where PeerTube tells its name later; otherwise ask the person who types."""
    if peertube:
        return "video.example.org"
    if not sys.stdin.isatty():
        raise RequestError(
            "the host name of the instance is missing",
            advice="Give --host, such as --host video.example.org. It cannot change later.",
        )
    return str(typer.prompt("Host name of the instance (it cannot change later)", err=True))


def _checked(values: dict[str, dict[str, Any]]) -> Config:
    """Return the settings as the file would give them. Raises ConfigError that names the options."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / FILE_NAME
        replace_file(draft, render(values).encode())
        try:
            return load(draft, {})
        except ConfigError as error:
            problems = [problem.partition(":") for problem in error.problems]
    named = (f"{_FLAGS.get(setting, setting)}{colon}{rest}" for setting, colon, rest in problems)
    raise ConfigError(tuple(named), where="the command")


def _host_of(source: PeerTubeSource) -> str:
    """Return what the instance is called, as its plugin says.

    Raises:
        SourceError: the plugin does not answer, or knows another secret.

    """
    # Loads aiohttp.
    from daemon.source import peertube

    with peertube.open_client(source) as client:
        return peertube.PeerTubeExport(client).status.host
