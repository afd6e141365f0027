"""The model in service: loaded in a thread, then swapped in; one that cannot be loaded changes nothing."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from daemon.config.schema import Serve
from daemon.errors import NoModelError, ShoalError
from daemon.process.full_disk import fields_of
from daemon.serve.mapped_memory import MappedPages
from daemon.store import current_model
from models.artefact import load
from models.errors import ModelError
from models.serving import ServedModel

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
REQUESTS_PER_MEMORY_CHECK: Final = 8
"""Each list maps megabytes for a moment: with a page the kernel maps its neighbours."""


@dataclass(frozen=True)
class Loaded:
    """A model in service: its id, and when it was loaded (Unix seconds)."""

    id: str
    model: ServedModel
    since: float


class CurrentModel:
    """Follows the pointer file `models/current`."""

    def __init__(
        self,
        models_dir: Path,
        *,
        clock: Callable[[], float] = time.time,
        prepare: Callable[[ServedModel], None] = lambda _model: None,
        may_be_exact: Callable[[], bool] = lambda: False,
    ) -> None:
        """Follow a folder; `prepare` is called in a thread with every model before it serves.

        `may_be_exact` tells, in that thread, whether lists may rest on exact numbers of own viewers now.
        """
        self._dir = models_dir
        self._prepare, self._may_be_exact = prepare, may_be_exact
        self._clock = clock
        self._loaded: Loaded | None = None
        self._seen: tuple[int, int] | None = None
        self._pages: MappedPages | None = None
        self._asked = 0
        self.failures = 0
        self.problem = "no model has been trained yet"

    @property
    def loaded(self) -> Loaded | None:
        """The model in service, None before the first."""
        return self._loaded

    def get(self) -> Loaded:
        """Return the model in service.

        Raises:
            NoModelError: there is none yet.
        """
        if self._loaded is None:
            raise NoModelError(
                f"no model is in service: {self.problem}",
                advice="Run `shoal sync`, then `shoal train`.",
            )
        self._asked += 1
        if self._pages is not None and self._asked % REQUESTS_PER_MEMORY_CHECK == 0:
            self._pages.release_if_many()
        return self._loaded

    async def refresh(self) -> bool:
        """Load the model that the pointer names, if it changed; tells whether a new one serves now."""
        mark = self._mark()
        if mark is None and self._seen is not None:
            self._stop()
        if mark is None or mark == self._seen:
            return False
        # A model that fails is tried again only when the pointer is written again.
        self._seen = mark
        name = current_model.read(self._dir)
        if name is None:
            self._fail("the pointer file models/current is damaged", None)
            return False
        try:
            model = await asyncio.to_thread(_open, self._dir / name, self._prepare, self._may_be_exact)
        except TooExactError:
            if self._loaded is not None and is_exact(self._loaded.model):
                # The one before it may not be shown either.
                self._loaded, self._pages = None, None
            self._fail(f"model {name} rests on exact numbers of own viewers, and others could see them", None)
            return False
        except (ModelError, OSError, SQLAlchemyError, ShoalError) as error:
            self._fail(f"model {name} cannot be loaded", error)
            return False
        self._loaded = Loaded(name, model, self._clock())
        self._pages = MappedPages(model)
        self.problem = ""
        logger.info("model in service", extra={"model": name, "videos": len(model.labels)})
        return True

    async def follow(self, then: Callable[[ServedModel | None], Awaitable[None]]) -> None:
        """Refresh about once a second until cancelled, each time followed by `then` with the model."""
        while True:
            await self.refresh()
            try:
                await then(self._loaded.model if self._loaded else None)
            except (OSError, SQLAlchemyError, ShoalError) as error:
                logger.error("the database cannot be followed", extra=fields_of(error))
            if self._pages is not None:
                self._pages.release_if_many()
            await asyncio.sleep(POLL_SECONDS)

    def _stop(self) -> None:
        """Serve nothing: the pointer was removed because no model is better than the one there was."""
        self._seen, self._loaded, self._pages = None, None, None
        self.problem = "the model in service was removed, and no other may serve"
        logger.warning("no model in service")

    def _mark(self) -> tuple[int, int] | None:
        try:
            status = (self._dir / current_model.POINTER_NAME).stat()
        except OSError:
            return None
        # Every replacement is a new file, so the inode tells them apart even within one clock tick.
        return status.st_ino, status.st_mtime_ns

    def _fail(self, problem: str, error: Exception | None) -> None:
        self.failures += 1
        self.problem = problem
        kept = self._loaded.id if self._loaded else "none"
        kind = type(error).__name__ if error else "unreadable"
        logger.error("model refused", extra={"problem": problem, "kind": kind, "kept": kept})


def arrange(model: ServedModel, settings: Serve) -> None:
    """Arrange a model's lists as the admin set it."""
    model.rules = replace(model.rules, discovery=settings.discovery)
    model.visibility.sensitive_beside_safe = settings.sensitive_beside_safe


class TooExactError(Exception):
    """A model rests on exact numbers of own viewers, where lists must not."""


def is_exact(model: ServedModel) -> bool:
    """Tell whether a model was learnt from exact numbers of own viewers."""
    return model.manifest.get("provenance", {}).get("exact") is True


def _open(
    directory: Path, prepare: Callable[[ServedModel], None], may_be_exact: Callable[[], bool]
) -> ServedModel:
    model = load(directory)
    # By its own manifest: a database that was put back may not know the model.
    if is_exact(model) and not may_be_exact():
        raise TooExactError
    prepare(model)
    if len(model):
        # The first answers build small indices: do that here, not while a viewer waits.
        model.related(0, limit=1)
        model.recommend([0], limit=1)
    return model
