"""`shoal identity`: the key of this instance, as the admins of peers compare it, and its replacement."""

import time

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, InstanceOption, Yes
from daemon.cli.key_words import show_words
from daemon.cli.terminal import confirm, line, out, prose, result
from daemon.peers import rotation
from daemon.process.daemon_lock import only_daemon
from federation.identity import format_key
from federation.key_words import words

app = Commands()


@app.command()
def show(instance: InstanceOption = HERE) -> None:
    """Show the public key and its eight words, for the admins of peers to compare."""
    public = instance.public
    spoken = words(public.key)
    waiting = len(rotation.pending(instance.config, public))
    found = {
        "host": public.host,
        "key": format_key(public.key),
        "words": list(spoken),
        "rotations_not_taken": waiting,
    }

    def show() -> None:
        line(f"{public.host}  {format_key(public.key)}")
        out.print()
        show_words(spoken)
        out.print()
        prose(
            "An admin who approves this instance sees these words. Read them out over a channel other than "
            "this web site, such as the telephone."
        )
        if waiting:
            prose("Some peers have not taken this key yet. The daemon keeps telling them.")

    result(found, show)


@app.command()
def rotate(instance: InstanceOption = HERE, *, yes: Yes = False) -> None:
    """Replace the key. Peers need not approve again, because the old key signs the new one.

    The daemon must be stopped. Sums in progress are left, and peers get nothing of this instance for one data
    window, because what it gave before was sealed under the old key.
    """
    # Loads NumPy.
    from daemon.rounds import rotate_key

    config = instance.config
    confirm("Replace the key of this instance? The old one is deleted.", yes=yes)
    with only_daemon(config.data_dir):
        done = rotate_key.rotate(config, instance.store, time.time())
    spoken = words(done.new)
    found = {
        "old": format_key(done.old),
        "new": format_key(done.new),
        "words": list(spoken),
        "abandoned": done.abandoned,
    }

    def show() -> None:
        line(f"The new key is {format_key(done.new)}")
        out.print()
        show_words(spoken)
        out.print()
        prose(
            "Start the daemon. It shows every peer the old key's signature until all have taken the new key; "
            "`shoal identity show` tells whether some have not. With PeerTube, the plugin signs the new key "
            "first."
        )
        if done.abandoned:
            prose(f"Sums in progress that were left: {done.abandoned}.")

    result(found, show)
