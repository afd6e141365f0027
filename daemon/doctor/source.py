"""Checks of where videos and viewers come from: PeerTube, its plugin and the secret, or a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from daemon.doctor.check import Result, failure, ok, sentence, unchecked
from daemon.source.plugin_probe import Outcome, Probe

INTERACTIONS: Final = ("interactions.csv.gz", "interactions.csv")
_PLUGIN: Final = frozenset(
    {
        Outcome.PLUGIN_MISSING,
        Outcome.PLUGIN_STOPPED,
        Outcome.PLUGIN_OLD,
        Outcome.PLUGIN_NEW,
        Outcome.MISFIT,
    }
)
_ABSENT: Final = frozenset({Outcome.PLUGIN_MISSING, Outcome.PLUGIN_STOPPED})
_GOOD: Final = frozenset({Outcome.OK, Outcome.CLOCK})


def peertube(found: Probe) -> Iterator[Result]:
    """Yield what a probe says of PeerTube, of its plugin, and of the secret that both share."""
    told = sentence(found.message) if not found.ok else ""
    reached = found.outcome in _GOOD | _PLUGIN | {Outcome.SECRET_REFUSED}
    if not reached:
        yield failure("peertube", told, found.advice)
        if found.outcome is not Outcome.OTHER_HOST:
            for check in ("plugin", "secret"):
                yield unchecked(check, f"The {check} was not asked for.", "Make PeerTube answer first.")
            return
    else:
        yield ok("peertube", f"PeerTube {found.peertube} answers at {found.url}.")
    if found.outcome in _PLUGIN:
        yield failure("plugin", told, found.advice)
    else:
        yield ok("plugin", f"The plugin is installed, release {found.plugin}.")
    if found.outcome is Outcome.SECRET_REFUSED:
        yield failure("secret", told, found.advice)
    elif found.outcome in _ABSENT:
        yield unchecked("secret", "The secret was not asked for.", "Make the plugin answer first.")
    else:
        yield ok("secret", "The plugin accepts this daemon's secret.")


def dataset(folder: Path) -> Result:
    """Check that a data set is there."""
    if not any((folder / name).is_file() for name in INTERACTIONS):
        return failure(
            "data set",
            f"{folder} has no {INTERACTIONS[0]}.",
            "Set source.path to the folder that has it, or read from PeerTube instead.",
        )
    return ok("data set", f"The data set is in {folder}.")
