"""Where lists may rest on exact numbers of own viewers: `serve.exact_own`, on an instance that is closed.

Lists made from exact numbers show what single viewers watched to whoever sees them, so nobody may see them
who was not let in by the admin. The source says whether that is so; what is not known counts as open.
"""

from __future__ import annotations

from sqlalchemy import Engine

from daemon.config import Config
from daemon.store import source_state


def allowed(engine: Engine, config: Config) -> bool:
    """Tell whether lists may rest on exact numbers of own viewers now."""
    return config.serve.exact_own and not _missing(engine, config)


def no_effect(engine: Engine, config: Config) -> str:
    """Return why `serve.exact_own` has no effect, in two sentences; empty where it has one, or is off."""
    missing = _missing(engine, config) if config.serve.exact_own else ""
    if not missing:
        return ""
    return f"serve.exact_own has no effect: lists rest on noisy numbers of your viewers. {missing}"


def _missing(engine: Engine, config: Config) -> str:
    if config.source.kind != "peertube":
        return "A data set does not say who sees lists."
    if not config.schedule.enabled:
        return "While schedule.enabled is false, nobody checks who sees lists."
    known = source_state.read(engine)
    if known is None or known.kind != config.source.kind:
        return "PeerTube has not been read yet."
    if not known.closed:
        return (
            "Suggestions are not shown to members alone, anybody can register, or PeerTube has not answered "
            "for an hour: see the diagnostics of the plugin."
        )
    return ""
