"""Structured logs: one line per event, and a last line of defence against what must never be in one.

Write `logger.info("job done", extra={"job": name, "seconds": 3.2})`. Messages are constant text; everything
that varies is a named field. Fields that could name a person or hold a secret are dropped by name, addresses
by shape.
"""

import fcntl
import ipaddress
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Final

from daemon.config.schema import Config

FORBIDDEN: Final = frozenset(
    {
        "address",
        "cookie",
        "exclude",
        "history",
        "ip",
        "key",
        "password",
        "peername",
        "query",
        "remote",
        "secret",
    }
    | {"seed", "tags", "title", "titles", "token", "url", "uuid", "video", "viewer", "viewers", "pseudonym"}
)
REDACTED: Final = "[redacted]"
LINES_A_MINUTE: Final = 20
"""Of one kind; warnings and errors that repeat as well."""
MAX_KINDS: Final = 500
FILE_NAME: Final = "shoal.log"
FILE_BYTES: Final = 1_000_000
OLDER_FILES: Final = 3
"""That are kept beside the one that is written: `shoal.log.1` is the newest of them."""
_MINUTE: Final = 60.0

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])"
)
_BEARER = re.compile(r"(?i)\b(bearer|token|password|secret)\b([=: ]+)\S+")


def scrub(text: str) -> str:
    """Replace network addresses other than this machine's own, and what follows a word such as "token"."""
    return _BEARER.sub(rf"\1\2{REDACTED}", _ADDRESS.sub(_unless_loopback, text))


def _unless_loopback(match: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return match[0]
    return match[0] if address.is_loopback or address.is_unspecified else REDACTED


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record says, in order, after redaction."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    found: dict[str, Any] = {
        "time": f"{moment}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": scrub(record.getMessage()),
    }
    for name, value in vars(record).items():
        if name in _STANDARD or name.startswith("_"):
            continue
        if name in FORBIDDEN:
            found[name] = REDACTED
        else:
            found[name] = value if isinstance(value, (int, float, bool)) else scrub(str(value))
    if record.exc_info and record.exc_info[0] is not None:
        # Only type and place: messages of exceptions can quote data.
        found["error"] = record.exc_info[0].__name__
        found["trace"] = _trace(record)
    return found


def _trace(record: logging.LogRecord) -> str:
    trace = record.exc_info[2] if record.exc_info else None
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(places))


class TextFormatter(logging.Formatter):
    """`time=... level=info message="job done" job=train`: values with spaces or quotes are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return " ".join(f"{name}={_quote(value)}" for name, value in fields(record).items())


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return json.dumps(fields(record), ensure_ascii=False)


def _quote(value: Any) -> str:
    text = str(value)
    plain = text and all(c.isprintable() and c not in ' "=' for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


class AtMost(logging.Filter):
    """Lets few lines of one kind through in a minute: whoever sends nonsense must not fill the disk with it.

    A kind is the constant text of an event, with its `code` where it has one. The first line after the
    minute tells in `left_out` how many were not written.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._turn = threading.Lock()
        self._kinds: dict[tuple[str, str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written."""
        if record.levelno < logging.INFO:
            return True
        kind = record.name, str(record.msg), str(getattr(record, "code", ""))
        now = self._clock()
        with self._turn:
            if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
                # Texts ought to be constant; where they are not, they are one kind.
                kind = record.name, "", ""
            began, count = self._kinds.get(kind, (now, 0))
            left_out = max(count - LINES_A_MINUTE, 0)
            if now - began >= _MINUTE:
                began, count = now, 0
                if left_out:
                    record.left_out = left_out
            self._kinds[kind] = began, count + 1
            return count < LINES_A_MINUTE


class RotatedFile(WatchedFileHandler):
    """Appends to a file that the daemon and its jobs write together; whoever fills it moves it away.

    Readable by its owner only. A full disk costs lines of the file and nothing else: they went to standard
    error as well.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(folder / FILE_NAME, encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            super().emit(record)
            if self.stream is not None and os.fstat(self.stream.fileno()).st_size >= FILE_BYTES:
                self._move_away(self.stream.fileno())
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        """Stay silent: what logging would print here is not redacted."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding)

    def _move_away(self, mine: int) -> None:
        path = Path(self.baseFilename)
        # Another process that is just doing so makes this an OSError, and the next line goes to its new file.
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            if path.stat().st_ino == os.fstat(mine).st_ino:
                kept = [path, *(path.with_name(f"{FILE_NAME}.{n}") for n in range(1, OLDER_FILES + 1))]
                for older, newer in zip(kept[:0:-1], kept[-2::-1], strict=True):
                    if newer.exists():
                        newer.replace(older)
        finally:
            fcntl.flock(mine, fcntl.LOCK_UN)


def files(folder: Path) -> list[Path]:
    """Return the log files that there are, oldest first."""
    older = [folder / f"{FILE_NAME}.{number}" for number in range(OLDER_FILES, 0, -1)]
    return [path for path in (*older, folder / FILE_NAME) if path.is_file()]


def tail(folder: Path, lines: int) -> list[str]:
    """Return the last lines of the log, oldest first."""
    found: list[str] = []
    for path in reversed(files(folder)):
        if len(found) >= lines:
            break
        found = path.read_text("utf-8", "replace").splitlines() + found
    return found[-lines:] if lines else []


def configure(config: Config, *, level: str = "") -> None:
    """Send every log of this process to standard error, and to a file in the data folder.

    `level` replaces the configured one.
    """
    settings = config.log
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem = ""
    try:
        handlers.append(RotatedFile(config.log_dir))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    for handler in handlers:
        handler.addFilter(AtMost())
        handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel((level or settings.level).upper())
    # Their info level would tell of every run and every connection.
    for name in ("apscheduler", "aiohttp.access", "asyncio", "filelock", "alembic", "httpx", "flwr"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if problem:
        logging.getLogger(__name__).warning("the log file cannot be written", extra={"problem": problem})
