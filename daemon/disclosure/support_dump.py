"""What a developer needs to know about an instance that has a fault, and nothing about anybody.

Only what is named here is in it: versions, settings that are no text of the admin's, sizes, rounded counts,
how jobs and rounds ended, and the last lines of the log. What was written by others or by the admin goes
through `redaction` besides. Whatever is broken is said, and the rest is there all the same.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sqlite3
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from math import floor, log10
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

import daemon
from daemon import log
from daemon.config import Config, load
from daemon.config.effective import DEFAULT, effective
from daemon.config.load import is_setting
from daemon.disclosure.redaction import Redactor, named, parse, without_titles
from daemon.errors import ConfigError, ShoalError
from daemon.group import repository as groups
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.peers import repository
from daemon.process import daemon_lock
from daemon.store import activity, current_model, model_records, sums
from daemon.store.engine import connect, open_checked, reads, schema_version
from daemon.store.tables import SCHEMA, Engagement, Release, Tag, Video, Viewer

LOG_LINES: Final = 200
_OURS: Final = frozenset({"time", "level", "logger", "message", "error", "trace"})
"""Fields of the log whose values are words of the program."""
_JOBS, _ROUNDS = 30, 20
_FEW = 10
_KNOWN_FILES: Final = frozenset(
    {
        "shoal.db",
        "shoal.db-wal",
        "shoal.db-shm",
        "identity.key",
        "identity.fresh",
        "identity.new",
        "viewers.key",
    }
    | {"daemon.json", "releases.jsonl", "models", "sums", "windows", "journal", "group", "log"}
)
"""In the data folder; others may be named after somebody."""


@dataclass(frozen=True)
class _Instance:
    """What could be opened; the rest is None, and `problems` say why."""

    config_file: Path
    config: Config | None
    store: Engine | None
    redactor: Redactor
    now: float
    problems: tuple[str, ...]


def dump(config_file: Path, *, now: float | None = None) -> str:
    """Return the whole text, in sections. Nothing is asked of others, and nothing is changed."""
    one = _opened(config_file, time.time() if now is None else now)
    parts = [f"Shoal support dump, {_utc(one.now)}. Hosts are numbered, viewers and titles left out.\n"]
    try:
        for title, section in _SECTIONS.items():
            try:
                lines = list(section(one))
            except (ShoalError, OSError, SQLAlchemyError, ValueError, KeyError) as error:
                lines = [f"cannot be read: {_said(error, one.redactor)}"]
            parts.append(f"== {title}\n" + "".join(f"{line}\n" for line in lines or ["nothing"]))
    finally:
        if one.store is not None:
            one.store.dispose()
    return "\n".join(parts)


def _opened(config_file: Path, now: float) -> _Instance:
    nobody = Redactor({})
    try:
        config = load(config_file)
    except ConfigError as error:
        # What is wrong may quote a value, and an unknown key is what somebody typed.
        keys = dict.fromkeys(_key(problem) for problem in error.problems)
        problem = f"settings: unusable: {', '.join(keys)}"
        return _Instance(config_file, None, None, nobody, now, (problem,))
    names = named(config.instance.host, {peer.host for peer in config.peers})
    try:
        store = open_checked(config.database)
    except ShoalError as error:
        redactor = Redactor(names)
        problem = f"database: {redactor.text(error.message)}"
        return _Instance(config_file, config, None, redactor, now, (problem,))
    try:
        names = named(config.instance.host, _hosts(store, config))
    except (SQLAlchemyError, ValueError) as error:
        problem = f"database: {_said(error, nobody)}"
        return _Instance(config_file, config, None, Redactor(names), now, (problem,))
    return _Instance(config_file, config, store, Redactor(names), now, ())


def _key(problem: str) -> str:
    key = problem.partition(":")[0]
    if is_setting(key):
        return key
    return "the file is not valid TOML" if "is not valid TOML" in problem else "something that is no setting"


def _hosts(store: Engine, config: Config) -> set[str]:
    known = set(repository.read(store, config).peers) | {one.host for one in groups.members(store)}
    known |= {host for hosts in activity.survivors_by_round(store).values() for host in hosts}
    for round_ in activity.rounds(store, limit=_ROUNDS):
        known |= {round_.aggregator, *round_.roster}
    return known - {config.instance.host, ""}


def _versions(one: _Instance) -> Iterator[str]:
    yield f"shoal {metadata.version('shoal')}"
    yield f"python {platform.python_version()} {platform.python_implementation()}"
    libc = " ".join(platform.libc_ver())
    yield f"system {platform.system()} {platform.release()} {platform.machine()}, {libc}"
    yield f"sqlite {sqlite3.sqlite_version}"
    wanted = [one for one in metadata.requires("shoal") or () if "extra" not in one.partition(";")[2]]
    for name in sorted({_name(requirement) for requirement in wanted} | {"flwr"}):
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            yield f"{name} is not installed"
    yield from one.problems


def _name(requirement: str) -> str:
    return next(iter(re.findall(r"[\w.-]+", requirement)), requirement)


def _machine(one: _Instance) -> Iterator[str]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield f"processors {os.cpu_count()}, memory {memory / 1e9:.1f} GB"
    if one.config is None:
        return
    disk = shutil.disk_usage(one.config.data_dir)
    yield f"disk of the data folder: {disk.free / 1e9:.1f} of {disk.total / 1e9:.1f} GB free"
    running = daemon_lock.find(one.config.data_dir)
    yield "daemon: not running" if running is None else f"daemon: running since {_ago(one, running.started)}"


def _settings(one: _Instance) -> Iterator[str]:
    for setting in effective(one.config_file):
        if setting.origin == DEFAULT:
            continue
        # The file may be named after somebody.
        origin = "file" if not setting.origin.startswith("SHOAL_") else setting.origin
        value = "(set)" if setting.free_text else setting.value
        if isinstance(setting.value, list):
            value = f"({len(setting.value)})"
        yield f"{setting.key} = {value}  from {origin}"


def _database(one: _Instance) -> Iterator[str]:
    config = _required(one.config)
    engine = connect(config.database)
    try:
        there = schema_version(engine) if config.database.exists() else None
    finally:
        engine.dispose()
    yield f"schema {there or 'none'}, this program knows {SCHEMA}"
    store = _required(one.store)
    with reads(store) as connection:
        for table in (Video, Tag, Viewer, Engagement, Release):
            rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
            yield f"{table.__tablename__}: {_about(rows)}"
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    history = ledger.verify(store, identity.public)
    order = "in order" if history.ok else one.redactor.text(history.problem)
    yield f"ledger: {history.entries} entries, {order}"


def _files(one: _Instance) -> Iterator[str]:
    folder = _required(one.config).data_dir
    others = []
    for path in sorted(folder.iterdir()):
        below = [path, *path.rglob("*")] if path.is_dir() else [path]
        sizes = [each.lstat().st_size for each in below if each.is_file() and not each.is_symlink()]
        if path.name not in _KNOWN_FILES:
            others += sizes
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        count = f", {len(sizes)} files" if path.is_dir() else ""
        yield f"{path.name}: {_size(sum(sizes))}{count}, mode {mode:03o}"
    yield f"others: {_size(sum(others))}, {len(others)} files"


def _models(one: _Instance) -> Iterator[str]:
    config, store = _required(one.config), _required(one.store)
    current = current_model.read(config.models_dir)
    for model in model_records.models(store):
        serves = ", serves" if model.directory == current else ""
        members = f"{len(model.survivors)} members"
        yield f"{_ago(one, model.created)}: {model.kind}, {model.state}, {members}{serves}"
    if current is None:
        yield "no model serves"
    for verdict, number in sorted(Counter(each.verdict for each in sums.records(store)).items()):
        yield f"sums {verdict}: {number}"


def _peers(one: _Instance) -> Iterator[str]:
    config, store = _required(one.config), _required(one.store)
    for host, peer in repository.read(store, config).peers.items():
        seen = "never seen" if peer.seen is None else f"seen {_ago(one, peer.seen)}"
        yield (
            f"{one.redactor.host(host)}: {peer.state}, approves us: {peer.theirs}, from {peer.source}, "
            f"{'key bound' if peer.bound else 'key not bound'}, {seen}, {peer.failures} failures, "
            f"version {one.redactor.text(peer.version)[:20] or 'unknown'}"
        )
    group = groups.current(store)
    if group is not None:
        states = Counter(member.state for member in groups.members(store))
        yield (
            f"group: {group.role}, {group.state}, members {dict(sorted(states.items()))}, "
            f"problem: {one.redactor.text(group.problem) or 'none'}"
        )


def _rounds(one: _Instance) -> Iterator[str]:
    store = _required(one.store)
    for round_ in activity.rounds(store, limit=_ROUNDS):
        reason = one.redactor.text(round_.reason)
        yield (
            f"{_ago(one, round_.started)}: {round_.role} of {one.redactor.host(round_.aggregator)}, "
            f"{round_.outcome}, {len(round_.survivors)} of {len(round_.roster)} members, "
            f"{sum(round_.seconds.values()):.0f} s, "
            f"{_size(round_.bytes_in)} in, {_size(round_.bytes_out)} out"
            f"{f': {reason}' if reason else ''}"
        )
    for code, number in sorted(activity.refusals(store).items()):
        yield f"refused {code}: {_about(number)}"


def _jobs(one: _Instance) -> Iterator[str]:
    for job in activity.jobs(_required(one.store), limit=_JOBS):
        code = f" {job.code}" if job.code else ""
        yield f"{_ago(one, job.ended)}: {job.name} {job.outcome}{code} after {job.ended - job.started:.1f} s"


def _log(one: _Instance) -> Iterator[str]:
    lines = log.tail(_required(one.config).log_dir, LOG_LINES)
    text = "\n".join(lines)
    if one.store is not None:
        # As they are stored; a line quotes what is not plain, so both forms are looked for.
        with reads(one.store) as connection:
            titles = connection.execute(select(Video.title)).scalars()
            text = without_titles(text, (form for title in titles for form in _forms(title)))
    redacted = one.redactor.log_line if one.store is not None else _ours_alone
    shown = [redacted(line) for line in text.split("\n")] if lines else []
    yield from (line for line in shown if line)
    if left_out := sum(not line for line in shown):
        yield f"({left_out} lines in no form of the log are left out)"


def _ours_alone(line: str) -> str:
    """Return what of a line our own code says: without the database, no title would be known for one."""
    found = parse(line)
    if found and f'"{found.get("message", "")}"' not in _source():
        found["message"] = "[left out]"
    return " ".join(f"{name}={value}" for name, value in found.items() if name in _OURS)


@cache
def _source() -> str:
    root = Path(next(iter(daemon.__path__)))
    return "".join(path.read_text("utf-8") for path in root.rglob("*.py"))


def _forms(title: str) -> tuple[str, ...]:
    quoted = json.dumps(title, ensure_ascii=False)[1:-1]
    return (title,) if quoted == title else (title, quoted)


_SECTIONS: Final[dict[str, Callable[[_Instance], Iterator[str]]]] = {
    "Versions": _versions,
    "Machine": _machine,
    "Settings that are no default": _settings,
    "Database": _database,
    "Files": _files,
    "Models and sums": _models,
    "Peers": _peers,
    "Rounds": _rounds,
    "Jobs": _jobs,
    f"Log, the last {LOG_LINES} lines": _log,
}


class _MissingError(ShoalError):
    """What a section is about could not be opened."""


def _required(part: Any) -> Any:
    if part is None:
        raise _MissingError("see the problem under Versions")
    return part


def _said(error: Exception, redactor: Redactor) -> str:
    # Messages of other errors quote data.
    return redactor.text(error.message) if isinstance(error, ShoalError) else type(error).__name__


def _about(number: int) -> str:
    """Round a count, so that it tells how large an instance is and nothing about one of its viewers."""
    if number < _FEW:
        return f"fewer than {_FEW}" if number else "none"
    step = 10 ** floor(log10(number))
    return f"about {round(number / step) * step:,}"


def _size(number: float) -> str:
    for step, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= step:
            return f"{number / step:.0f} {unit}"
    return "under 1 kB"


def _ago(one: _Instance, at: float) -> str:
    hours = max(one.now - at, 0.0) / 3600
    return f"{hours / 24:.0f} d ago" if hours >= 48 else f"{hours:.1f} h ago"


def _utc(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
