"""The next sum that this instance would be in: who asks for it, with whom, and what each rule says to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import Engine

from daemon.config import Config
from daemon.disclosure.windows import WindowView
from daemon.group import repository as group_repository
from daemon.group.membership import rules
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.peers.repository import KnownPeers
from daemon.rounds import round_config, yearly_budget
from daemon.rounds.aggregator_window import AggregatorWindows, asked_before, group_windows, peer_windows
from daemon.sentences import Sentence, sentence
from federation.errors import Refusal
from federation.group.epoch_document import EpochDocument
from federation.identity import PublicIdentity
from federation.masks import RING
from federation.proposal import BlobReference, Proposal, least_threshold
from policies.allowlist import Allowlist
from policies.base import Rule
from policies.cohort import CohortPolicy, needed_threshold
from policies.group import GroupPolicy
from policies.neighbour_relations import Release
from policies.privacy import PrivacyPolicy
from policies.sharing import TRAINER, SharingPolicy
from policies.window import Window

Drawn = Literal["epoch", "listed", "peers"]
Said: TypeAlias = tuple[Sentence, ...]


@dataclass(frozen=True)
class NextSum:
    """The next sum as this instance would be asked for it.

    Attributes:
        hosts: who may ask.
        aggregator: the host of the group; of peers any, for whom this instance stands.
        roster: who would be in it, sorted by host.
        drawn: how that is known: `epoch`, this instance's sub-cohort in the group's epoch; `listed`, the
            members as the host lists them, while none is drawn; `peers`, all approved ones.
        colluders: for how many that work together the noise is laid out.
        sub_cohorts: into how many the group is divided.
        rule: what a group adds to the rules; None outside of one.
        group: its name, empty outside of one.
    """

    hosts: tuple[str, ...]
    aggregator: str
    roster: tuple[PublicIdentity, ...]
    drawn: Drawn
    colluders: int
    sub_cohorts: int = 1
    rule: Rule | None = None
    group: str = ""

    @property
    def members(self) -> tuple[str, ...]:
        """Return with whom this instance would be summed, itself included."""
        return tuple(one.host for one in self.roster)


@dataclass(frozen=True)
class RuleVerdict:
    """One rule: its name, why it exists, whether it allows the next contribution, and what it looked at."""

    policy: str
    reason: str
    allowed: bool
    sentences: tuple[Sentence, ...]


def next_sum(config: Config, engine: Engine, known: KnownPeers) -> NextSum:
    """Return who asks next. While this instance is in a group, that is its host and nobody else."""
    group = group_repository.current(engine)
    if group is None or not group.active:
        hosts = tuple(peer.host for peer in known.approved())
        roster = known.allowlist().members()
        colluders = round_config.colluders(roster, known)
        return NextSum(hosts, config.instance.host, roster, "peers", colluders)
    me = open_identity(config.identity_file, config.instance.host, create=False).public
    document = _document(config, engine, me, group)
    drawn = None if document is None else document.roster_of(me.host)
    # Drawn shortly before the round: until then it is judged as if the group were not divided.
    roster = drawn or _listed(engine, me)
    return NextSum(
        (group.host,),
        group.host,
        roster,
        "epoch" if drawn else "listed",
        colluders=round_config.READ_BY_OTHERS,
        sub_cohorts=len(document.rosters) if drawn and document is not None else 1,
        rule=rules.policy(engine, config, me) if drawn else GroupPolicy(me.host, roster, group.host),
        group=group.group,
    )


def aggregator_windows(config: Config, engine: Engine, now: float) -> AggregatorWindows | None:
    """Return what this instance asks others in this data window: for its group, or its own peers."""
    group = group_repository.current(engine)
    inside = group if group is not None and group.active else None
    if (inside is not None and inside.role != "host") or not asked_before(config, hosted=inside is not None):
        return None
    return peer_windows(config, lambda: now) if inside is None else group_windows(config, lambda: now)


def rule_verdicts(
    config: Config,
    engine: Engine,
    peers: KnownPeers,
    planned: NextSum,
    vocabulary: int,
    windows: Sequence[WindowView],
    now: float,
) -> list[RuleVerdict]:
    """Judge the next sum on our own terms, as each of its members would judge it.

    `vocabulary` is the number of videos in it.
    """
    known = peers.allowlist()
    proposal = _proposal(config, planned, vocabulary, now)
    judged = _Judged(config, proposal, planned, known)
    found = [_approved(judged)]
    others = () if planned.rule is None else (planned.rule,)
    for rule in round_config.policy(config, known, *others).policies:
        try:
            rule.check(proposal)
        except Refusal as refusal:
            told: Said = (sentence("ruleRefuses", why=_capital(refusal.sentence)),)
            found.append(RuleVerdict(rule.name, rule.reason, allowed=False, sentences=told))
        else:
            told = _ALLOWED[rule.name](judged)
            found.append(RuleVerdict(rule.name, rule.reason, allowed=True, sentences=told))
    return [*found, _window(planned, config, windows), _budget(config, engine, now)]


def _listed(engine: Engine, me: PublicIdentity) -> tuple[PublicIdentity, ...]:
    inside = [one for one in group_repository.members(engine) if one.state == "member" and one.key]
    # Whoever only learns is in no sub-cohort.
    listed = [one.identity for one in inside if one.gives]
    return tuple(sorted({one.host: one for one in (me, *listed)}.values(), key=lambda one: one.host))


def _document(config: Config, engine: Engine, me: PublicIdentity, group: Membership) -> EpochDocument | None:
    try:
        host = rules.host_of(engine, config, me, group)
        return None if host is None else rules.epoch_of(group, host)
    except Refusal:
        # Signed by a key that is not the host's any more: no division holds.
        return None


@dataclass(frozen=True)
class _Judged:
    """What a rule that allows says it looked at."""

    config: Config
    proposal: Proposal
    planned: NextSum
    known: Allowlist

    @property
    def approved(self) -> int:
        """Members that count as approved, who asks not counted, and this instance where it is one."""
        return sum(
            one.host == self.config.instance.host or self.known.vouched_for(one)
            for one in self.proposal.roster
            if one.host != self.proposal.aggregator
        )


def _proposal(config: Config, planned: NextSum, vocabulary: int, now: float) -> Proposal:
    # The largest that there may be: the head is the aggregator's to choose.
    head = max(2, min(config.model.max_head, vocabulary))
    members = len(planned.roster)
    # The host of a group knows nothing of whom its members approved.
    threshold = least_threshold(members) if planned.group else needed_threshold(members, planned.colluders)
    return Proposal(
        aggregator=planned.aggregator,
        roster=planned.roster,
        threshold=min(threshold, members),
        trainer=TRAINER,
        segments=round_config.segments(config, vocabulary, head),
        entry_bound=config.sharing.max_users,
        ring=RING,
        nonce=bytes(16),
        created=int(now),
        expires=int(now + config.cohort.round_expiry.total_seconds()),
        colluders=planned.colluders,
        parameters=round_config.parameters(
            config,
            vocabulary,
            head,
            sub_cohorts=planned.sub_cohorts,
            pass_on=members >= round_config.LEAST_TO_PASS_ON,
        ),
        blobs=dict.fromkeys((round_config.VOCABULARY, round_config.HEAD), BlobReference(bytes(32), 0)),
    )


def _sharing(judged: _Judged) -> Said:
    config, videos = judged.config, int(judged.proposal.parameters["vocabulary"])
    least = config.sharing.min_vocabulary
    return (sentence("shareVocabulary", mode=config.mode, count=videos, least=least),)


def _cohort(judged: _Judged) -> Said:
    members, needed = len(judged.proposal.roster), judged.config.cohort.min_cohort
    if judged.planned.group:
        said = sentence("shareGroupCohort", count=members, approved=judged.approved, needed=needed)
    elif members > judged.approved:
        introduced = members - judged.approved
        said = sentence("shareCohortIntroduced", count=members, introduced=introduced, needed=needed)
    else:
        said = sentence("shareCohort", count=members, needed=needed)
    return (said,)


def _privacy(judged: _Judged) -> Said:
    config = judged.config
    level, name = round_config.protection(config), config.privacy.level
    if not level.counts_noise and not level.pairs_noise:
        return (sentence("shareNoNoise", level=name),)
    return (sentence("shareNoise", counts=level.counts_noise, pairs=level.pairs_noise, level=name),)


def _group(judged: _Judged) -> Said:
    planned = judged.planned
    count = len(planned.roster)
    if planned.drawn != "epoch":
        said = sentence("shareNotDrawn", count=count)
    elif planned.sub_cohorts > 1:
        said = sentence("shareSubCohort", count=count, group=planned.group)
    else:
        said = sentence("shareWholeGroup", count=count, group=planned.group)
    return (said, sentence("sharePeersRefused"))


_ALLOWED: dict[str, Callable[[_Judged], Said]] = {
    GroupPolicy.name: _group,
    SharingPolicy.name: _sharing,
    CohortPolicy.name: _cohort,
    PrivacyPolicy.name: _privacy,
}


def _approved(judged: _Judged) -> RuleVerdict:
    if judged.planned.group:
        host = judged.planned.aggregator
        allowed = host == judged.config.instance.host or judged.known.find(host) is not None
        told = (
            sentence("shareHostApproved", host=host)
            if allowed
            else sentence("shareHostNotApproved", host=host)
        )
        return RuleVerdict(Allowlist.name, Allowlist.reason, allowed, (told,))
    members = judged.known.members()
    told = sentence("sharePeersApproved", count=len(members)) if members else sentence("shareNobodyApproved")
    return RuleVerdict(Allowlist.name, Allowlist.reason, bool(members), (told,))


def _window(planned: NextSum, config: Config, windows: Sequence[WindowView]) -> RuleVerdict:
    asks = [one for one in windows if one.aggregator in planned.hosts]
    closed = [one for one in asks if one.state in _CLOSED]
    same = [one for one in asks if one.state == "open"]
    told = [
        *(sentence("shareNothingNew", host=one.aggregator, at=one.ends) for one in closed),
        *(sentence("shareSameAgain", host=one.aggregator, at=one.ends) for one in same),
    ]
    others = len(told) < max(len(planned.hosts), 1)
    longest = config.privacy.window_max.total_seconds() / _DAY
    fresh = sentence("shareOthersFresh", days=longest) if told else sentence("shareFresh", days=longest)
    said = (
        *told[:_MOST],
        *([sentence("shareLikewise", count=len(told) - _MOST)] if len(told) > _MOST else []),
        *([fresh] if others else []),
    )
    return RuleVerdict(Window.name, Window.reason, bool(same or others), said)


_CLOSED = ("given", "void", "served")
_MOST = 3
"""Windows that are named before it is only told how many more there are."""
_DAY = 86400.0


def _budget(config: Config, engine: Engine, now: float) -> RuleVerdict:
    limits = yearly_budget.budgets(config)
    if not limits:
        none = (sentence("shareNoBudget"),)
        return RuleVerdict(yearly_budget.NAME, yearly_budget.REASON, allowed=True, sentences=none)
    # Loaded only where there is a budget to keep.
    from policies.accounting import would_exceed

    level = round_config.protection(config)
    new = Release(
        level.counts_noise, level.pairs_noise, round_config.videos_per_user(config), config.model.max_head
    )
    over = would_exceed(limits, yearly_budget.past_year(engine, now), new)
    told = sentence("shareBudgetSpent", limits=over) if over else sentence("shareBudgetLeft")
    return RuleVerdict(yearly_budget.NAME, yearly_budget.REASON, not over, (told,))


def _capital(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!")) else f"{text}."
