"""`shoal init`: a folder with a commented configuration and a key of its own."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.terminal import Output, OutputOption, out, result

if TYPE_CHECKING:
    from daemon.config import PeerTubeSource


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    directory: Annotated[Path, typer.Argument(help="Folder for configuration and data; it is created.")],
    *,
    host: Annotated[str, typer.Option(help="Host name of the PeerTube instance.")] = "video.example.org",
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of a data set to take videos and viewers from.")
    ] = None,
    peertube: Annotated[
        str, typer.Option(help="Address of the PeerTube to read from, such as http://127.0.0.1:9000.")
    ] = "",
    secret: Annotated[
        str, typer.Option(help="The secret on the plugin's settings page; asked for where it is left out.")
    ] = "",
    output: OutputOption = Output.HUMAN,
) -> None:
    """Write a commented shoal.toml with every setting, and create the instance's key.

    With --peertube, the plugin is asked first: what is written works.
    """
    from daemon.config import FILE_NAME, PeerTubeSource, load
    from daemon.config.template import render
    from daemon.errors import ConfigError
    from daemon.identity import open_identity
    from daemon.process.daemon_lock import replace_file
    from federation.identity import format_key

    path = directory / FILE_NAME
    if path.exists():
        raise ConfigError((f"{path} exists already.",), where="it, or give another folder")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if peertube and dataset:
        raise ConfigError(("--peertube and --dataset exclude each other.",), where="the command")
    if secret and not peertube:
        raise ConfigError(("--secret needs --peertube.",), where="the command")
    values: dict[str, dict[str, Any]] = {"instance": {"host": host}}
    if peertube:
        shared = secret or getpass.getpass("Secret of the plugin: ")
        values["source"] = {"kind": "peertube", "url": peertube, "secret": shared}
    else:
        values["source"] = {"path": str(dataset.resolve()) if dataset else "dataset"}
    text = render(values)
    draft = directory / ".draft.toml"
    try:
        # A file that this program would refuse must not stay behind.
        replace_file(draft, text.encode())
        config = load(draft, {})
        if isinstance(config.source, PeerTubeSource):
            values["instance"]["host"] = _host_of(config.source)
            text = render(values)
            replace_file(draft, text.encode())
            config = load(draft, {})
    finally:
        draft.unlink(missing_ok=True)
    replace_file(path, text.encode())
    identity = open_identity(config.identity_file, config.instance.host)
    key = format_key(identity.public.key)

    def show() -> None:
        out.print(f"Wrote {path}, with every setting and its reason.", markup=False)
        out.print(f"This instance is {config.instance.host}, known to peers by this key:", markup=False)
        out.print(f"  {key}", markup=False, soft_wrap=True)
        if peertube:
            out.print("The file holds the plugin's secret: keep it readable by its owner only.")
            out.print(f"Next: shoal run -c {directory}", markup=False)
        elif dataset is None:
            out.print(f"Next: set source.path in {path}, then: shoal run -c {directory}", markup=False)
        else:
            out.print(f"Next: shoal run -c {directory}", markup=False)

    result(output, {"config": str(path), "host": config.instance.host, "key": key}, show)


def _host_of(source: "PeerTubeSource") -> str:
    """Return what the instance is called, as its plugin says.

    Raises:
        SourceError: the plugin does not answer, or knows another secret.
    """
    from daemon.source import peertube_rows
    from daemon.source.peertube import open_client

    with open_client(source) as client:
        return peertube_rows.status(client.export("status")).host
