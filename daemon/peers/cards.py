"""What an instance shows in public: its card, its actor, its plugins, its number of users.

Others have a say in which hosts are asked: PeerTube follows them, an approved peer introduces them, or a
message asks in their name to be approved. So a stranger may choose a name, and let it resolve to any address,
even a private one. That is harmless, and private addresses are not refused, since instances in one private
network are peers like others: nothing is sent before a certificate for that very name was checked, redirects
are not followed, no credential is sent, and of the answer only the fields below are ever shown. How often a
stranger's message has somebody asked is bounded (`policies.rates`), and so are its rows. Plain http is for
this machine only; a name that somebody else chose may not mean this machine unless our own instance does.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from daemon.config.types import check_host, is_loopback
from daemon.errors import ShoalError
from daemon.source import PLUGIN
from federation.envelope import VERSION
from federation.http import CARD_PATH
from federation.identity import parse_key

if TYPE_CHECKING:
    import aiohttp

ROUTER: Final = "/plugins/shoal/router"
PREFIX: Final = b"shoal/2 instance card\x00"
"""Prefix of a statement that an actor signs; the plugin's `identity.js` has the same."""
TIMEOUT: Final = 10.0
MAX_CARD: Final = 8_000
MAX_ACTOR: Final = 64_000
MAX_CONFIG: Final = 1_000_000
MAX_NODEINFO: Final = 64_000
OLDEST: Final = timedelta(days=8)
"""Of a statement: it is dated anew each day, and an old card may name a key that was replaced."""
_RSA_BITS: Final = range(2048, 8193)
_RSA_BITS_HERE: Final = range(1024, 8193)
"""A PeerTube for tests on this machine makes keys of 1,024 bits."""
_JSON: Final = "application/json"
_ACTIVITY: Final = "application/activity+json"


class PeerAnswerError(ShoalError):
    """An instance could not be asked, or its answer is not valid."""

    code = "peer-answer"
    status = 502
    exit_code = 5


class PeerSilentError(PeerAnswerError):
    """An instance did not answer at all."""

    code = "peer-silent"


class NoCardError(PeerAnswerError):
    """An instance answers, but not with a card of Shoal."""


class RedirectError(PeerAnswerError):
    """An instance wants to be asked elsewhere, which could be anywhere."""


@dataclass(frozen=True)
class Card:
    """An instance's host and key (`ed25519:...`); `bound` when its domain's actor signed them."""

    host: str
    key: str
    url: str
    bound: bool


def base_url(host: str) -> str:
    """Return the address of an instance: https, or http for this machine."""
    return f"{'http' if loopback(host) else 'https'}://{host}"


def loopback(host: str) -> bool:
    """Whether a host name, with or without a port, means this machine."""
    return is_loopback(urlsplit(f"//{host}").hostname or "")


def may_be_asked(host: str, me: str) -> bool:
    """Tell whether a host that somebody else named may be asked: not ourselves, nor what runs beside us."""
    try:
        good = check_host(host) == host
    except ValueError:
        return False
    return good and host != me and (not loopback(host) or loopback(me))


async def read_card(session: aiohttp.ClientSession, host: str, url: str, *, now: float) -> Card:
    """Ask the Shoal at `url` for its card, and the actor that the card names for the key that signed it.

    Raises:
        PeerSilentError: there is no answer.
        NoCardError: what answers shows no card.
        PeerAnswerError: the card is not of this host, or its signature is not valid.

    """
    try:
        card = await _json(session, host, url + CARD_PATH, MAX_CARD)
    except (PeerSilentError, RedirectError):
        raise
    except PeerAnswerError as error:
        raise NoCardError(error.message, advice=error.advice) from None
    key, spoken = card.get("key"), card.get("version")
    if isinstance(spoken, int) and spoken != VERSION:
        older = host if spoken < VERSION else "this instance"
        raise PeerAnswerError(
            f"{host} speaks protocol {spoken} of Shoal, this instance {VERSION}",
            advice=f"Update Shoal on {older}; then they find each other.",
        )
    if spoken != VERSION or not isinstance(key, str) or not _is_key(key):
        raise NoCardError(
            f"{host} does not show a card of Shoal",
            advice="Check the address; another program may answer there.",
        )
    if card.get("host") != host:
        raise PeerAnswerError(
            f"the card at {url} is not that of {host}",
            advice="Ask its admin which host name their instance is set up with.",
        )
    if "actor" not in card:
        return Card(host, key, url, bound=False)
    await _check_actor(session, host, key, card, now)
    return Card(host, key, url, bound=True)


async def read_named_card(session: aiohttp.ClientSession, host: str, url: str, *, now: float) -> Card:
    """Read the card of an instance that our admin named, and say more exactly why there is none.

    Raises:
        PeerAnswerError: as `read_card`, or as `why_no_card`.

    """
    try:
        return await read_card(session, host, url, now=now)
    except NoCardError:
        if url != base_url(host) + ROUTER:
            raise
        raise await why_no_card(session, host) from None


async def why_no_card(session: aiohttp.ClientSession, host: str) -> PeerAnswerError:
    """Ask an instance that shows no card what it is, and return that as an error."""
    try:
        version = await plugin_version(session, host)
    except (PeerSilentError, RedirectError) as error:
        return error
    except PeerAnswerError:
        return NoCardError(f"{host} is no PeerTube", advice="Check the name.")
    if not version:
        return NoCardError(
            f"{host} is a PeerTube without Shoal", advice="Ask its admin to install the Shoal plugin."
        )
    return NoCardError(
        f"{host} has the Shoal plugin, but shows no card",
        advice="Its admin has to start the daemon, and enter its address for peers in the plugin's settings.",
    )


