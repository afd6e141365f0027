"""The process of a group's host: `python -m daemon.group.hosting.host_process --config FILE --parent PID`.

It runs Flower's SuperLink on loopback and the reverse proxy in front of it, restarts the SuperLink when it
dies or hangs, and ends with its parent, the SuperLink with it. With `group.superlink_service` another service
runs the SuperLink. Its stdout is JSON lines: `ready` or `failed`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from daemon import log
from daemon.config import Config, load
from daemon.errors import ConfigError, ShoalError
from daemon.group import flower_installed
from daemon.group.hosting.reverse_proxy import ReverseProxy
from daemon.group.hosting.superlink_process import HostingError, SuperLink
from daemon.group.hosting.superlink_service import SuperLinkService
from daemon.process.daemon_lock import replace_file
from daemon.process.events import EventWriter, claim_stdout
from daemon.process.limits import end_with
from federation.flower import superlink
from federation.flower.certificates import Material, ensure
from federation.flower.superlink import SuperLinkAccess

logger = logging.getLogger(__name__)

STATE_NAME: Final = "hosting.json"
_LOCK_NAME: Final = "hosting.lock"
_TLS_LOCK_NAME: Final = "certificate.lock"
_LOCK_SECONDS: Final = 3.0
_REPORT_SECONDS: Final = 600.0
_RELOAD_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Hosting:
    """A hosting process: `HOST:PORT` of its reverse proxy, and how this machine reaches its SuperLink."""

    address: str
    access: SuperLinkAccess


def running(config: Config) -> Hosting | None:
    """Return the hosting process of this instance, None if there is none, or it is not ready yet."""
    folder = folder_of(config)
    if not folder.is_dir():
        return None
    lock = FileLock(folder / _LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            state = json.loads((folder / STATE_NAME).read_text("utf-8"))
            host, _, port = str(state["superlink"]).rpartition(":")
            return Hosting(str(state["address"]), superlink.access(folder, int(port), host))
        return None
    lock.release()
    return None


def authority(config: Config) -> bytes:
    """Return the PEM of the authority that members pin; b"" if the admin configured a certificate.

    Raises:
        OSError: the folder cannot be written.
    """
    return b"" if config.group.certificate else _own_material(config).ca.read_bytes()


def main(argv: list[str]) -> int:
    """Host until told to end; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m daemon.group.hosting.host_process", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--parent", type=int, default=0, help="end when this process ends")
    options = parser.parse_args(argv)
    if options.parent:
        end_with(options.parent)
    events = EventWriter(claim_stdout())
    try:
        config = load(options.config)
        log.configure(config)
        flower_installed.require()
        with _only_one(config):
            asyncio.run(_host(config, events))
    except ShoalError as error:
        events.send("failed", **error.as_json())
        return error.exit_code
    except OSError as error:
        failed = HostingError(
            f"the files of the group cannot be used: {error.strerror}",
            advice="Check the permissions of data_dir.",
        )
        events.send("failed", **failed.as_json())
        return failed.exit_code
    except Exception as error:
        logger.exception("hosting crashed")
        message = f"hosting stopped with an unexpected {type(error).__name__}"
        advice = "The log has the details; please report it. The daemon tries again."
        events.send("failed", code="bug", message=message, advice=advice)
        return 1
    return 0


def folder_of(config: Config) -> Path:
    """Return the folder of a host's files."""
    return config.group_dir / "host"


@contextlib.contextmanager
def _only_one(config: Config) -> Iterator[None]:
    folder = folder_of(config)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(folder / _LOCK_NAME)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        raise HostingError(
            "another process already hosts the group of this data directory",
            advice="Stop the other daemon, or set another data_dir.",
        ) from None
    # A process that was killed left its state behind.
    (folder / STATE_NAME).unlink(missing_ok=True)
    try:
        yield
    finally:
        (folder / STATE_NAME).unlink(missing_ok=True)
        lock.release()


