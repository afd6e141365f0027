"""What the other side says: whether PeerTube and its plugin answer, and if not, what is wrong and what to do.

Two requests at most where all is well. The secret is sent only to what says that it is a PeerTube with the
plugin. `shoal init`, `run`, `status` and `doctor` all ask here, so that they say the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import version as installed_version
from typing import Any, Final

import aiohttp

from daemon.errors import SourceError
from daemon.source import PLUGIN
from daemon.source import peertube_rows as rows
from daemon.source.peertube_client import EXPORT, MAX_ANSWER, SECRET_HEADER
from federation.http.unreachable import Trouble, trouble_of

WITHIN: Final = 3.5
"""Seconds for all requests together."""
CLOCK_LIMIT: Final = 300.0
"""Seconds that the clocks may differ: peers refuse messages that are dated further off."""
CONFIG_PATH: Final = "/api/v1/config"
_ANY_CALLER: Final = "/plugins/shoal/router/why/v1/reasons"
"""A page of the plugin that needs no secret; without a video it answers 400."""
_BEHIND_A_WEB_SERVER: Final = frozenset({502, 503, 504})


class Outcome(StrEnum):
    """What the probe found; everything but OK is a problem with a next step."""

    OK = "ok"
    DOWN = "down"
    """Nothing listens at the address, or only a web server with nothing behind it."""
    UNKNOWN_ADDRESS = "unknown-address"
    """The name in the address cannot be resolved."""
    SILENT = "silent"
    """No answer in time."""
    NO_TLS = "no-tls"
    """The certificate is not valid, or there is no TLS at that port."""
    NOT_PEERTUBE = "not-peertube"
    """Something else answers."""
    FAILING = "failing"
    """PeerTube answers with errors."""
    PLUGIN_MISSING = "plugin-missing"
    PLUGIN_STOPPED = "plugin-stopped"
    """It is installed, but did not start."""
    SECRET_REFUSED = "secret-refused"  # noqa: S105 (a name)
    PLUGIN_OLD = "plugin-old"
    PLUGIN_NEW = "plugin-new"
    """It is newer than this daemon."""
    MISFIT = "misfit"
    """It answers what this daemon does not understand."""
    OTHER_HOST = "other-host"
    """It belongs to another instance than the one in the settings."""
    CLOCK = "clock"
    """Everything answers, but its clock and ours differ by more than `CLOCK_LIMIT`."""


@dataclass(frozen=True)
class Probe:
    """What one probe found.

    Attributes:
        url: the address that was asked.
        peertube: version of PeerTube, "" where it is not known.
        plugin: version of the plugin, "" where it is not known.
        daemon: version of this daemon.
        host: host name of the instance, "" before the secret was accepted.
        name: what its admin calls it, "" before the secret was accepted.
        participants: how many viewers take part.
        clock_ahead: seconds by which PeerTube's clock is ahead of ours, None where it told no time.
        status: the HTTP status of the answer that did not fit, 0 without one.
        wanted_host: the host that was expected, "" for any.
    """

    outcome: Outcome
    url: str
    peertube: str = ""
    plugin: str = ""
    daemon: str = ""
    host: str = ""
    name: str = ""
    participants: int = 0
    clock_ahead: float | None = None
    status: int = 0
    wanted_host: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.outcome is Outcome.OK

    @property
    def message(self) -> str:
        """One sentence without a full stop, "" where nothing is wrong."""
        return _sentences(self)[0]

    @property
    def advice(self) -> str:
        """What to do next, "" where nothing is wrong."""
        return _sentences(self)[1]

    def error(self) -> SourceError:
        """Return the problem as an error to raise."""
        return SourceError(self.message, advice=self.advice)


def probe_now(url: str, secret: str, *, host: str = "", within: float = WITHIN) -> Probe:
    """Ask once, from a thread without an event loop; see `probe`."""
    return asyncio.run(probe(url, secret, host=host, within=within))


async def probe(
    url: str,
    secret: str,
    *,
    host: str = "",
    within: float = WITHIN,
    clock: Callable[[], float] = time.time,
) -> Probe:
    """Ask PeerTube and the plugin once, and return what they say; raises nothing.

    Args:
        url: address of PeerTube, as in `source.url`.
        secret: of the plugin.
        host: what the instance has to call itself, "" for any.
        within: seconds for everything.
        clock: Unix seconds.
    """
    nothing = Probe(Outcome.SILENT, url, daemon=installed_version("shoal"), wanted_host=host)
    found = _Found(nothing)
    try:
        async with (
            asyncio.timeout(within),
            aiohttp.ClientSession(
                auto_decompress=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
        ):
            return await _ask(_Site(session, url, clock), secret, found)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        # A connection that broke off: something is there, and it does not work.
        return replace(found.so_far, outcome=_OUTCOMES.get(trouble_of(error), Outcome.FAILING))


_OUTCOMES: Final = {
    Trouble.UNKNOWN_NAME: Outcome.UNKNOWN_ADDRESS,
    Trouble.CLOSED: Outcome.DOWN,
    Trouble.SILENT: Outcome.SILENT,
    Trouble.EXPIRED: Outcome.NO_TLS,
    Trouble.OTHER_NAME: Outcome.NO_TLS,
    Trouble.UNTRUSTED: Outcome.NO_TLS,
    Trouble.NO_TLS: Outcome.NO_TLS,
}


@dataclass
class _Found:
    so_far: Probe


@dataclass(frozen=True)
class _Answer:
    status: int
    value: Any
    clock_ahead: float | None

    @property
    def object(self) -> Mapping[str, Any] | None:
        return self.value if self.status == 200 and isinstance(self.value, dict) else None


@dataclass(frozen=True)
class _Site:
    session: aiohttp.ClientSession
    url: str
    clock: Callable[[], float]

    async def get(self, path: str, headers: Mapping[str, str]) -> _Answer:
        began = self.clock()
        async with self.session.get(self.url + path, headers=dict(headers), allow_redirects=False) as answer:
            middle = (began + self.clock()) / 2
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    answer.close()
                    break
            return _Answer(answer.status, _json(bytes(body)), _ahead(answer.headers.get("Date"), middle))


async def _ask(site: _Site, secret: str, found: _Found) -> Probe:
    config = await site.get(CONFIG_PATH, {})
    found.so_far = replace(found.so_far, clock_ahead=config.clock_ahead)
    if config.object is None or not isinstance(config.object.get("serverVersion"), str):
        return _no_peertube(found.so_far, config.status)
    registered = _registered(config.object)
    peertube = config.object["serverVersion"][:50]
    found.so_far = replace(found.so_far, peertube=peertube, plugin=registered or "")
    if registered is None:
        return replace(found.so_far, outcome=Outcome.PLUGIN_MISSING)
    status = await site.get(EXPORT + "status", {SECRET_HEADER: secret})
    if status.status == 404:
        # The plugin does not tell a stranger that there is such a page.
        anybody = await site.get(_ANY_CALLER, {})
        refused = anybody.status == 400
        return replace(found.so_far, outcome=Outcome.SECRET_REFUSED if refused else Outcome.PLUGIN_STOPPED)
    if status.status != 200:
        return replace(found.so_far, outcome=Outcome.FAILING, status=status.status)
    return _judged(found.so_far, status.object or {})


def _no_peertube(found: Probe, status: int) -> Probe:
    if status in _BEHIND_A_WEB_SERVER:
        return replace(found, outcome=Outcome.DOWN, status=status)
    failing = status == 429 or status >= 500
    return replace(found, outcome=Outcome.FAILING if failing else Outcome.NOT_PEERTUBE, status=status)


def _judged(found: Probe, answer: Mapping[str, Any]) -> Probe:
    plugin = answer.get("plugin")
    if isinstance(plugin, str):
        found = replace(found, plugin=plugin[:50])
    ours, theirs = _release(found.daemon), _release(found.plugin)
    if ours is None or theirs is None or ours != theirs:
        # Before its answer is read: that of another release may look different.
        older = ours is not None and theirs is not None and theirs < ours
        newer = ours is not None and theirs is not None and theirs > ours
        kind = Outcome.PLUGIN_OLD if older else Outcome.PLUGIN_NEW if newer else Outcome.MISFIT
        return replace(found, outcome=kind)
    try:
        status = rows.status(answer)
    except SourceError:
        return replace(found, outcome=Outcome.MISFIT)
    found = replace(found, host=status.host, name=status.name, participants=status.participants)
    if found.wanted_host not in {"", status.host}:
        return replace(found, outcome=Outcome.OTHER_HOST)
    off = found.clock_ahead is not None and abs(found.clock_ahead) > CLOCK_LIMIT
    return replace(found, outcome=Outcome.CLOCK if off else Outcome.OK)


def _registered(config: Mapping[str, Any]) -> str | None:
    """Return the version of the plugin that PeerTube has in use, None where it has none."""
    plugins = config.get("plugin")
    registered = plugins.get("registered") if isinstance(plugins, dict) else None
    for one in registered if isinstance(registered, list) else ():
        if isinstance(one, dict) and one.get("npmName") == PLUGIN:
            return str(one.get("version", ""))[:50]
    return None


def _release(version: str) -> tuple[int, int] | None:
    """Return the numbers that plugin and daemon must have in common; None where there are none."""
    parts = version.split(".")[:2]
    if len(parts) < 2 or not all(part.isascii() and part.isdecimal() for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _ahead(date: str | None, now: float) -> float | None:
    """Return how many seconds the header `Date` (RFC 9110) is ahead, None where it is missing."""
    try:
        return round(parsedate_to_datetime(date or "").timestamp() - now, 1)
    except (ValueError, TypeError, OverflowError):
        return None


def _sentences(found: Probe) -> tuple[str, str]:
    known = {
        "url": found.url,
        "status": found.status,
        "plugin": found.plugin,
        "daemon": found.daemon,
        "host": found.host,
        "wanted": found.wanted_host,
        "off": _off(found.clock_ahead or 0.0),
    }
    message, advice = _SENTENCES[found.outcome]
    if found.outcome is Outcome.DOWN and found.status:
        message = "a web server answers at {url}, but PeerTube behind it does not (status {status})"
    elif found.outcome is Outcome.NOT_PEERTUBE and 300 <= found.status < 400:
        message = "what answers at {url} redirects to another address"
    elif found.outcome is Outcome.FAILING and not found.status:
        message = "PeerTube at {url} breaks the connection off"
    return message.format_map(known), advice.format_map(known)


# The log takes away what follows the word "secret", so in these sentences nothing does.
_SENTENCES: Final = {
    Outcome.OK: ("", ""),
    Outcome.DOWN: ("nothing answers at {url}", "Start PeerTube, or correct its address, source.url."),
    Outcome.UNKNOWN_ADDRESS: (
        "the name in {url} cannot be resolved",
        "Correct the address, source.url, or check the DNS of this machine.",
    ),
    Outcome.SILENT: (
        "PeerTube at {url} does not answer in time",
        "Check its load and its log, and that source.url is its address.",
    ),
    Outcome.NO_TLS: (
        "there is no trusted encrypted connection to {url}",
        "Renew the certificate; if that port speaks plain HTTP, begin source.url with http://.",
    ),
    Outcome.NOT_PEERTUBE: (
        "what answers at {url} is not PeerTube",
        "Correct source.url; PeerTube itself usually listens at http://127.0.0.1:9000.",
    ),
    Outcome.FAILING: ("PeerTube at {url} answers with status {status}", "Check PeerTube's log."),
    Outcome.PLUGIN_MISSING: (
        "PeerTube at {url} has no Shoal plugin",
        "Install peertube-plugin-shoal in PeerTube, under Administration > Plugins.",
    ),
    Outcome.PLUGIN_STOPPED: (
        "the Shoal plugin is installed in PeerTube, but did not start",
        'Look for "shoal" in PeerTube\'s log, then restart PeerTube.',
    ),
    Outcome.SECRET_REFUSED: (
        "the plugin does not accept this daemon's secret",
        "Copy the one on the plugin's settings page into shoal.toml, as source.secret.",
    ),
    Outcome.PLUGIN_OLD: (
        "the plugin is of release {plugin}, older than this daemon ({daemon})",
        "Update the plugin in PeerTube, under Administration > Plugins.",
    ),
    Outcome.PLUGIN_NEW: (
        "the plugin is of release {plugin}, newer than this daemon ({daemon})",
        "Update the daemon to the same release.",
    ),
    Outcome.MISFIT: (
        "the plugin's answer does not fit this daemon",
        "Install the same release of both; this daemon is {daemon}.",
    ),
    Outcome.OTHER_HOST: (
        "PeerTube at {url} is {host}, but this instance is {wanted}",
        "Correct source.url; for another host, make a new instance with `shoal init`.",
    ),
    Outcome.CLOCK: (
        "PeerTube's clock is {off} the clock of this machine",
        "Let NTP set both. Peers refuse messages that are dated more than five minutes off.",
    ),
}


def _off(ahead: float) -> str:
    return f"{span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'}"


def span(seconds: float) -> str:
    """Write a length of time in the largest unit that fits."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        # A little less than a day is a day, and not 24 hours.
        if seconds >= 0.97 * size:
            number = round(seconds / size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "0 seconds"
