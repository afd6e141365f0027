"""`shoal identity`: the key of this instance, as peers' admins compare it, and its replacement."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.prose import paragraph
from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result
from daemon.errors import RequestError

app = typer.Typer(help="The key of this instance: show its words, replace it.", no_args_is_help=True)


@app.command("show")
def show_(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Show the public key and its eight words, for peers' admins to compare."""
    from daemon.config import load
    from daemon.identity import open_identity
    from daemon.peers import rotation
    from federation.identity import format_key
    from federation.key_words import words

    settings = load(config)
    public = open_identity(settings.identity_file, settings.instance.host, create=False).public
    spoken = words(public.key)
    waiting = len(rotation.pending(settings, public))
    found = {
        "host": public.host,
        "key": format_key(public.key),
        "words": list(spoken),
        "rotations_not_taken": waiting,
    }

    def show() -> None:
        out.print(f"{public.host}  {format_key(public.key)}")
        out.print()
        _print_words(spoken)
        out.print()
        paragraph(
            "An admin who approves this instance sees these words. Read them out over another channel than "
            "this web site: by telephone, or in person.",
            indent=0,
        )
        if waiting:
            paragraph("Some peers have not heard of this key yet; the daemon tells them by itself.", indent=0)

    result(output, found, show)


@app.command("rotate")
def rotate(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Replace the key. The old one signs that the new one follows, so peers need not approve again.

    Sums under way are left, and peers get nothing of this instance for one data window: what it gave before
    was sealed under the old key.
    """
    import sys
    import time

    from daemon.config import load
    from daemon.process.daemon_lock import only_daemon
    from daemon.rounds import rotate_key
    from daemon.store.engine import open_checked
    from federation.identity import format_key
    from federation.key_words import words

    settings = load(config)
    if not yes:
        if output is not Output.HUMAN or not sys.stdin.isatty():
            raise RequestError("replacing the key is not undone", advice="Confirm it with --yes.")
        if not typer.confirm("Replace the key of this instance? The old one is deleted.", err=True):
            raise typer.Exit(3)
    with only_daemon(settings.data_dir):
        done = rotate_key.rotate(settings, open_checked(settings.database), time.time())
    spoken = words(done.new)
    found = {
        "old": format_key(done.old),
        "new": format_key(done.new),
        "words": list(spoken),
        "abandoned": done.abandoned,
    }

    def show() -> None:
        out.print(f"The new key is {format_key(done.new)}")
        out.print()
        _print_words(spoken)
        out.print()
        paragraph(
            "Start the daemon: it tells every peer, and shows each the old key's signature until all have "
            "taken the new one (`shoal identity show` says whether some have not). With PeerTube, the plugin "
            "signs the new key by itself, and only then peers take it.",
            indent=0,
        )
        if done.abandoned:
            paragraph(f"Sums under way that were left: {done.abandoned}.", indent=0)

    result(output, found, show)


def _print_words(words: tuple[str, ...]) -> None:
    for four in (words[:4], words[4:]):
        out.print("    " + "  ".join(f"{word:<8}" for word in four).rstrip())
