"""Whether the daemon of this machine answers from a model: `python -m daemon.serve.ready --config FILE`.

For the health check of a container, where there is no curl. Status 0 for yes; else 1, and why not.
"""

from __future__ import annotations

import argparse
import json
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from daemon.config import load
from daemon.errors import ShoalError
from daemon.process.daemon_lock import find

ROUTE: Final = "/health/ready"
_ANSWER_SECONDS: Final = 5.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 (compared, not bound)


def main(argv: list[str]) -> int:
    """Ask the daemon; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m daemon.serve.ready", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    try:
        problem = _problem(load(parser.parse_args(argv).config).data_dir)
    except ShoalError as error:
        problem = f"{error.message}. {error.advice}"
    if problem:
        sys.stderr.write(f"{problem}\n")
    return 1 if problem else 0


def _problem(data_dir: Path) -> str:
    running = find(data_dir)
    if running is None:
        return "no daemon is running"
    host, _, port = running.api.rpartition(":")
    connection = HTTPConnection(_EVERYWHERE.get(host, host), int(port), timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", ROUTE)
        response = connection.getresponse()
        content = response.read()
    except (OSError, HTTPException) as error:
        return f"the daemon does not answer ({type(error).__name__})"
    finally:
        connection.close()
    return "" if response.status == 200 else str(json.loads(content).get("message", response.status))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
