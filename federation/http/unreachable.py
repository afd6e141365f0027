"""Why an instance could not be reached, in words: what happened, and what to do next.

The texts of aiohttp's and the system's errors are not shown: they hold IP addresses.
"""

from __future__ import annotations

import ssl
from enum import StrEnum
from typing import Final

import aiohttp


class BusyError(aiohttp.ClientError):
    """It answered that it takes no request just now."""


class Trouble(StrEnum):
    """What kept a request from being answered."""

    UNKNOWN_NAME = "unknown-name"
    """The name cannot be resolved."""
    CLOSED = "closed"
    """There is a machine, or a route to none, and nothing accepts the connection."""
    SILENT = "silent"
    """No answer in time."""
    EXPIRED = "expired"
    """Its certificate is no longer valid, or not yet."""
    OTHER_NAME = "other-name"
    """Its certificate is for another name."""
    UNTRUSTED = "untrusted"
    """Nobody whom this machine trusts signed its certificate."""
    NO_TLS = "no-tls"
    """It does not speak TLS at that port."""
    BUSY = "busy"
    BROKEN_OFF = "broken-off"
    """The connection ended before the answer did, or the answer was no HTTP."""


# X509_V_ERR_... of OpenSSL; Python's ssl has no names for them.
_DATES: Final = frozenset({9, 10})
_NAMES: Final = frozenset({62, 64})


def trouble_of(error: BaseException) -> Trouble:
    """Return what is behind an error of an aiohttp request: `ClientError`, `OSError` or `UnicodeError`."""
    if isinstance(error, BusyError):
        return Trouble.BUSY
    # aiohttp's errors of time are of both kinds, so time comes first.
    if isinstance(error, TimeoutError):
        return Trouble.SILENT
    if isinstance(error, aiohttp.ClientConnectorDNSError | UnicodeError | aiohttp.InvalidURL):
        return Trouble.UNKNOWN_NAME
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _of_certificate(error.certificate_error)
    if isinstance(error, aiohttp.ClientSSLError):
        return Trouble.NO_TLS
    if isinstance(error, aiohttp.ClientConnectorError):
        return Trouble.CLOSED
    return Trouble.BROKEN_OFF


def _of_certificate(error: Exception) -> Trouble:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _DATES:
            return Trouble.EXPIRED
        if error.verify_code in _NAMES:
            return Trouble.OTHER_NAME
    return Trouble.UNTRUSTED


def sentence(host: str, trouble: Trouble) -> str:
    """Say what happened, without a full stop."""
    return _TOLD[trouble][0].format(host=host)


def advice(trouble: Trouble) -> str:
    """Say what to do next."""
    return _TOLD[trouble][1]


_ASK_ITS_ADMIN: Final = "Try again later; if it lasts, ask its admin."
_TOLD: Final = {
    Trouble.UNKNOWN_NAME: (
        "{host} cannot be reached: there is no such name",
        "Check its spelling; if it is right, check the DNS of this machine.",
    ),
    Trouble.CLOSED: (
        "{host} cannot be reached: nothing accepts a connection there",
        f"Check the name and the port. {_ASK_ITS_ADMIN}",
    ),
    Trouble.SILENT: ("{host} cannot be reached: there was no answer in time", _ASK_ITS_ADMIN),
    Trouble.EXPIRED: (
        "{host} cannot be reached: its certificate is out of date",
        "Check the clock of this machine; if it is right, tell its admin to renew the certificate.",
    ),
    Trouble.OTHER_NAME: (
        "{host} cannot be reached: its certificate is for another name",
        "Check the name; if it is right, tell its admin.",
    ),
    Trouble.UNTRUSTED: (
        "{host} cannot be reached: its certificate is not signed by an authority that this machine trusts",
        "Check the name; if it is right, tell its admin.",
    ),
    Trouble.NO_TLS: ("{host} cannot be reached: it does not speak TLS there", "Check the name and the port."),
    Trouble.BUSY: ("{host} cannot be reached: it is too busy", "Try again later."),
    Trouble.BROKEN_OFF: ("{host} cannot be reached: the connection broke off", _ASK_ITS_ADMIN),
}
