"""Taking out of a text what names a person, a video, an instance or a machine, and what opens something.

For what an admin hands to others. It is the second line of defence: what is handed over is chosen first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from daemon import log

FORBIDDEN: Final = log.FORBIDDEN | {"account", "body", "mail", "name", "user", "users"}
"""Parts of the names of fields that are left out whole."""
HOST, TITLE, URL, KEY, ID, TOKEN, PERSON, PATH = (
    f"[{what}]" for what in ("host", "title", "url", "key", "id", "token", "person", "path")
)
LEAST_TITLE: Final = 5
"""Characters. Shorter titles are words that every text has."""

_OURS: Final = ("daemon", "federation", "models", "policies", "shoal", "apscheduler", "aiohttp", "asyncio")
_SUFFIXES: Final = (
    "py",
    "toml",
    "db",
    "json",
    "jsonl",
    "npy",
    "log",
    "key",
    "lock",
    "safetensors",
    "bin",
    "md",
)

_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+")
_MAIL = re.compile(r"[^\s\"'<>=:,;()@]+@[^\s\"'<>=:,;()]+")
_KEY = re.compile(r"\bed25519:\S+|-----BEGIN.*?-----END[^-]*-----", re.DOTALL)
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_HEX = re.compile(r"\b(?:0x)?[0-9a-fA-F]{12,}\b")
_TOKEN = re.compile(r"(?<![\w+/=-])(?=[\w+/=-]*\d)(?=[\w+/=-]*[a-z])(?=[\w+/=-]*[A-Z])[\w+/=-]{16,}")
_PERSON = re.compile(
    r"(?i)\b(viewers?|users?|accounts?|pseudonyms?)((?:[ =:#'\"]|\bid\b)+)(?=[\w-]*\d)[\w-]+"
)
_PATH = re.compile(r"(?<![\w./:])(?:~|\.{0,2})/[\w.@+-]+(?:/[\w.@+-]+)*")
_DOMAIN = re.compile(r"(?<![\w./-])(?:[\w-]+\.)+[a-zA-Z]{2,}(?::\d+)?(?![\w-])")
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


class Redactor:
    """Knows the hosts that an instance has to do with, by the names under which they may be shown."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        longest_first = sorted(names, key=len, reverse=True)
        either = "|".join(map(re.escape, longest_first)) or "(?!)"
        self._known = re.compile(rf"(?<![\w.-])(?:{either})(?![\w-])", re.IGNORECASE)

    def host(self, host: str) -> str:
        """Return the name that stands for a host."""
        return self._names.get(host.lower(), HOST)

    def text(self, text: str) -> str:
        """Return a text of any origin, redacted."""
        text = _URL.sub(URL, text)
        text = _KEY.sub(KEY, text)
        text = _MAIL.sub(PERSON, text)
        text = self._known.sub(lambda match: self.host(match[0]), text)
        text = log.scrub(text)
        text = _UUID.sub(ID, text)
        text = _TOKEN.sub(TOKEN, text)
        text = _HEX.sub(ID, text)
        text = _PERSON.sub(rf"\1\2{PERSON}", text)
        text = _PATH.sub(PATH, text)
        return _DOMAIN.sub(_unless_ours, text)

    def log_line(self, line: str) -> str:
        """Return a line of the log, redacted; empty where it is none."""
        found = parse(line)
        shown = {name: value for name, value in found.items() if not FORBIDDEN & set(name.split("_"))}
        for name in shown.keys() - {"time", "level", "logger", "error", "trace"}:
            shown[name] = self.text(str(shown[name]))
        return " ".join(f"{name}={value}" for name, value in shown.items())


def without_titles(text: str, titles: Iterable[str]) -> str:
    """Replace titles of videos wherever they stand; very short ones are left."""
    for title in titles:
        if len(title) >= LEAST_TITLE and title in text:
            text = text.replace(title, TITLE)
    return text


def parse(line: str) -> dict[str, str]:
    """Return the fields of a line of the log, in either form; nothing where it is none."""
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except ValueError:
            return {}
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
    if not line.startswith("time="):
        return {}
    return {name: _unquoted(value) for name, value in _FIELD.findall(line)}


def named(own: str, peers: Collection[str]) -> dict[str, str]:
    """Return the names that stand for this instance and for its peers."""
    names = {host.lower(): f"peer-{number}" for number, host in enumerate(sorted(peers), start=1)}
    return names | {own.lower(): "this-instance"}


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value.strip('"')


def _unless_ours(match: re.Match[str]) -> str:
    first, last = match[0].partition(".")[0], match[0].rpartition(".")[2]
    return match[0] if first in _OURS or last in _SUFFIXES else HOST
