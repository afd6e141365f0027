"""Real instances for tests: a data directory, a daemon in a process of its own, calls to its API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon.process.child import python_module
from daemon.process.daemon_lock import Running, find
from daemon.serve.admin import access, token
from daemon.store import current_model
from daemon.store.migrate import migrate
from models import artefact
from models.labels import Labels
from models.trained import TrainedModel
from tests.models.made import made_labels, made_model

START_SECONDS = 90.0
FORBIDDEN = ("torch", "scipy", "flwr", "alembic", "typer", "click", "rich")

# The daemon as it is, but able to tell which modules it has loaded.
_TELLING = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGUSR1, lambda *_: Path(sys.argv[2]).write_text(" ".join(sys.modules)))
from daemon.serve.__main__ import main
sys.exit(main(["--config", sys.argv[1]]))
"""


def instance(folder: Path, *, host: str = "one.example", extra: str = "", source: Path | None = None) -> Path:
    """Write a configuration with ports that the system chooses and no schedule; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shoal.toml"
    path.write_text(
        f'{extra}\n[instance]\nhost = "{host}"\n'
        f'[source]\npath = "{source or folder / "dataset"}"\n'
        "[listen]\napi_port = 0\nfederation_port = 0\n"
        "[schedule]\nenabled = false\n",
        encoding="utf-8",
    )
    return path


def put_model(
    folder: Path, name: str, model: TrainedModel | None = None, labels: Labels | None = None
) -> None:
    """Store a made-up model and make it the current one."""
    models = folder / "models"
    models.mkdir(exist_ok=True)
    created = datetime(2026, 1, 1, tzinfo=UTC)
    artefact.save(
        model or made_model(), models / name, labels=labels or made_labels(), provenance={}, created=created
    )
    current_model.write(models, name)


@dataclass
class Daemon:
    """A running daemon."""

    config: Path
    process: subprocess.Popen[bytes]
    running: Running
    log: Path

    def call(
        self,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        admin: bool = False,
    ) -> tuple[int, Any]:
        """Return status and JSON body (or text) of one request.

        Args:
            timeout: seconds.
            admin: send the admin's token.
        """
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        types = {} if body is None else {"Content-Type": "application/json"}
        proof = {access.HEADER: token.read(self.config.parent)} if admin else {}
        request = urllib.request.Request(
            f"http://{self.running.api}{path}", data=data, headers={**types, **proof, **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, _body(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _body(error.read())

    def modules(self) -> set[str]:
        """Return the names of the modules that the process has loaded."""
        told = self.config.parent / "modules.txt"
        told.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        until(lambda: told.exists() and told.stat().st_size > 0)
        return set(told.read_text().split())

    def forbidden(self) -> list[str]:
        """Return the packages that must not be loaded while serving, and are."""
        return sorted({name.split(".")[0] for name in self.modules()} & set(FORBIDDEN))

    def logged(self) -> str:
        """Return what it has logged so far."""
        return self.log.read_text("utf-8")


def _body(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode()


@contextlib.contextmanager
def daemon(config: Path, *, within: float = START_SECONDS, **environment: str) -> Iterator[Daemon]:
    """Run a daemon until the end of the block; it must start in so many seconds, and stop when asked to."""
    migrate(config.parent / "shoal.db")
    log = config.parent / "daemon.log"
    env = {**os.environ, **python_module("x")[1], **environment}
    command = [sys.executable, "-P", "-c", _TELLING, str(config), str(config.parent / "modules.txt")]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, env=env)
    try:
        until(lambda: find(config.parent) is not None or process.poll() is not None, within)
        running = find(config.parent)
        if running is None:
            raise AssertionError(f"the daemon did not start: {log.read_text()}")
        yield Daemon(config, process, running, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(15)


def until(condition: Any, seconds: float = START_SECONDS) -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)
