"""The host name in what people paste as the address of an instance."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from daemon.config.types import check_host

LONGEST: Final = 500
"""Characters that are looked at."""
_ROUND_IT: Final = "<>\"'\u200b\ufeff"
"""Quotes, and invisible characters that chat programs add."""
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_ACCOUNT: Final = re.compile(r"(?:acct:)?@?(?:[^@\s]+@)?([^@]*)", re.IGNORECASE)
_USUAL_PORTS: Final = {"": {443}, "https": {443}, "http": {80, 443}}


class NoHostError(ValueError):
    """There is no host name in what was pasted; `advice` says what to do."""

    advice = 'Paste it from the browser, or write "video.example.org".'

    def __init__(self) -> None:
        super().__init__("is not the address of an instance")


def pasted_host(text: str) -> str:
    """Return the host name, as `check_host` wants it, in the address of a page or the handle of an account.

    Peers are asked over https, whatever scheme was pasted. A name in another script becomes the ASCII form
    that DNS knows (IDNA 2008, mapped as browsers do).

    Raises:
        NoHostError: there is none in it.

    """
    try:
        return check_host(_host(text))
    except ValueError:
        # Parsers have reasons of their own, which are not about what was pasted.
        raise NoHostError from None


def _host(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError("too long")
    rest = text.strip().strip(_ROUND_IT).strip()
    scheme = ""
    if found := _SCHEME.match(rest):
        scheme, rest = found[1].lower(), rest[found.end() :]
    if scheme not in _USUAL_PORTS:
        raise ValueError("not of the web")
    place = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if not scheme:
        account = _ACCOUNT.fullmatch(place)
        # A second @, as in user@good.example@evil.example, would leave open whose address it is.
        place = account[1] if account else ""
    name, colon, port = place.partition(":")
    if port and not (port.isascii() and port.isdecimal() and len(port) <= 5):
        raise ValueError("no port")
    name = _ascii(name.removesuffix("."))
    return f"{name}:{int(port)}" if colon and port and int(port) not in _USUAL_PORTS[scheme] else name


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    # Loads its tables, which few names need.
    import idna

    return idna.encode(name, uts46=True).decode("ascii")


PastedHost = Annotated[str, AfterValidator(pasted_host)]
