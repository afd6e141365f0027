"""Checks of the daemon itself: whether it runs, or could; its model; whether anybody gets lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from daemon.config import Config
from daemon.doctor.check import Result, failure, ok, sentence, unchecked, warning
from daemon.process.daemon_lock import Running
from daemon.process.live import Live
from daemon.process.preflight import ListenError, require_free_port
from daemon.source.plugin_probe import span

LATELY: Final = 86400.0
"""Seconds: on an instance that anybody watches on, a list is asked for each day."""
OLD_MODEL: Final = 14 * 86400.0
START: Final = "Start the daemon: shoal run"

Listen = Callable[[str, str, int], None]
"""Listens for a moment at the address of a listener, or raises ListenError."""


def process(running: Running | None, live: Live | None, now: float) -> Result:
    """Check that a daemon runs, and answers."""
    if running is None:
        return failure("daemon", "No daemon runs, so viewers get PeerTube's own lists.", START)
    if live is None:
        return failure(
            "daemon",
            f"The daemon (process {running.pid}) runs, but its API does not answer on {running.api}.",
            "See its log. If it stays so, restart it: shoal stop, then shoal run",
        )
    return ok(
        "daemon",
        f"The daemon has been running for {span(max(0.0, now - live.started))} (process {running.pid}).",
    )


def ports(config: Config, running: Running | None, listen: Listen = require_free_port) -> Iterator[Result]:
    """Check that a daemon that does not run could listen."""
    if running is not None:
        return
    settings = config.listen
    wanted = [("api", settings.api_host, settings.api_port)]
    if config.federates:
        wanted.append(("federation", settings.federation_host, settings.federation_port))
    free = []
    for name, host, port in wanted:
        try:
            listen(name, host, port)
        except ListenError as error:
            yield failure("ports", sentence(error.message), error.advice)
        else:
            free.append(f"{host}:{port or 'any port'}")
    if len(free) == len(wanted):
        yield ok("ports", f"Nothing else listens on {' and '.join(free)}.")


def model(live: Live | None, stored: str | None, trained: float | None, now: float) -> Result:
    """Check that a model serves: `stored` is its id, `trained` when it was made."""
    if live is not None and live.model is None and stored is not None:
        return failure("model", f"No model serves: {live.problem}.", "Train a new one: shoal train")
    if stored is None:
        return warning(
            "model",
            "No model serves yet, so viewers get PeerTube's own lists.",
            "Read PeerTube and train: shoal sync && shoal train. A running daemon does it by itself.",
        )
    age = None if trained is None else now - trained
    if age is not None and age > OLD_MODEL:
        return warning(
            "model", f"The model in service is {span(age)} old.", "See why none follows: shoal models list"
        )
    made = "" if age is None else f", made {span(age)} ago"
    return ok("model", f"Model {stored} serves{made}.")


def list_filled(live: Live | None, now: float) -> Result:
    """Check that somebody was given a list lately."""
    if live is None:
        return unchecked("lists", "Only a running daemon knows whether it fills lists.", START)
    if live.list_filled is not None and now - live.list_filled <= LATELY:
        return ok("lists", f"A list was filled {span(max(0.0, now - live.list_filled))} ago.")
    if live.model is None:
        return unchecked("lists", "Without a model no list is filled.", "See the model above.")
    since = now - (live.list_filled or live.started)
    step = "Open a watch page. If its list shows no reasons, look at the plugin's diagnostics in PeerTube."
    told = f"No list was asked for in the last {span(since)}"
    if since <= LATELY:
        return unchecked("lists", f"{told}: since the start of the daemon.", step)
    return warning("lists", f"{told}.", step)
