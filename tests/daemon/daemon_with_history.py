"""A daemon with a past, for tests of the admin page: `python -m tests.daemon.daemon_with_history`.

Writes one line of JSON when it answers, `{"url", "token", "host", "asking", "bad"}`, and runs until its
standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from daemon.jobs.run import run_job
from daemon.store.engine import open_checked
from tests.daemon.running_daemon import daemon, instance
from tests.daemon.serve.admin.test_api import ASKS, BAD, furnish
from tests.daemon.small_dataset import write_set

HOST = "one.example"


def main() -> None:
    """Make an instance, serve it, wait."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = instance(folder, host=HOST, source=write_set(folder / "set"))
        outcome = asyncio.run(run_job("sync", config, time_limit=120))
        if not outcome.ok:
            raise SystemExit(outcome.message)
        engine = open_checked(folder / "shoal.db")
        furnish(folder, engine)
        engine.dispose()
        with daemon(config) as running:
            token = (folder / "admin.token").read_text("ascii").strip()
            about = {"url": f"http://{running.running.api}", "token": token, "host": HOST}
            sys.stdout.write(json.dumps({**about, "asking": ASKS.host, "bad": BAD.host}) + "\n")
            sys.stdout.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main()
