"""Deletes viewers who no longer take part, or who deleted some of what they gave; sees who may see lists."""

import math
from typing import Any, Final

from daemon.config import PeerTubeSource
from daemon.errors import JobError
from daemon.maintenance import older_folder
from daemon.process.job_context import JobContext
from daemon.rounds.withdrawal import withdraw_viewers
from daemon.source.peertube import open_client, read_closed, read_exclusions, read_participants
from daemon.store import loss, source_state
from daemon.store.viewers import Pseudonyms, consent_lock, forget_viewers, viewer_states
from daemon.training import deploy

ATTEMPTS: Final = 3
UNSEEN: Final = 3600.0
"""Seconds without an answer after which the source is not taken for closed any more."""


def run(context: JobContext) -> dict[str, Any]:
    """Delete viewers who are gone or have another digest, and store the exclusions and who may see lists.

    A viewer with a single row gone is deleted as a whole: the rest of them comes with the next sync. While
    no check succeeds, nothing changes, except that after an hour the source does not count as closed any
    more. Models from exact numbers that must not serve are deleted, whatever came of the check.

    Raises:
        SourceError: the source cannot be asked.
        JobError: syncs keep replacing what is being checked.
    """
    try:
        done = _check(context)
    finally:
        source_state.not_checked(context.engine, before=context.clock() - UNSEEN)
        deploy.drop_exact(context.engine, context.config)
    older_folder.look(context)
    return done


def _check(context: JobContext) -> dict[str, Any]:
    settings = context.config.source
    if not isinstance(settings, PeerTubeSource):
        return {"viewers": 0, "removed": 0, "exclusions_changed": False}
    with open_client(settings) as client:
        for _ in range(ATTEMPTS):
            known = source_state.read(context.engine)
            if known is None or known.kind != settings.kind:
                return {"viewers": 0, "removed": 0, "exclusions_changed": False}
            there = read_participants(client, rates=known.rates, history=known.history, page=settings.page)
            exclusions = read_exclusions(client)
            closed = read_closed(client)
            with consent_lock(context.config.data_dir):
                now = source_state.read(context.engine)
                if now is None or now.synced != known.synced:
                    # Digests up to the marks of the snapshot before mean nothing for this one.
                    continue
                removed = _remove(context, there)
                voided = 0
                if removed:
                    voided = withdraw_viewers(context.config, context.engine, context.clock, removed=removed)
                    loss.discard_damaged(context.config, before=math.inf)
                changed = source_state.checked(
                    context.engine,
                    exclusions,
                    now=context.clock(),
                    participants=len(there),
                    closed=closed,
                )
                return {
                    "viewers": known.viewers,
                    "removed": removed,
                    "windows_voided": voided,
                    "exclusions_changed": changed,
                }
    raise JobError(
        "a sync kept replacing the stored data during the check", advice="The check is repeated on its own."
    )


def _remove(context: JobContext, there: dict[str, str]) -> int:
    pseudonyms = Pseudonyms.open(context.config.data_dir / "viewers.key")
    states = {pseudonyms.of(viewer): state for viewer, state in there.items()}
    stored = viewer_states(context.engine)
    gone = [pseudonym for pseudonym, state in stored.items() if states.get(pseudonym) != state]
    return forget_viewers(context.engine, gone)
