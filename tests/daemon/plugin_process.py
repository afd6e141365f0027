"""The plugin in a host that loads it as PeerTube does, as a process; see plugin_host.mjs."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from tests import ROOT

NODE = shutil.which("node")


class Plugin:
    """The host's process."""

    def __init__(self, major: int) -> None:
        modules = ROOT / "tests" / "plugin" / "node_modules"
        assert modules.is_dir(), "run first: npm --prefix tests/plugin ci"
        self.process = subprocess.Popen(
            [str(NODE), str(ROOT / "tests" / "daemon" / "plugin_host.mjs"), str(major)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self._line()

    def ask(self, action: str, **parameters: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": action, **parameters}) + "\n")
        self.process.stdin.flush()
        return self._line()["result"]

    def call(self, user: int, method: str, path: str) -> tuple[int, Any]:
        found = self.ask("call", user=user, method=method, path=path)
        return found["status"], found["body"]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def _line(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the host ended"
        return json.loads(line)
