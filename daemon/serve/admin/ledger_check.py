"""Whether the ledger is in order, without reading all of it for every look at the page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import Engine

if TYPE_CHECKING:
    from daemon.ledger.chain import Verification
    from federation.identity import PublicIdentity

TRUSTED_SECONDS: Final = 600.0


class LedgerCheck:
    """Remembers what was in order: what follows is checked each time, all of it every ten minutes."""

    def __init__(self) -> None:
        self._known: Verification | None = None
        self._since = 0.0

    def run(self, engine: Engine, public: PublicIdentity) -> Verification:
        """Check the ledger; for one thread at a time."""
        from daemon.ledger import chain

        now = time.monotonic()
        if self._known is None or now - self._since > TRUSTED_SECONDS:
            self._known, self._since = None, now
        self._known = chain.verify(engine, public, self._known)
        return self._known
