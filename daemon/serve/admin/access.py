"""Who may use the admin API, and read the whole status: the plugin by its secret, the admin by a token.

Both go into a header of their own, which makes a browser ask before it sends anything for a foreign page;
that is never allowed here. Neither is in an address, a cookie or a log.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Final

from aiohttp import web

from daemon.errors import ShoalError
from daemon.serve import plugin_secret
from daemon.serve.admin import token

HEADER: Final = "X-Shoal-Admin"


class AdminRefusedError(ShoalError):
    """A request to the admin API without the right credential, or from a foreign web page."""

    code = "admin-refused"
    status = 403


class Access:
    """Holds the token of this run of the daemon; one for each, at `ACCESS` of the application."""

    def __init__(self, secret_token: str) -> None:
        self._token = secret_token.encode()

    @classmethod
    def create(cls, data_dir: Path) -> Access:
        """Make the token of this run, in its file."""
        return cls(token.create(data_dir))

    def admits(self, request: web.Request) -> bool:
        """Tell whether a request may be told everything."""
        try:
            self.require(request)
        except AdminRefusedError:
            return False
        return True

    def require(self, request: web.Request) -> None:
        """Let a request through.

        Raises:
            AdminRefusedError: it was sent by a foreign web page, or without a credential.
        """
        if _from_elsewhere(request):
            raise AdminRefusedError(
                "the request came from a page of another site",
                advice="Open the admin page in PeerTube, or at the address that `shoal admin` prints.",
            )
        given = request.headers.get(HEADER, "").encode("utf-8", "surrogateescape")
        # Both are compared in any case, and how much of one is right takes no time to tell.
        known = [hmac.compare_digest(given, self._token), plugin_secret.matches(request)]
        if not any(known):
            raise AdminRefusedError(
                f"the admin API needs the header {HEADER} or {plugin_secret.HEADER}",
                advice=f"`shoal admin` prints the address with the token, which is in {token.FILE_NAME}.",
            )


ACCESS: Final = web.AppKey("access", Access)


def _from_elsewhere(request: web.Request) -> bool:
    """Tell whether a browser says that a page of another site asks; programs say nothing of the kind."""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return True
    origin = request.headers.get("Origin")
    host = request.host.lower()
    # `Origin: null` comes from sandboxed pages and local files: it names no site, so it lets nobody in.
    return origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}
