"""Instances on loopback, each with the program that it is given: this checkout, or an older release.

They are driven by what administrators use, which later releases keep: the command line, the settings of
0.2.0, and the address of the daemon.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from daemon.source import dataset_files
from daemon.source.dataset import addresses
from tests import ROOT
from tests.daemon.running_daemon import until
from tests.ports import free_port

_WITHIN: Final = 300.0
DATA_SET: Final = "small"
SETTINGS_OF_0_2_0: Final = """mode = "contribute"
[instance]
host = "{host}"
[source]
kind = "dataset"
path = {data}
name = "{name}"
[listen]
api_port = {api}
federation_port = {federation}
[model]
threads = 1
[schedule]
enabled = false
[acceptance]
confirm_first = false
[privacy]
level = "none"
min_video_age = "0s"
window_max = "1h"
min_changed_users = 0
"""
"""As that release reads them. Every later one must, too: they are not to be changed with the program."""
_PEER: Final = '[[peers]]\nhost = "{host}"\nurl = "http://127.0.0.1:{federation}"\nkey = "{key}"\n'


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == 0

    @property
    def json(self) -> Any:
        """What `-o json` printed."""
        return json.loads(self.stdout)

    @property
    def said(self) -> str:
        """All of it, without line breaks."""
        return " ".join(f"{self.stdout} {self.stderr}".split())


@dataclass(frozen=True)
class Program:
    """An installed Shoal, by the Python that runs it; `paths` are where else that looks for modules."""

    name: str
    python: Path
    paths: Sequence[Path] = ()

    def command(self, *words: str, module: str = "daemon.cli.main") -> tuple[list[str], dict[str, str]]:
        """Return a command of `shoal`, or of another of its modules, and the environment for it."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if self.paths:
            environment["PYTHONPATH"] = os.pathsep.join(map(str, self.paths))
        # -P: not what happens to be in the folder where it is run.
        return [str(self.python), "-P", "-m", module, *words], environment

    def shoal(self, *words: str, module: str = "daemon.cli.main") -> Done:
        """Run a command to its end."""
        command, environment = self.command(*words, module=module)
        done = subprocess.run(
            command,
            env=environment,
            cwd=self.python.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN,
        )
        return Done(done.returncode, done.stdout, done.stderr)


CHECKOUT: Final = Program("this checkout", Path(sys.executable), (ROOT,))


@dataclass
class Instance:
    """One instance, and its daemon while that runs."""

    host: str
    folder: Path
    data: Path
    program: Program
    api: int = field(default_factory=free_port)
    federation: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Path:
        """Its settings."""
        return self.folder / "shoal.toml"

    def shoal(self, *words: str) -> Done:
        """Run a command of its program on it, with the answer as JSON."""
        return self.program.shoal(*words, "-c", str(self.settings), "-o", "json")

    def must(self, *words: str) -> Any:
        """Run a command that has to succeed; returns what it answered."""
        done = self.shoal(*words)
        if not done.ok:
            raise AssertionError(f"{self.host}, {self.program.name}: shoal {' '.join(words)}: {done.said}")
        return done.json

    def videos(self) -> list[str]:
        """Return the addresses of its videos, first those whom most of its viewers like."""
        found = replace(dataset_files.read(self.data), name=DATA_SET)
        likes = Counter(found.items.tolist())
        all_ = addresses(found)
        return [all_[video] for video, _ in likes.most_common()]

    def hello(self) -> Mapping[str, Any]:
        """Say hello to all peers; returns what came of it."""
        done = self.program.shoal("peers", "--config", str(self.settings), module="daemon.jobs")
        last = json.loads(done.stdout.splitlines()[-1]) if done.ok else {}
        if last.get("event") != "done":
            raise AssertionError(f"{self.host}, {self.program.name}, says no hello: {done.said}")
        result: Mapping[str, Any] = last["result"]
        return result

    def begin(self) -> str:
        """Make its key as `shoal init` of its program does; returns the public one."""
        where = "init", str(self.folder), "--host", self.host, "--data", str(self.data), "-o", "json"
        done = self.program.shoal(*where)
        if not done.ok:
            raise AssertionError(f"{self.host}, {self.program.name}: {done.said}")
        return str(done.json["key"])

    def know(self, others: Sequence[Instance], keys: Mapping[str, str]) -> None:
        """Write settings by which these others are its peers."""
        set_ = {"data": json.dumps(str(self.data)), "name": DATA_SET}
        ports = {"api": self.api, "federation": self.federation}
        lines = [SETTINGS_OF_0_2_0.format(host=self.host, **set_, **ports)]
        lines += [
            _PEER.format(host=one.host, federation=one.federation, key=keys[one.host])
            for one in others
            if one is not self
        ]
        self.settings.write_text("".join(lines), "utf-8")

    def start(self) -> None:
        """Run its daemon, and wait until it answers."""
        command, environment = self.program.command("run", "-c", str(self.settings))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        process = self._process
        until(lambda: process.poll() is not None or self.get("/health/live")[0] == 200, _WITHIN)
        if process.poll() is not None:
            raise AssertionError(f"{self.host}, {self.program.name}, did not start: {self.log.read_text()}")

    def stop(self) -> None:
        """Stop its daemon, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def log(self) -> Path:
        """What its daemon logged."""
        return self.folder / "daemon.log"

    def get(self, path: str, **parameters: str) -> tuple[int, Any]:
        """Return status and answer of its daemon; 0 where nobody answers."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.api}{path}{query}", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, None
