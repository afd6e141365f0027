"""The videos that would leave next, for the admin's page: found by words, a page at a time.

A job counts them anew and writes them to a file, which is deleted as soon as it is open here. It is kept open
for some minutes, so that turning pages counts nothing.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from typing_extensions import TypedDict

from daemon.disclosure.share_report import SharedVideo
from daemon.process.job_context import Progress
from daemon.serve.admin.executor import Executor
from daemon.serve.context import ServeContext

JOB: Final = "share"
KEPT_SECONDS: Final = 600.0
FILES: Final = ".share.*"


@dataclass(frozen=True)
class Counted:
    """The videos that a job counted at a time, Unix seconds, one JSON object per line."""

    at: float
    videos: BinaryIO


class SharedVideos:
    """One per process; used from the event loop, but for `page`."""

    def __init__(self) -> None:
        self._counted: Counted | None = None

    async def report(self, context: ServeContext, work: Executor) -> dict[str, Any]:
        """Count anew, and return what the job reports; those who ask meanwhile get the same.

        Raises:
            ShoalError: it cannot be counted.
        """

        async def count(progress: Progress) -> dict[str, Any]:
            folder = context.config.data_dir
            for left in folder.glob(FILES):
                # By a daemon that was killed; there is one at a time.
                left.unlink(missing_ok=True)
            path = folder / f".share.{secrets.token_hex(8)}"
            try:
                report = await work.job(JOB, {"videos": str(path)}, progress)
                videos = path.open("rb")
            finally:
                path.unlink(missing_ok=True)
            self.close()
            self._counted = Counted(context.clock(), videos)
            return report

        return await work.result_of(work.running(JOB) or work.start(JOB, count))

    async def counted(self, context: ServeContext, work: Executor) -> Counted:
        """Return what was counted some minutes ago at most."""
        known = self._counted
        if known is None or not 0 <= context.clock() - known.at < KEPT_SECONDS or work.running(JOB):
            await self.report(context, work)
        if self._counted is None:
            raise RuntimeError("what was counted is gone")
        return self._counted

    def close(self) -> None:
        """Forget what was counted."""
        if self._counted is not None:
            self._counted.videos.close()
            self._counted = None


class SharedVideosPage(TypedDict):
    """Some of the videos that would leave next, those with the most viewers first.

    Attributes:
        at: when they were counted.
        found: those that hold the words.
    """

    at: float
    total: int
    found: int
    videos: list[SharedVideo]


def page(counted: Counted, query: str, offset: int, limit: int) -> SharedVideosPage:
    """Return those of the videos whose title or address holds every word, whatever the case, in their order.

    For one thread at a time. Raises OSError, ValueError: the file was closed meanwhile.
    """
    words = [word.casefold() for word in query.split()]
    shown: list[SharedVideo] = []
    total = found = 0
    counted.videos.seek(0)
    for line in counted.videos:
        total += 1
        if words:
            # As text of the line first: decoding each of 100,000 takes ten times as long.
            folded = line.decode("utf-8", "replace").casefold()
            if not all(json.dumps(word, ensure_ascii=False)[1:-1] in folded for word in words):
                continue
            video = json.loads(line)
            text = f"{video['title']} {video['url']}".casefold()
            if not all(word in text for word in words):
                continue
        if offset <= found < offset + limit:
            shown.append(SharedVideo(**json.loads(line)))
        found += 1
    return {"at": counted.at, "total": total, "found": found, "videos": shown}
