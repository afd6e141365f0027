"""The fragments of the changelog can be put together, important notes first."""

from __future__ import annotations

import re
import subprocess
import sys

from tests import ROOT


def test_the_next_release_can_be_written() -> None:
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kinds = re.findall(r"^### (.+)$", done.stdout, flags=re.MULTILINE)
    order = ["Important notes", "Added", "Changed", "Fixed", "Removed"]
    assert kinds == [kind for kind in order if kind in kinds]
