"""An instance whose mode is off, beside four real ones that would learn with it, for an admin to turn on.

Two of them are its peers and introduce the other two, so that both are vouched for twice. Prints where its
page is, and serves until its standard input ends.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import insert

from daemon.config import load
from daemon.identity import open_identity
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.serve.admin import token
from daemon.store.engine import open_checked, writes
from daemon.store.tables import IntroductionRow
from federation.identity import format_key
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import daemon, instance
from tests.daemon.small_dataset import write_set
from tests.ports import free_port

HOST = "here.example"
PEERS = ("reef.example", "cove.example")
INTRODUCED = ("lagoon.example", "harbour.example")
_RULES = '[privacy]\nmin_video_age = "0s"\nmin_changed_users = 0\n'


def made(folder: Path, data: Path, hosts: tuple[str, ...]) -> dict[str, tuple[Path, str, str]]:
    """Write settings without peers; returns by host the file, the address for peers, and the key."""
    found = {}
    for host in hosts:
        port = free_port()
        extra = "" if host == HOST else 'mode = "contribute"'
        file = instance(folder / host, host=host, extra=extra, source=data)
        text = file.read_text().replace("federation_port = 0", f"federation_port = {port}")
        file.write_text(text.replace("[source]\n", '[source]\nname = "shared"\n') + _RULES)
        config = load(file)
        config.data_dir.mkdir(exist_ok=True)
        key = format_key(open_identity(config.identity_file, host).public.key)
        found[host] = (file, f"http://127.0.0.1:{port}", key)
    return found


def main() -> None:
    """Make them, serve them, wait."""
    hosts = (HOST, *PEERS, *INTRODUCED)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        known = made(folder, write_set(folder / "set"), hosts)
        for host, (file, _url, _key) in known.items():
            others = PEERS if host == HOST else tuple(other for other in hosts if other != host)
            with file.open("a") as settings:
                for other in others:
                    _, url, key = known[other]
                    settings.write(f'[[peers]]\nhost = "{other}"\nurl = "{url}"\nkey = "{key}"\n')
            outcome = run_here("sync", file)
            if not outcome.ok:
                raise SystemExit(outcome.message)
        engine = open_checked(folder / HOST / "shoal.db")
        now = time.time()
        for host in INTRODUCED:
            _, url, key = known[host]
            repository.save(engine, Peer(host, url, key, source="circle", bound=True))
        with writes(engine) as connection:
            for host in PEERS:
                named = {other: known[other][2] for other in INTRODUCED}
                row = {
                    "introducer": host,
                    "said": now,
                    "until": now + 1e6,
                    "instances": named,
                    "answered": [],
                }
                connection.execute(insert(IntroductionRow), row)
        engine.dispose()
        running = {host: stack.enter_context(daemon(file)) for host, (file, _url, _key) in known.items()}
        about = {
            "url": f"http://{running[HOST].running.api}",
            "token": token.read(folder / HOST),
            "host": HOST,
        }
        sys.stdout.write(json.dumps(about) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
