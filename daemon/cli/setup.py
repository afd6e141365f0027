"""`shoal init`: a folder with a commented configuration and a key of its own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.terminal import Output, OutputOption, out, result


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
    output: OutputOption = Output.HUMAN,
) -> None:
    """Write a commented shoal.toml with every setting, and create the instance's key."""
    from daemon.config import FILE_NAME, load
    from daemon.config.template import render
    from daemon.errors import ConfigError
    from daemon.identity import open_identity
    from daemon.running import replace_file
    from federation.identity import format_key

    path = directory / FILE_NAME
    if path.exists():
        raise ConfigError((f"{path} exists already.",), where="it, or give another folder")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    source = str(dataset.resolve()) if dataset else "dataset"
    values: dict[str, dict[str, Any]] = {"instance": {"host": host}, "source": {"path": source}}
    text = render(values)
    draft = directory / ".draft.toml"
    draft.write_text(text, "utf-8")
    try:
        # A file that this program would refuse must not stay behind.
        config = load(draft, {})
    finally:
        draft.unlink()
    replace_file(path, text.encode())
    identity = open_identity(config.identity_file, config.instance.host)
    key = format_key(identity.public.key)

    def show() -> None:
        out.print(f"Wrote {path}, with every setting and its reason.", markup=False)
        out.print(f"This instance is {config.instance.host}, known to peers by this key:", markup=False)
        out.print(f"  {key}", markup=False, soft_wrap=True)
        if dataset is None:
            out.print(f"Next: set source.path in {path}, then: shoal run -c {directory}", markup=False)
        else:
            out.print(f"Next: shoal run -c {directory}", markup=False)

    result(output, {"config": str(path), "host": config.instance.host, "key": key}, show)