async def _host(config: Config, events: EventWriter) -> None:
    folder, settings = folder_of(config), config.group
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    context, files = _context(config)
    service = settings.superlink_service
    link = SuperLinkService(folder, service) if service else SuperLink(folder, settings.superlink_port)
    proxy = ReverseProxy(context, lambda: link.upstream)
    try:
        address = proxy.bind(settings.listen_host, settings.listen_port)
    except OSError as error:
        wanted = f"{settings.listen_host}:{settings.listen_port}"
        raise HostingError(
            f"the group's listener cannot use {wanted} ({error.strerror})",
            advice="Set group.listen_host and group.listen_port to an address and port that are free.",
        ) from None

    def ready() -> None:
        state = {"address": address, "superlink": link.address}
        replace_file(folder / STATE_NAME, json.dumps(state).encode())
        events.send("ready", **state)

    try:
        async with asyncio.TaskGroup() as tasks:
            kept = tasks.create_task(link.keep(ready, proxy.open))
            others = [
                tasks.create_task(_report(proxy)),
                tasks.create_task(_renew(Renewal(context, files))),
            ]
            ended = tasks.create_task(stop.wait())
            await asyncio.wait({kept, ended}, return_when=asyncio.FIRST_COMPLETED)
            for task in (kept, ended, *others):
                task.cancel()
    except* ShoalError as found:
        raise found.exceptions[0] from None
    finally:
        await proxy.close()
        await link.end()


def _context(config: Config) -> tuple[ssl.SSLContext, tuple[Path, Path]]:
    """Return the TLS settings of the reverse proxy, and the files with chain and key."""
    settings = config.group
    if settings.certificate and settings.certificate_key:
        files = (Path(settings.certificate), Path(settings.certificate_key))
    else:
        own = _own_material(config).server
        files = (own, own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An encrypted key must not make the process wait for a password.
        context.load_cert_chain(*files, password="")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise HostingError(
            f"the certificate of the group's listener cannot be used ({why})",
            advice="group.certificate must be a readable PEM chain, and group.certificate_key its key "
            "without a password. Without both settings the daemon makes its own certificate.",
        ) from None
    return context, files


def _own_material(config: Config) -> Material:
    folder = folder_of(config)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Two processes that both find nothing must not both make an authority.
    with FileLock(folder / _TLS_LOCK_NAME, timeout=_LOCK_SECONDS):
        return ensure(folder / "proxy", _names(config), datetime.now(UTC))


def _names(config: Config) -> tuple[str, ...]:
    """Return the names under which members may reach the reverse proxy."""
    try:
        public = urlsplit(config.group.public_url).hostname or ""
        names = [name.encode("idna").decode("ascii") for name in (public, config.group.listen_host) if name]
    except (ValueError, UnicodeError):
        raise ConfigError(("group.public_url: is not an address that members could use",)) from None
    everywhere = {"0.0.0.0", "::"}  # noqa: S104
    return tuple(
        dict.fromkeys([*(name for name in names if name not in everywhere), "localhost", "127.0.0.1"])
    )


async def _report(proxy: ReverseProxy) -> None:
    """Log how many requests were forwarded, and why others were not: nothing about single clients."""
    before: dict[str, int] = {}
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        counts = dict(proxy.counts)
        for outcome, count in counts.items():
            if count != before.get(outcome):
                new = count - before.get(outcome, 0)
                logger.info("requests to the group's listener", extra={"outcome": outcome, "count": new})
        before = counts


class Renewal:
    """Loads a certificate that was renewed; if it cannot be read, the previous one stays in use."""

    def __init__(self, context: ssl.SSLContext, files: tuple[Path, Path]) -> None:
        self._context, self._files, self._seen = context, files, _changed(files)

    def check(self) -> bool:
        """Load the certificate if its files changed; tell whether a new one is in use."""
        now = _changed(self._files)
        if now == self._seen:
            return False
        try:
            self._context.load_cert_chain(*self._files, password="")
        except (OSError, ValueError):
            logger.warning(
                "the new certificate of the group's listener cannot be used; the old one stays in use"
            )
            return False
        self._seen = now
        return True


async def _renew(renewal: Renewal) -> None:
    while True:
        await asyncio.sleep(_RELOAD_SECONDS)
        renewal.check()


def _changed(files: tuple[Path, Path]) -> tuple[int, ...]:
    try:
        return tuple(path.stat().st_mtime_ns for path in files)
    except OSError:
        return ()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
