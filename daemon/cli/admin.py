"""`shoal admin`: where the admin page of the running daemon is."""

import typer

from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("admin")(admin)


def admin(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Print the address of the admin page on this machine, good until the daemon stops."""
    from rich.text import Text

    from daemon.config import load
    from daemon.errors import NotRunningError
    from daemon.process.daemon_lock import find
    from daemon.serve.admin import token

    settings = load(config)
    running = find(settings.data_dir)
    if running is None:
        raise NotRunningError(
            f"no daemon serves {settings.data_dir}", advice=f"Start one with: shoal run -c {config}"
        )
    address = token.page_address(running.api, token.read(settings.data_dir))

    def show() -> None:
        # Unbroken, so that it can be copied or clicked.
        out.print(Text(address), soft_wrap=True)
        out.print(
            "Open it on this machine, or through an SSH tunnel to it. Whoever has it can do what you can "
            "do there, until the daemon stops."
        )

    result(output, {"url": address, "token_file": str(settings.data_dir / token.FILE_NAME)}, show)
