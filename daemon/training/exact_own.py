"""Where lists may rest on exact numbers of own viewers: `serve.exact_own`, on an instance that is closed.

Lists made from exact numbers show what single viewers watched to whoever sees them, so nobody may see them
who was not let in by the admin. The source says whether that is so; what is not known counts as open.
"""

from __future__ import annotations

from sqlalchemy import Engine

from daemon.config import Config
from daemon.sentences import Sentence, sentence
from daemon.store import source_state


def allowed(engine: Engine, config: Config) -> bool:
    """Tell whether lists may rest on exact numbers of own viewers now."""
    return config.serve.exact_own and not _missing(engine, config)


def no_effect(engine: Engine, config: Config) -> tuple[Sentence, ...]:
    """Return why `serve.exact_own` has no effect, in two sentences; none where it has one, or is off."""
    missing = _missing(engine, config) if config.serve.exact_own else None
    return () if missing is None else (sentence("exactOwnIgnored"), missing)


def _missing(engine: Engine, config: Config) -> Sentence | None:
    if config.source.kind != "peertube":
        return sentence("exactOwnDataSet")
    if not config.schedule.enabled:
        return sentence("exactOwnUnscheduled")
    known = source_state.read(engine)
    if known is None or known.kind != config.source.kind:
        return sentence("exactOwnUnread")
    return None if known.closed else sentence("exactOwnOpen")
