"""The hosting process of a group, started as the daemon starts it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.config import Config, load
from daemon.process.child import python_module
from tests.daemon.running_daemon import instance

SOON = 10.0


@dataclass
class Host:
    """A hosting process and its configuration."""

    config: Config
    process: subprocess.Popen[str]

    def event(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found = json.loads(self.process.stdout.readline())
        assert isinstance(found, dict)
        return found

    @property
    def superlink(self) -> int:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        assert len(children) == 1
        return int(children[0])


def settings(folder: Path, **group: object) -> Path:
    lines = [f"{name} = {json.dumps(value)}" for name, value in {"listen_port": 0, **group}.items()]
    return instance(folder, extra="[group]\n" + "\n".join(lines) + "\n")


@contextlib.contextmanager
def started(path: Path) -> Iterator[Host]:
    command, environment = python_module(
        "daemon.group.hosting.host_process", "--config", str(path), "--parent", str(os.getpid())
    )
    log = (path.parent / "hosting.log").open("a")
    with (
        log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield Host(load(path), process)
        finally:
            process.terminate()
            process.wait(SOON)
