"""The pairing code of the plugin's settings page: its secret and where PeerTube answers, in one word.

`peertube-plugin/server/pairing-code.js` makes it; both are tested against the same codes.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from daemon.config.types import check_secret, check_source_url
from daemon.errors import RequestError

PREFIX: Final = "shoal1_"
MOST: Final = 4_000
"""Characters; a code has about 120."""
_CHECK: Final = 4
_AGAIN: Final = "Copy it again from the plugin's settings page, from shoal1_ to its end."


@dataclass(frozen=True)
class Pairing:
    """What a code holds: the secret of the plugin, and addresses of PeerTube, the nearest first."""

    secret: SecretStr
    addresses: tuple[str, ...]


def read_code(text: str) -> Pairing:
    """Read a code as it was pasted, line breaks and all.

    Raises:
        RequestError: it is no code, or a part of one; nothing of it is in the message.
    """
    code = "".join(text.split())
    if not code.startswith(PREFIX) or len(code) > MOST:
        raise RequestError(f"that is no pairing code: one begins with {PREFIX}", advice=_AGAIN)
    content = _checked(code.removeprefix(PREFIX))
    if content is None:
        raise RequestError("a part of the pairing code is missing, or was changed", advice=_AGAIN)
    secret, *addresses = content.split(" ")
    try:
        return Pairing(check_secret(SecretStr(secret)), _usable(addresses))
    except ValueError as error:
        raise RequestError(f"the pairing code cannot be used: {error}", advice=_AGAIN) from None


def _checked(text: str) -> str | None:
    """Return what the code says, None where its check does not fit."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        check, content = raw[:_CHECK], raw[_CHECK:]
        # The last letter has bits that are decoded to nothing.
        whole = base64.urlsafe_b64encode(raw).decode().rstrip("=") == text
        return content.decode() if whole and check == hashlib.sha256(content).digest()[:_CHECK] else None
    except (binascii.Error, ValueError):
        return None


def _usable(addresses: list[str]) -> tuple[str, ...]:
    """Return those that a daemon may ask: never plain HTTP over a public network. Raises ValueError."""
    found, problem = [], "it holds no address of PeerTube"
    for address in addresses:
        try:
            found.append(check_source_url(address))
        except ValueError as error:
            problem = f"{address} {error}"
    if not found:
        raise ValueError(problem)
    return tuple(found)
