"""The job that trains: own viewers release what is due, then models are learnt from what is released.

This is where exact numbers end. Below, in `daemon.training`, nobody can ask for one; a closed instance may
hand some down (`daemon.training.exact_own`).
"""

from __future__ import annotations

from typing import Any

from daemon.process.job_context import JobContext
from daemon.rounds import own_release
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.own_likes import HELD_OUT, LEAST_VIEWERS, OwnLikes, held_out, may_judge
from daemon.rounds.own_release import OwnRelease
from daemon.rounds.own_statistics import own_viewers
from daemon.sentences import Sentence, english, sentence
from daemon.store import content_arrays
from daemon.store.releases import OWN
from daemon.training import deploy, exact_own, job
from daemon.training.own_numbers import OwnNumbers
from models import counting, statistics
from models.noise import NO_NOISE
from models.released import Released
from models.statistics import Statistic


def run(context: JobContext) -> dict[str, Any]:
    """Train a local model, and a federated one where there is a sum that may be learnt from.

    Models that somebody is in who withdrew, or that are too exact by now, are gone at the end, from service
    and from the disk, whatever came of the training.

    Raises:
        JobError: there is nothing to train from.
        StoreError: what was released cannot be read.
    """
    context.progress("counting own viewers", 0.0)
    try:
        return job.run(context, own_numbers(context))
    finally:
        deploy.drop_withdrawn(context.engine, context.config)


def own_numbers(context: JobContext) -> OwnNumbers:
    """Return what training may know of own viewers; their release is drawn where it is due.

    It is drawn as well where lists rest on exact numbers: heads of rounds never do.
    """
    # Before the first look: whoever leaves from now on must be out of what comes of exact numbers.
    began = context.clock()
    found = own_release.current(context)
    urls = content_arrays.read_urls(context.engine)
    released = None if found is None else found.released(urls)
    judge = None if found is None else _judge(context, found)
    unjudged = None if judge is not None else _unjudged(found)
    if exact_own.allowed(context.engine, context.config):
        return OwnNumbers(released, _exact(context, found), began, judge, unjudged)
    why = [english(*exact_own.no_effect(context.engine, context.config))]
    if found is None:
        why.append(
            "Lists rest on others' sums, on content and on public counters until own viewers are "
            "counted anew: somebody withdrew, a backup was restored, or the year's budget is spent."
        )
    drawn = 0.0 if found is None else found.drawn
    told = " ".join(filter(None, why))
    return OwnNumbers(released, drawn=drawn, judge=judge, unjudged=unjudged, why=told)


def _exact(context: JobContext, found: OwnRelease | None) -> Released:
    """Count own viewers over today's catalogue, without noise and without the likes that a judge needs."""
    config = context.config
    own = own_viewers(context.engine, config, now=context.clock())
    users = own.limited(own.most)
    kept = windows_of(context, least_changed=0).read(OWN)
    if found is not None and found.question.held_out and kept is not None:
        users = users.where(~held_out(own, users, kept.key(HELD_OUT)))
    head = statistics.head(
        counting.counts(users), min_users=config.sharing.min_users, max_head=config.model.max_head
    )
    statistic = Statistic(
        head, counting.weighted_counts(users, head)[head], counting.pair_counts(users, head)
    )
    viewers = int((users.matrix.indptr[1:] > users.matrix.indptr[:-1]).sum())
    return Released(statistic, NO_NOISE, viewers)


def _judge(context: JobContext, found: OwnRelease) -> OwnLikes | None:
    if not found.question.held_out:
        return None
    own = own_viewers(context.engine, context.config, now=context.clock())
    return OwnLikes(context, own, windows_of(context, least_changed=0), viewers=found.viewers)


def _unjudged(found: OwnRelease | None) -> Sentence:
    """Say why no likes are held out: by the released number of viewers alone."""
    if found is None:
        return sentence("unmeasuredNoRelease")
    if may_judge(found.viewers):
        # What is held out is settled when a window opens, by the number that the one before released.
        return sentence("unmeasuredYet", at=found.ends)
    return sentence("unmeasuredFew", count=round(found.viewers), least=round(LEAST_VIEWERS))
