"""Unmodified Flower processes for tests: a SuperLink, SuperNodes, and a run of an app."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port

BIN = Path(sys.executable).parent


@dataclass
class Flower:
    """A stock SuperLink on loopback, and what belongs to it; everything ends with `running`."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "FLWR_HOME": str(self.folder / "home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
        }

    def start(self, name: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, str(BIN / program), *arguments],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )
        return self.processes[name]

    def superlink(self) -> None:
        home = self.folder / "home"
        home.mkdir()
        lines = ["[superlink]", 'default = "lab"', "[superlink.lab]"]
        lines += [f'address = "127.0.0.1:{self.port}"', "insecure = true"]
        (home / "config.toml").write_text("\n".join(lines))
        self.start(
            "superlink",
            "flower-superlink",
            *("--insecure", "--host", "127.0.0.1", "--port", str(self.port)),
            "--disable-runtime-dependency-installation",
        )
        self.until("the SuperLink answers", self._healthy)

    def supernode(self, name: str, config: str) -> None:
        self.start(
            name,
            "flower-supernode",
            *("--insecure", "--superlink", f"127.0.0.1:{self.port}", "--port", str(free_port())),
            *("--node-config", config),
        )

    def run(self, app: Path, config: str) -> None:
        done = subprocess.run(
            [sys.executable, str(BIN / "flwr"), "run", str(app), "lab", "--run-config", config],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def kill(self, name: str) -> None:
        """As a cut of power would: the process and its children, without a word."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def until(self, what: str, holds: Callable[[], bool], within: float = 120.0) -> None:
        deadline = time.monotonic() + within
        while not holds():
            gone = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not gone, f"{what}: {gone} ended\n{self.logs()}"
            assert time.monotonic() < deadline, f"{what}: not within {within:g} s\n{self.logs()}"
            time.sleep(0.1)

    def result(self, out: Path) -> dict[str, object]:
        self.until("the run ends", (out / "result.json").exists, within=300.0)
        found: dict[str, object] = json.loads((out / "result.json").read_text())
        return found

    def logs(self) -> str:
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in self.folder.glob("*.log")
        )

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running(folder: Path) -> Iterator[Flower]:
    flower = Flower(folder)
    try:
        flower.superlink()
        yield flower
    finally:
        for name in list(flower.processes):
            flower.kill(name)
