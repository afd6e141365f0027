"""Who may use the admin API: the plugin by its shared secret, this machine's admin by a token in a file.

The token is made anew at each start: one that another program could have been given while no daemon was
listening is worth nothing afterwards. It goes into a header, which makes a browser ask before it sends
anything for a foreign page; no such question is ever answered here. It is in no address, cookie or log.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import Final

from aiohttp import web

from daemon.errors import NotRunningError, ShoalError
from daemon.running import replace_file
from daemon.serve import secret

HEADER: Final = "X-Shoal-Admin"
TOKEN_NAME: Final = "admin.token"  # noqa: S105 (the name of a file)
TOKEN_BYTES: Final = 32


class AdminRefusedError(ShoalError):
    """A request to the admin API without the right credential, or from a foreign web page."""

    code = "admin-refused"
    status = 403


class Access:
    """Holds the token of this run of the daemon."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    @classmethod
    def create(cls, data_dir: Path) -> Access:
        """Make a token and write it where only the owner of the data directory can read it."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        # A new file with mode 0600 takes the old one's place: whoever had that one open learns nothing.
        replace_file(data_dir / TOKEN_NAME, token.encode())
        return cls(token)

    def require(self, request: web.Request) -> None:
        """Let a request through.

        Raises:
            AdminRefusedError: it was sent by a foreign web page, or without a credential.
        """
        if _from_elsewhere(request):
            raise AdminRefusedError(
                "a page of another site sent this",
                advice="Open the admin page in PeerTube, or the address that `shoal admin` prints.",
            )
        given = request.headers.get(HEADER, "").encode("utf-8", "surrogateescape")
        # Both are compared in any case, and how much of one is right takes no time to tell.
        known = [hmac.compare_digest(given, self._token), secret.matches(request)]
        if not any(known):
            raise AdminRefusedError(
                f"the admin API needs the header {HEADER} or {secret.HEADER}",
                advice=f"`shoal admin` prints the page's address with the token; it is in {TOKEN_NAME}.",
            )


def read_token(data_dir: Path) -> str:
    """Return the token of the running daemon.

    Raises:
        NotRunningError: there is none.
    """
    try:
        token = (data_dir / TOKEN_NAME).read_text("ascii").strip()
    except OSError:
        token = ""
    if not token:
        raise NotRunningError(
            f"there is no {TOKEN_NAME} in {data_dir}", advice="Start the daemon with `shoal run`."
        )
    return token


def _from_elsewhere(request: web.Request) -> bool:
    """Tell whether a browser says that another site's page asks; programs say nothing of the kind."""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return True
    origin = request.headers.get("Origin")
    host = request.host.lower()
    # `Origin: null` comes from sandboxed pages and local files: it names nobody, so nobody is let in by it.
    return origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}
