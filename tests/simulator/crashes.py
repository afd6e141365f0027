"""A journal that fails at a chosen moment: what a full disk or a cut of power does to a write."""

from __future__ import annotations

from pathlib import Path

from federation.journal import FileJournal, Journal, MemoryJournal


class Crash(BaseException):
    """The process is gone. Not an `Exception`, so that nothing handles it as one."""


class FailingJournal:
    """Passes everything on; the change number `at` (from 0) fails, before or after it took effect.

    With `error` Crash, every later call fails as well: the process is gone.
    """

    def __init__(
        self, inner: Journal | None = None, *, at: int, after: bool, error: type[BaseException]
    ) -> None:
        self.inner = inner or MemoryJournal()
        self.changes = 0
        self._at = at
        self._after = after
        self._error = error
        self._dead = False

    def write(self, round_id: bytes, name: str, data: bytes) -> None:
        """Store, or fail."""
        due = self._due()
        if due and not self._after:
            raise self._fail()
        self.inner.write(round_id, name, data)
        if due:
            raise self._fail()

    def erase(self, round_id: bytes, *names: str) -> None:
        """Remove, or fail, having removed nothing or only the first name."""
        due = self._due()
        if due:
            if self._after:
                self.inner.erase(round_id, *(names[:1] or self.inner.names(round_id)[:1]))
            raise self._fail()
        self.inner.erase(round_id, *names)

    def read(self, round_id: bytes, name: str) -> bytes | None:
        """Return what the name holds."""
        self._check()
        return self.inner.read(round_id, name)

    def names(self, round_id: bytes) -> list[str]:
        """Return the names."""
        self._check()
        return self.inner.names(round_id)

    def ids(self) -> list[bytes]:
        """Return the ids."""
        self._check()
        return self.inner.ids()

    def _check(self) -> None:
        if self._dead:
            raise Crash

    def _due(self) -> bool:
        self._check()
        self.changes += 1
        return self.changes - 1 == self._at

    def _fail(self) -> BaseException:
        self._dead = self._error is Crash
        return self._error("injected")


class FailingFiles(FailingJournal):
    """The same over files, which data windows look at."""

    def path(self, round_id: bytes, name: str) -> Path:
        """Return the file of a name."""
        self._check()
        assert isinstance(self.inner, FileJournal)
        return self.inner.path(round_id, name)
