"""What each rule says to the next contribution, one by one, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.disclosure.formatting import day, plural, span
from daemon.disclosure.next_aggregator import Asker
from daemon.disclosure.windows import WindowShare
from daemon.peers.repository import KnownPeers
from daemon.rounds import round_config, yearly_budget
from federation.errors import Refusal
from federation.proposal import BlobReference, Proposal, least_threshold
from policies.allowlist import Allowlist
from policies.cohort import CohortPolicy
from policies.group import GroupPolicy
from policies.neighbour_relations import Release
from policies.privacy import PrivacyPolicy
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
    config: Config,
    engine: Engine,
    book: KnownPeers,
    asker: Asker,
    vocabulary: int,
    windows: Sequence[WindowShare],
    now: float,
) -> list[Verdict]:
    """Judge the next sum on our own terms, as each of its members would judge it.

    `vocabulary` is the number of videos in it.
    """
    known = book.allowlist()
    proposal = _proposal(config, asker, vocabulary, now)
    about = _About(config, proposal, asker, known)
    found = [_approved(about)]
    others = () if asker.rule is None else (asker.rule,)
    for rule in round_config.policy(config, known, *others).policies:
        try:
            rule.check(proposal)
        except Refusal as refusal:
            sentence, allowed = refusal.sentence, False
        else:
            sentence, allowed = _ALLOWED[rule.name](about), True
        found.append(Verdict(rule.name, rule.reason, allowed, _sentence(sentence)))
    return [*found, _window(asker, config, windows), _budget(config, engine, now)]


@dataclass(frozen=True)
class _About:
    """What a rule that allows says it looked at."""

    config: Config
    proposal: Proposal
    asker: Asker
    known: Allowlist

    @property
    def recognised(self) -> int:
        """Members that our admin approved, who asks not counted, and this instance where it is one."""
        return sum(
            one.host == self.config.instance.host or self.known.recognises(one)
            for one in self.proposal.roster
            if one.host != self.proposal.aggregator
        )


def _proposal(config: Config, asker: Asker, vocabulary: int, now: float) -> Proposal:
    return Proposal(
        aggregator=asker.aggregator,
        roster=asker.roster,
        threshold=least_threshold(len(asker.roster)),
        trainer=TRAINER,
        round=0,
        length=vocabulary,
        entry_bound=config.sharing.max_users,
        ring=32,
        nonce=bytes(16),
        created=int(now),
        expires=int(now + config.cohort.session_expiry.total_seconds()),
        noise=round_config.protection(config).counts_noise,
        colluders=asker.colluders,
        parameters=round_config.parameters(config, vocabulary, parts=asker.parts),
        blobs={round_config.VOCABULARY: BlobReference(bytes(32), 0)},
    )


def _sharing(about: _About) -> str:
    config = about.config
    return (
        f'The mode is "{config.mode}". {plural(about.proposal.length, "public video")} would be asked about; '
        f"at least {config.sharing.min_vocabulary:,} are wanted."
    )


def _cohort(about: _About) -> str:
    members, needed = plural(len(about.proposal.roster), "member"), about.config.cohort.min_cohort
    if not about.asker.group:
        return f"{members}, all approved here; {needed} are needed."
    return f"{members}. Without the host, {about.recognised} are approved here; {needed} are needed."


def _privacy(about: _About) -> str:
    config = about.config
    level = round_config.protection(config)
    if not level.counts_noise and not level.pairs_noise:
        return f'The level "{config.privacy.level}" asks for no noise.'
    return (
        f"Noise of variance {about.proposal.parameters['counts_noise']} in counts and "
        f'{about.proposal.parameters["pairs_noise"]} in pairs, as the level "{config.privacy.level}" asks.'
    )


def _group(about: _About) -> str:
    asker = about.asker
    count = plural(len(asker.roster), "member")
    if asker.drawn == "epoch":
        part = f"a part of {asker.group}" if asker.parts > 1 else f"all of {asker.group}"
        said = f"It would be one of {count}, {part}, and in no other sum."
    else:
        said = f"With which of the {count} it is summed is drawn before the sum."
    return f"{said} Sums of peers are refused while it is in the group."


_ALLOWED: dict[str, Callable[[_About], str]] = {
    GroupPolicy.name: _group,
    SharingPolicy.name: _sharing,
    CohortPolicy.name: _cohort,
    PrivacyPolicy.name: _privacy,
}


def _approved(about: _About) -> Verdict:
    if about.asker.group:
        host = about.asker.aggregator
        allowed = host == about.config.instance.host or about.known.find(host) is not None
        told = f"{host}, which adds up, is {'' if allowed else 'not '}approved here."
        return Verdict(Allowlist.name, Allowlist.reason, allowed, told)
    members = about.known.members()
    told = (
        f"{plural(len(members), 'peer')} approved."
        if members
        else "Nobody is approved: see shoal peers list."
    )
    return Verdict(Allowlist.name, Allowlist.reason, bool(members), told)


def _window(asker: Asker, config: Config, windows: Sequence[WindowShare]) -> Verdict:
    if asker.group:
        asking = [one for one in windows if one.aggregator == asker.aggregator]
    else:
        asking = [one for one in windows if one.aggregator != config.instance.host]
    nothing = [f"{p.aggregator} gets nothing until {day(p.ends)}" for p in asking if p.state in _CLOSED]
    same = [f"{p.aggregator} gets the same again until {day(p.ends)}" for p in asking if p.state == "open"]
    told = [*nothing, *same]
    more = [f"{len(told) - _MOST} more likewise"] if len(told) > _MOST else []
    fresh = "whoever else asks gets fresh noise" if told else "Whoever asks gets a vector with fresh noise"
    kept = f"{fresh}, and the same again for about {span(config.privacy.window.total_seconds())}"
    # Of a group nobody but its host asks.
    kept = "" if asker.group and told else kept
    # A host's name stays as it is, also at the beginning.
    sentence = "; ".join(part for part in [*told[:_MOST], *more, kept] if part) + "."
    return Verdict(Window.name, Window.reason, not nothing or bool(same), sentence)


_CLOSED = ("void", "served")
_MOST = 3
"""Windows that are named before it is only told how many more there are."""


def _budget(config: Config, engine: Engine, now: float) -> Verdict:
    limits = yearly_budget.budgets(config)
    if not limits:
        return Verdict(
            yearly_budget.NAME, yearly_budget.REASON, allowed=True, sentence="No yearly limit is set."
        )
    # Loaded only where there is a budget to keep.
    from policies.accounting import would_exceed

    level = round_config.protection(config)
    new = Release(
        level.counts_noise, level.pairs_noise, round_config.videos_per_user(config), config.model.max_head
    )
    over = would_exceed(limits, yearly_budget.past_year(engine, now), new)
    told = f"Spent: {', '.join(over)}." if over else "There is room for the next sum in every limit."
    return Verdict(yearly_budget.NAME, yearly_budget.REASON, not over, f"{told} See: shoal privacy show")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!")) else f"{text}."
