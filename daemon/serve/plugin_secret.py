"""Requests about viewers are answered for the plugin alone, which knows the shared secret.

Where other machines can reach the API, so is everything else.
"""

import hmac
from typing import Final

from aiohttp import web

from daemon.config import PeerTubeSource
from daemon.errors import ShoalError
from daemon.serve.context import CONTEXT

HEADER: Final = "X-Shoal-Secret"


class SecretRefusedError(ShoalError):
    """A request that only the plugin may send came without its secret."""

    code = "secret-refused"
    status = 403


def require(request: web.Request) -> None:
    """Let a request about a viewer through; a data set as source has nobody to protect.

    Raises:
        SecretRefusedError: the secret is missing or another one; how much of it is right takes no time to
        tell.
    """
    if isinstance(request.app[CONTEXT].config.source, PeerTubeSource):
        require_always(request)


def require_always(request: web.Request) -> None:
    """Let a request of the plugin through, and nobody's where there is none. Raises SecretRefusedError."""
    if not matches(request):
        raise SecretRefusedError(
            f"this request needs the header {HEADER}",
            advice="Set source.secret to the secret from the plugin's settings page.",
        )


def matches(request: web.Request) -> bool:
    """Tell whether a request carries the plugin's secret; never where there is no plugin."""
    source = request.app[CONTEXT].config.source
    if not isinstance(source, PeerTubeSource):
        return False
    given = request.headers.get(HEADER, "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, source.secret.get_secret_value().encode())