async def plugin_version(session: aiohttp.ClientSession, host: str) -> str:
    """Return the version of the plugin that a PeerTube lists among its plugins, empty if it has none.

    Raises:
        PeerSilentError, PeerAnswerError: it could not be asked.

    """
    answer = await _json(session, host, base_url(host) + "/api/v1/config", MAX_CONFIG)
    plugins = answer.get("plugin")
    registered = plugins.get("registered") if isinstance(plugins, dict) else None
    for plugin in registered if isinstance(registered, list) else ():
        if isinstance(plugin, dict) and plugin.get("npmName") == PLUGIN:
            return _short(plugin.get("version")) or "?"
    return ""


async def users(session: aiohttp.ClientSession, host: str) -> int | None:
    """Return how many users an instance has according to its NodeInfo, None if it does not say.

    Raises:
        PeerSilentError, PeerAnswerError: it could not be asked.

    """
    answer = await _json(session, host, base_url(host) + "/nodeinfo/2.0.json", MAX_NODEINFO)
    found: Any = answer
    for name in ("usage", "users", "total"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


async def _check_actor(
    session: aiohttp.ClientSession, host: str, key: str, card: dict[str, Any], now: float
) -> None:
    advice = "Do not approve it, and tell its admin. If its domain or key has just changed, try again later."
    actor, text, signature = card.get("actor"), card.get("statement"), card.get("signature")
    if not (isinstance(actor, str) and isinstance(text, str) and isinstance(signature, str)):
        raise PeerAnswerError(f"the card of {host} is incomplete", advice=advice)
    if not actor.startswith(base_url(host) + "/"):
        raise PeerAnswerError(f"the card of {host} names an actor of another instance", advice=advice)
    statement = _object(text.encode())
    if statement is None or (statement.get("actor"), statement.get("host"), statement.get("key")) != (
        actor,
        host,
        key,
    ):
        raise PeerAnswerError(f"the actor of {host} signed another card", advice=advice)
    _check_date(host, statement.get("date"), now)
    document = await _json(session, host, actor, MAX_ACTOR, accept=_ACTIVITY)
    published = document.get("publicKey")
    owner = published.get("owner") if isinstance(published, dict) else None
    if document.get("id") != actor or document.get("type") != "Application" or owner != actor:
        raise PeerAnswerError(f"the actor of {host} is not the actor of its instance", advice=advice)
    pem = published.get("publicKeyPem") if isinstance(published, dict) else None
    if not _signed(pem, text, signature, _RSA_BITS_HERE if loopback(host) else _RSA_BITS):
        raise PeerAnswerError(f"the actor of {host} did not sign the key on its card", advice=advice)


def _check_date(host: str, date: object, now: float) -> None:
    try:
        day = datetime.strptime(str(date), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        day = datetime.fromtimestamp(0, UTC)
    today = datetime.fromtimestamp(now, UTC)
    if not today - OLDEST <= day <= today + timedelta(days=1):
        raise PeerAnswerError(
            f"the card of {host} is out of date",
            advice="Check the clocks of both instances; then try again.",
        )


def _signed(pem: object, statement: str, signature: str, bits: range) -> bool:
    """Tell whether an RSA key signed a statement: RSASSA-PSS (RFC 8017), SHA-256, with a 32-byte salt."""
    if not isinstance(pem, str):
        return False
    try:
        key = load_pem_public_key(pem.encode())
        if not isinstance(key, RSAPublicKey) or key.key_size not in bits:
            return False
        raw = base64.b64decode(signature, validate=True)
        scheme = PSS(MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
        key.verify(raw, PREFIX + statement.encode(), scheme, hashes.SHA256())
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, binascii.Error):
        return False
    return True


async def _json(
    session: aiohttp.ClientSession, host: str, url: str, limit: int, *, accept: str = _JSON
) -> dict[str, Any]:
    """Get a JSON object of at most `limit` bytes; no redirects, no compression."""
    # Most who import this module show cards and ask nobody.
    from aiohttp import ClientError

    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise _unusable(host, f"sends more than {limit} bytes")
    except (ClientError, OSError, TimeoutError, UnicodeError) as error:
        raise silent(host, error) from None
    if answer.status in {502, 503, 504}:
        raise PeerSilentError(
            f"the Shoal of {host} does not answer (status {answer.status})", advice="Try again later."
        )
    if 300 <= answer.status < 400:
        raise RedirectError(
            f"{host} redirects to another address (status {answer.status})",
            advice="Open it in a browser, and use the name that the address line shows then.",
        )
    if answer.status != 200:
        raise _unusable(host, f"answers with status {answer.status}")
    value = _object(bytes(body))
    if value is None:
        raise _unusable(host, "sends no JSON object")
    return value


def silent(host: str, error: Exception) -> PeerSilentError:
    """Return the error of a request that was not answered in words."""
    from federation.http import unreachable

    trouble = unreachable.trouble_of(error)
    return PeerSilentError(unreachable.sentence(host, trouble), advice=unreachable.advice(trouble))


def _unusable(host: str, what: str) -> PeerAnswerError:
    return PeerAnswerError(
        f"{host} {what}", advice="Check that it is a PeerTube with the Shoal plugin installed and set up."
    )


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_key(text: str) -> bool:
    try:
        parse_key(text)
    except ValueError:
        return False
    return True


def _short(text: object) -> str:
    return text if isinstance(text, str) and len(text) <= 32 and text.isprintable() else ""
