"""The token of one run of the daemon: a user who can read its file is this machine's admin.

Each start makes a new one: what another program could have received on the same port, while no daemon was
listening there, is worth nothing afterwards.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from daemon.errors import NotRunningError
from daemon.process.daemon_lock import replace_file

FILE_NAME: Final = "admin.token"
SIZE: Final = 32
"""Random bytes: too many to guess."""


def create(data_dir: Path) -> str:
    """Make a token and write it where only the owner of the data directory can read it; return it."""
    made = secrets.token_urlsafe(SIZE)
    # A new file, mode 0600, takes the old one's place: a program that has that one open learns nothing.
    replace_file(data_dir / FILE_NAME, made.encode())
    return made


def read(data_dir: Path) -> str:
    """Return the token of the running daemon.

    Raises:
        NotRunningError: there is none.
    """
    try:
        found = (data_dir / FILE_NAME).read_text("ascii").strip()
    except OSError:
        found = ""
    if not found:
        raise NotRunningError(
            f"the daemon is not running: there is no {FILE_NAME} in {data_dir}",
            advice="Start it with `shoal run`.",
        )
    return found


def page_address(api: str, token: str) -> str:
    """Return the page's address on a listener, `host:port`.

    The token stands in the fragment, which browsers do not send: it is in no request, log or referrer.
    """
    host, _, port = api.rpartition(":")
    # A listener on all addresses is reached by this one, too.
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 (nothing is bound here)
    return f"http://{host}:{port}/admin/#token={token}"
