"""The README's install commands in a clean Debian, as they stand: `python -m tests.install [--readme FILE]`.

The wheel is that of this folder, PeerTube the plugin in the host of its own tests. After the first reason on
a page it runs the demo. Needs root and debootstrap; prints how long each step took.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests import ROOT
from tests.daemon.plugin_process import NODE, Plugin
from tests.install import wheels
from tests.install.clean_debian import Shell, bootstrap, shell
from tests.install.readme import commands

MOST_COMMANDS: Final = 6
MOST_SECONDS: Final = 300.0
"""From the first command to the first reason, without what pip takes to download and install."""
API: Final = "http://127.0.0.1:9731"
_DIST: Final = "/dist"
_PEERTUBE: Final = 8
_VIEWER: Final = 3


class Steps:
    """What was done and how long it took, printed as it happens."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def note(self, step: str, seconds: float) -> None:
        """Print one step."""
        self.seconds[step] = seconds
        sys.stdout.write(f"{seconds:8.1f} s  {step}\n")
        sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Install and try it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.install", description=__doc__)
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="take the commands from it")
    block = commands(parser.parse_args(argv).readme.read_text("utf-8"))
    if problem := _problem(block):
        sys.stderr.write(f"{problem}\n")
        return 2
    steps = Steps()
    folder = Path(tempfile.mkdtemp(prefix="shoal-install-"))
    try:
        began = time.monotonic()
        dist = folder / "dist"
        dist.mkdir()
        shutil.move(wheels.build(folder), dist)
        shutil.copy(ROOT / "constraints.txt", dist)
        bootstrap(folder / "debian")
        steps.note("(a clean Debian, and the wheel)", time.monotonic() - began)
        variables = {
            "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {_DIST}".strip(),
            "PIP_CONSTRAINT": f"{_DIST}/constraints.txt",
            "PIP_PROGRESS_BAR": "off",
        }
        with shell(folder / "debian", {dist: _DIST}, variables) as debian:
            _try(debian, block, steps)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _problem(block: Sequence[str]) -> str:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        return "This needs root, and debootstrap: apt install debootstrap"
    if not 0 < len(block) <= MOST_COMMANDS:
        return f"The install block has {len(block)} commands, and may have 1 to {MOST_COMMANDS}."
    if not any(_serves(command) for command in block):
        return "No command of the install block runs the daemon (shoal run)."
    return ""


def _try(debian: Shell, block: Sequence[str], steps: Steps) -> None:
    plugin = Plugin(_PEERTUBE)
    try:
        spent = 0.0
        program = next(command.split()[0] for command in block if _serves(command))
        for command in block:
            typed = _filled_in(command, plugin)
            if _serves(command):
                typed = f"{typed} > serving.log 2>&1 &"
            _, seconds = debian.run(typed)
            steps.note(command, seconds)
            spent += 0.0 if "pip install" in command else seconds
        plugin.ask("daemon", url=API)
        began = time.monotonic()
        while not _reason(plugin):
            if spent + time.monotonic() - began > MOST_SECONDS:
                log, _ = debian.run("tail -n 40 serving.log")
                raise AssertionError(
                    f"no reason on a page after {MOST_SECONDS:g} s. The daemon's log:\n{log}"
                )
            time.sleep(1.0)
        steps.note("the first reason on a page", time.monotonic() - began)
        steps.note("(all of it, without pip)", spent + time.monotonic() - began)
        _look_around(debian, program, block)
    finally:
        plugin.close()
    debian.run("kill %1; wait")
    printed, seconds = debian.run(f"{program} demo")
    assert "made up" in printed, printed
    assert "DIFFER" not in printed, printed
    steps.note("shoal demo, on the made-up set", seconds)
    sys.stdout.write(printed)


def _look_around(debian: Shell, program: str, block: Sequence[str]) -> None:
    """Check the version, and the admin page at the address that the command line prints."""
    version, _ = debian.run(f"{program} --version")
    [wheel] = debian.run(f"ls {_DIST}/*.whl")[0].split()
    assert version.split()[1] in wheel, version
    settings = next(command for command in block if _serves(command)).partition(" run")[2]
    address = re.search(r"http://\S+", debian.run(f"COLUMNS=300 {program} admin {settings}")[0])
    assert address is not None
    with urllib.request.urlopen(address[0].partition("#")[0], timeout=10) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read()


def _reason(plugin: Plugin) -> bool:
    """Tell whether a viewer's watch page has suggestions with a reason."""
    try:
        urllib.request.urlopen(f"{API}/health/ready", timeout=5).close()
    except OSError:
        return False
    video = plugin.about["videos"][0]
    plugin.ask("related", user=_VIEWER, video=video)
    _, why = plugin.call(_VIEWER, "GET", f"why/v1/reasons?video={video}")
    return any(found["text"] for found in why["reasons"].values())


def _filled_in(command: str, plugin: Plugin) -> str:
    """Put in what an admin copies from the plugin's settings page."""
    if not re.search(r"\bCODE\b", command):
        return command
    script = "console.log(require(process.argv[1]).pairingCode(process.argv[2], [process.argv[3]]))"
    module = str(ROOT / "peertube-plugin" / "server" / "pairing-code.js")
    about = plugin.about
    done = subprocess.run(
        [str(NODE), "-e", script, module, about["secret"], about["url"]],
        check=True,
        capture_output=True,
        text=True,
    )
    return re.sub(r"\bCODE\b", done.stdout.strip(), command)


def _serves(command: str) -> bool:
    return re.search(r"\bshoal run\b", command) is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
