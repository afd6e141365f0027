"""Reads the instance's videos and engagements anew and replaces what is stored."""

from typing import Any

from daemon.errors import SourceError
from daemon.jobs.registry import JobContext
from daemon.source import open_source
from daemon.store.pseudonyms import Pseudonyms
from daemon.store.snapshot import replace


def run(context: JobContext) -> dict[str, Any]:
    """Replace the snapshot; on any error the old one stays.

    Raises:
        SourceError: the source cannot be read, or has no public video, which is more likely a fault than
        the truth.
    """
    source = open_source(context.config)
    pseudonyms = Pseudonyms.open(context.config.data_dir / "viewers.key")
    context.progress("reading videos", 0.0)
    with replace(context.engine, pseudonyms) as snapshot:
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
        context.progress("storing", 0.85)
    context.progress("storing", 1.0)
    return vars(snapshot.counts)
