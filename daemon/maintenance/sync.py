"""Reads the instance's videos and engagements again and replaces the stored ones."""

from contextlib import ExitStack
from typing import Any

from daemon.errors import SourceError
from daemon.maintenance import older_folder
from daemon.process.job_context import JobContext
from daemon.rounds.withdrawal import withdraw_viewers
from daemon.source import Source, open_source
from daemon.store.snapshot import Snapshot, replace
from daemon.store.viewers import Pseudonyms, consent_lock, viewer_states


def run(context: JobContext) -> dict[str, Any]:
    """Replace the snapshot; on any error the old one stays.

    Raises:
        SourceError: the source cannot be read, or has no public video, which is more likely a fault.
    """
    pseudonyms = Pseudonyms.open(context.config.data_dir / "viewers.key")
    context.progress("reading videos", 0.0)
    with (
        ExitStack() as held,
        open_source(context.config) as source,
        replace(context.engine, pseudonyms) as snapshot,
    ):
        _read(source, snapshot, context)
        facts = source.facts()
        # From here until the snapshot is in place nobody can withdraw; whoever did before is left out.
        held.enter_context(consent_lock(context.config.data_dir))
        before = viewer_states(context.engine)
        states = source.confirmed()
        if states is not None:
            snapshot.confirm(states)
        participants = snapshot.counts.viewers if states is None else len(states)
        snapshot.counts.skipped += source.left_out
        snapshot.describe(facts, now=context.clock(), participants=participants)
        context.progress("storing", 0.85)
    # Exact numbers have no data window that knows who is in it.
    gone = before.keys() - viewer_states(context.engine).keys() if context.config.serve.exact_own else ()
    withdraw_viewers(context.config, context.engine, context.clock, removed=len(gone))
    older_folder.look(context)
    context.progress("storing", 1.0)
    return vars(snapshot.counts)


def _read(source: Source, snapshot: Snapshot, context: JobContext) -> None:
    for done, videos in source.videos():
        snapshot.add_videos(videos)
        context.progress("reading videos", 0.05 + 0.4 * done)
    if not snapshot.counts.videos:
        raise SourceError(
            "the source has no public video", advice="Check [source]; the stored catalogue was kept."
        )
    for done, engagements in source.engagements():
        snapshot.add_engagements(engagements)
        context.progress("reading engagements", 0.45 + 0.4 * done)
