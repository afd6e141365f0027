"""What each rule says to the next contribution, one by one, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.peers.book import Book
from daemon.privacy.words import day, plural, span
from daemon.sessions import budget, terms
from daemon.share.given import WindowShare
from federation.errors import Refusal
from federation.proposal import BlobReference, Proposal, least_threshold
from policies.allowlist import Allowlist
from policies.cohort import CohortPolicy
from policies.privacy import PrivacyPolicy
from policies.relations import Release
from policies.sharing import TRAINER, SharingPolicy
from policies.window import Window


@dataclass(frozen=True)
class Verdict:
    """One rule: its name, why it exists, whether it allows the next contribution, and what it looked at."""

    policy: str
    reason: str
    allowed: bool
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def verdicts(
    config: Config, engine: Engine, book: Book, vocabulary: int, windows: Sequence[WindowShare], now: float
) -> list[Verdict]:
    """Judge a sum on our own terms among the approved peers, as each of them would judge it.

    `vocabulary` is the number of videos in it.
    """
    known = book.allowlist()
    proposal = _proposal(config, known, vocabulary, now)
    found = [_members(known)]
    for rule in terms.policy(config, known).policies:
        try:
            rule.check(proposal)
        except Refusal as refusal:
            sentence, allowed = refusal.sentence, False
        else:
            sentence, allowed = _ALLOWED[rule.name](config, proposal), True
        found.append(Verdict(rule.name, rule.reason, allowed, _sentence(sentence)))
    return [*found, _window(config, windows), _budget(config, engine, now)]


def _proposal(config: Config, known: Allowlist, vocabulary: int, now: float) -> Proposal:
    roster = known.members()
    return Proposal(
        aggregator=config.instance.host,
        roster=roster,
        threshold=least_threshold(len(roster)),
        trainer=TRAINER,
        round=0,
        length=vocabulary,
        entry_bound=config.sharing.max_users,
        ring=32,
        nonce=bytes(16),
        created=int(now),
        expires=int(now + config.cohort.session_expiry.total_seconds()),
        noise=terms.protection(config).counts_noise,
        colluders=terms.COLLUDERS,
        parameters=terms.parameters(config, vocabulary),
        blobs={terms.VOCABULARY: BlobReference(bytes(32), 0)},
    )


def _sharing(config: Config, proposal: Proposal) -> str:
    return (
        f'The mode is "{config.mode}". {plural(proposal.length, "public video")} would be asked about; '
        f"at least {config.sharing.min_vocabulary:,} are wanted."
    )


def _cohort(config: Config, proposal: Proposal) -> str:
    return (
        f"{plural(len(proposal.roster), 'member')}, all approved here; {config.cohort.min_cohort} are needed."
    )


def _privacy(config: Config, proposal: Proposal) -> str:
    level = terms.protection(config)
    if not level.counts_noise and not level.pairs_noise:
        return f'The level "{config.privacy.level}" asks for no noise.'
    return (
        f"Noise of variance {proposal.parameters['counts_noise']} in counts and "
        f'{proposal.parameters["pairs_noise"]} in pairs, as the level "{config.privacy.level}" asks.'
    )


_ALLOWED: dict[str, Callable[[Config, Proposal], str]] = {
    SharingPolicy.name: _sharing,
    CohortPolicy.name: _cohort,
    PrivacyPolicy.name: _privacy,
}


def _members(known: Allowlist) -> Verdict:
    members = known.members()
    told = (
        f"{plural(len(members), 'peer')} approved."
        if members
        else "Nobody is approved: see shoal peers list."
    )
    return Verdict(Allowlist.name, Allowlist.reason, bool(members), told)


def _window(config: Config, windows: Sequence[WindowShare]) -> Verdict:
    peers = [one for one in windows if one.aggregator != config.instance.host]
    nothing = [f"{p.aggregator} gets nothing until {day(p.ends)}" for p in peers if p.state in _CLOSED]
    same = [f"{p.aggregator} gets the same again until {day(p.ends)}" for p in peers if p.state == "open"]
    told = [*nothing, *same]
    more = [f"{len(told) - _MOST} more likewise"] if len(told) > _MOST else []
    fresh = "whoever else asks gets fresh noise" if told else "Whoever asks gets a vector with fresh noise"
    kept = f"{fresh}, and the same again for about {span(config.privacy.window.total_seconds())}"
    # A host's name stays as it is, also at the beginning.
    sentence = "; ".join([*told[:_MOST], *more, kept]) + "."
    return Verdict(Window.name, Window.reason, not nothing or bool(same), sentence)


_CLOSED = ("void", "served")
_MOST = 3
"""Windows that are named before it is only told how many more there are."""


def _budget(config: Config, engine: Engine, now: float) -> Verdict:
    limits = budget.budgets(config)
    if not limits:
        return Verdict(budget.NAME, budget.REASON, allowed=True, sentence="No yearly limit is set.")
    # Loaded only where there is a budget to keep.
    from policies.accounting import would_exceed

    level = terms.protection(config)
    new = Release(level.counts_noise, level.pairs_noise, terms.videos_per_user(config), config.model.max_head)
    over = would_exceed(limits, budget.past_year(engine, now), new)
    told = f"Spent: {', '.join(over)}." if over else "There is room for the next sum in every limit."
    return Verdict(budget.NAME, budget.REASON, not over, f"{told} See: shoal privacy show")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!")) else f"{text}."
