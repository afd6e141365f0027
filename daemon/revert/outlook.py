"""What a revert would take out, counted before anybody is asked whether it may begin."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from daemon.config import Config
from daemon.peers import repository
from daemon.revert.artifacts import artifacts_of
from daemon.revert.out_of_service import basis_without, choose, open_rounds_with
from daemon.revert.report import Basis
from daemon.rounds import head_history
from daemon.rounds.aggregator_window import asked_before
from daemon.store import current_model


@dataclass(frozen=True)
class Outlook:
    """What would go, and what would be left.

    Attributes:
        sums, models: how many stored ones hold the peer; `models` counts folders without a row as well.
        runs: how many of the released counts from which the next head is chosen.
        open_rounds: how many rounds in progress have the peer in their roster.
        serving: the model in service, None where there is none; `serves_next` is the one that would follow,
            until a new one is trained.
        basis: what there is to learn from without the peer.
        early: whether the data window of this instance ends early, so that others can be asked again.
        left, needed: peers that stay approved, and how many a sum needs, 0 where none are made.
    """

    host: str
    sums: int
    models: int
    runs: int
    open_rounds: int
    serving: str | None
    serves_next: str | None
    basis: Basis
    early: bool
    left: int
    needed: int

    @property
    def too_few(self) -> bool:
        """Tell whether there are no new sums afterwards, for want of approved peers."""
        return self.left < self.needed


def look(engine: Engine, config: Config, host: str) -> Outlook:
    """Look at what is stored, and change nothing. The models that may serve next are checked: a second."""
    held = artifacts_of(engine, config, host)
    chosen = choose(engine, config, without=host)
    approved = repository.read(engine, config).approved()
    return Outlook(
        host=host,
        sums=len(held.sums),
        models=len({*held.models, *held.folders}),
        runs=head_history.count(config, {host}),
        open_rounds=len({signed.round_id for signed in open_rounds_with(config, host)}),
        serving=current_model.read(config.models_dir),
        serves_next=None if chosen is None else chosen.id,
        basis=basis_without(engine, host),
        early=any(asked_before(config, hosted=hosted) for hosted in (False, True)),
        left=sum(peer.host != host for peer in approved),
        needed=config.cohort.min_cohort if config.federates else 0,
    )
