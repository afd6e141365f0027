"""Trains the instance's models from what is stored, and puts the best one that may serve into service."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Final

import numpy as np

from daemon.config import Config
from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.process.limits import job_memory
from daemon.sentences import english, sentence
from daemon.store import content_arrays, model_records, sums
from daemon.store.model_inputs import features, labels, released
from daemon.store.model_records import NOT_MEASURED, ModelRecord
from daemon.store.sums import StoredSum, SumPrivacy, SumRecord
from daemon.training import deploy, sum_selection
from daemon.training.acceptance.judge import Check, Report, judge
from daemon.training.acceptance.reference_models import month_old_model
from daemon.training.model_writer import ModelWriter
from daemon.training.own_numbers import OwnNumbers, Quality
from models.errors import ModelError, TooLittleDataError
from models.problem import LEAST_ALONE, worth_learning
from models.recommender import ServedItems
from models.released import Released
from models.trained import TrainedModel
from models.training import Assembled, Recipe, TrainingData, prepare, train
from policies.acceptance import QUALITY
from policies.privacy import PROTECTION, Level

RIDGES: Final = (0.3, 1.0, 3.0, 10.0)
"""What a judge chooses from, in multiples of the mean diagonal."""


_WITHOUT_ITEMS_MB, _BYTES_PER_PAIR = 420, 60
"""Measured: training 4,096 items takes 1,350 MiB at its peak, in single and double precision together."""


def run(context: JobContext, own: OwnNumbers) -> dict[str, Any]:
    """Train a local model, and a federated one where there is a sum that may be learnt from.

    A sum that is new is judged first (`daemon.training.acceptance`). The local model stays ready beside the
    federated one, so that leaving a federation takes no training.

    Raises:
        JobError: there is nothing to train from.
    """
    return _Training(context, own).run()


@dataclass(frozen=True)
class _Fitted:
    """A model learnt with others, not in service yet."""

    model: TrainedModel
    stored: StoredSum
    others: Released


_STATES: Mapping[sums.Verdict, model_records.State] = {
    "accepted": "ready",
    "awaiting": "awaiting",
    "quarantined": "quarantined",
}


@dataclass(frozen=True)
class _Judged:
    """What became of a new sum: the sums that it came down to, and its model where there is one."""

    verdict: sums.Verdict
    records: tuple[SumRecord, ...]
    record: ModelRecord | None
    sentence: str


class _Training:
    def __init__(self, context: JobContext, own: OwnNumbers) -> None:
        self._context, self._own = context, own
        self._config = config = context.config
        config.models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        context.progress("reading the store", 0.0)
        self._catalogue = content_arrays.read(context.engine)
        if not len(self._catalogue):
            raise JobError("there are no videos to train on", advice="Run `shoal sync` first.")
        self._features = features(self._catalogue)
        self._labels = labels(self._catalogue)
        self._book = repository.read(context.engine, config)
        self._identity = open_identity(config.identity_file, config.instance.host)
        self._writer = ModelWriter(context, self._labels, self._identity, own)

    def run(self) -> dict[str, Any]:
        found = self._eligible()
        federated = bool(found.fresh or found.accepted)
        local, kept = self._local(part=0.5 if federated else 1.0, needed=not federated)
        summary: dict[str, Any] = {"videos": len(self._catalogue)}
        refused, accepted, served = found.refused, found.accepted, kept
        if found.fresh:
            judged = self._judge(found, local)
            summary["acceptance"] = judged.verdict
            if judged.verdict == "accepted":
                accepted, served = judged.records, judged.record
            else:
                refused = judged.sentence
        if accepted and (served is kept):
            fitted = self._fit(accepted)
            served = self._keep(fitted, report=accepted[0].report)
        if served is None:
            raise JobError(
                f"no model could be trained: {refused}",
                advice="Wait for more viewers, or look at `shoal models list`.",
            )
        trained_from = [one.round_id for one in accepted] if served.kind == "federated" else []
        deploy.put_into_service(self._context.engine, self._config, served.id, trained_from=trained_from)
        self._context.progress("in service", 1.0)
        summary |= {"model": served.id, "kind": served.kind, "quality": served.quality}
        if self._config.privacy.publish_vectors and accepted:
            summary["vectors"] = self._published or "published"
        if self._left_out:
            summary["memory"] = self._left_out
        if self._own.unjudged is not None:
            summary[NOT_MEASURED] = self._own.unjudged
        if why := self._own.why or self._too_few():
            summary["own_viewers"] = why
        return summary | ({"sum_not_used": refused} if refused else {})

    def _too_large(self, ready: Assembled, own: Released | None, others: Released | None) -> str:
        """Say what memory has left out of a model, empty where all fits."""
        heads = [one.statistic.head for one in (own, others) if one is not None]
        wanted = np.unique(np.concatenate(heads)).size if heads else 0
        used = ready.problem.items.positions.size
        if used >= wanted:
            return ""
        return (
            f"Of {wanted:,} videos, the {used:,} most watched fit into a job's memory of "
            f"{job_memory(self._config.limits.job_memory_mb):,} MiB (limits.job_memory_mb): the others are "
            "suggested by tags and title words alone."
        )

    def _too_few(self) -> str:
        own = self._own.learnt
        if own is None or worth_learning(own, None) is not None:
            return ""
        return (
            f"Fewer than about {LEAST_ALONE:.0f} viewers take part, so what is learnt from them alone would "
            "be mostly noise: without others, lists rest on public counters, tags and title words."
        )

    # -- what may be learnt from ----------------------------------------------------------------------------

    _published = _left_out = ""

    def _eligible(self) -> sum_selection.SelectedSums:
        if not self._config.federates:
            return sum_selection.SelectedSums((), (), "")
        return sum_selection.choose(sums.records(self._context.engine), self._book)

    def _local(self, *, part: float, needed: bool) -> tuple[TrainedModel | None, ModelRecord | None]:
        def progress(stage: str, done: float) -> None:
            self._context.progress(stage, done * part)

        try:
            model = self._train(None, progress)
        except JobError as error:
            # A new instance has too little of its own; that is what the others are for.
            if needed or not isinstance(error.__cause__, TooLittleDataError):
                raise
            return None, None
        return model, self._writer.keep(model, kind="local", quality=self._measured(model))

    def _fit(self, records: Sequence[SumRecord]) -> _Fitted:
        ids = [one.round_id for one in records]
        stored = sums.load(self._context.engine, self._config.sums_dir, ids)
        others = sum_selection.restricted(
            released(stored, self._catalogue), self._own.released, min_users=stored.privacy.min_users
        )
        model = self._train(others, lambda stage, part: self._context.progress(stage, 0.5 + part / 2))
        return _Fitted(model, stored, others)

    def _train(self, others: Released | None, progress: Callable[[str, float], None]) -> TrainedModel:
        kind = "local" if others is None else "federated"
        recipe = recipe_of(self._config)
        try:
            if others is not None:
                others.statistic.check(others.noise)
            own = worth_learning(self._own.learnt, others)
            ready = prepare(TrainingData(self._features, own, others), recipe, progress)
            self._left_out = self._too_large(ready, own, others)
            return train(ready, replace(recipe, ridge=self._chosen(ready)), progress)
        except ModelError as error:
            raise JobError(
                f"no {kind} model could be trained: {error}",
                advice="What is served now stays; train again after the next sync.",
            ) from error

    def _chosen(self, ready: Assembled) -> float:
        """Return the ridge that own viewers' likes chose in this window, 0 for the default.

        It is chosen once, for whichever model is trained first: the local one.
        """
        judge = self._own.judge
        if judge is None or not ready.problem.items.positions.size:
            return 0.0
        return judge.choose(RIDGES, ready.candidate) or 0.0

    def _measured(self, model: TrainedModel) -> Quality | None:
        return None if self._own.judge is None else self._own.judge.measure(ServedItems(model))

    # -- acceptance -----------------------------------------------------------------------------------------

    def _judge(self, found: sum_selection.SelectedSums, local: TrainedModel | None) -> _Judged:
        """Judge a new sum, whole, then with each of its sums left out; keep what comes of it.

        Quality is judged once, of the whole: each answer costs privacy.
        """
        fitted, report = self._judged(found.fresh, local, quality=True)
        records, bad = found.fresh, report
        if not report.ok and not any(check.failed for check in report.checks if check.id == QUALITY):
            for fewer in sum_selection.without_one(found.fresh):
                other, second = self._judged(fewer, local)
                if second.ok:
                    fitted, report, records = other, second, fewer
                    break
        verdict: sums.Verdict = "quarantined"
        if report.ok:
            verdict = "awaiting" if self._is_first() else "accepted"
        told = report.told(verdict)
        left_out = [one.round_id for one in found.fresh if one not in records]
        engine = self._context.engine
        if left_out:
            sums.set_verdict(engine, left_out, "quarantined", bad.told("quarantined"))
        sums.set_verdict(engine, [one.round_id for one in records], verdict, told)
        record = None if fitted is None else self._keep(fitted, report=told, state=_STATES[verdict])
        failed = [check for check in bad.checks if check.failed]
        details = {
            "verdict": verdict,
            "sums": [one.round_id for one in records],
            "left_out": left_out,
            "survivors": sorted(host for one in records for host in one.survivors),
            "failed": [check.id for check in failed],
        }
        subject = records[0].run if record is None else record.id
        append(engine, self._identity, Kind.ACCEPTANCE, subject, details, now=self._context.clock())
        told_why = english(*bad.sentences) if failed else "it waits for you: shoal models list"
        return _Judged(verdict, records, record, told_why)

    def _judged(
        self, records: Sequence[SumRecord], local: TrainedModel | None, *, quality: bool = False
    ) -> tuple[_Fitted | None, Report]:
        try:
            fitted = self._fit(records)
        except JobError as error:
            # No model comes of such a sum, and none will when it is tried again.
            impossible = Check(
                "trainable",
                ok=False,
                sentence=sentence("ruleUntrainable", why=error.message),
                value=nan,
                bound=nan,
            )
            hosts = sorted(host for one in records for host in one.survivors)
            at, ids = self._context.clock(), tuple(one.round_id for one in records)
            return None, Report(at, (impossible,), (), (), tuple(hosts), ids)
        config = self._config
        declared = {
            host: peer.cap(config)
            for host in fitted.stored.survivors
            if (peer := self._book.find(host)) is not None
        }
        report = judge(
            fitted.model,
            local,
            month_old_model(self._context.engine, config, self._book, now=self._context.clock()),
            others=fitted.others,
            own=self._own.released,
            good_enough=self._good_enough(fitted, local) if quality else None,
            declared=declared,
            max_videos_per_user=fitted.stored.privacy.max_videos_per_user,
            labels=self._labels,
            settings=config.acceptance,
            seed=config.model.seed,
            at=self._context.clock(),
            survivors=fitted.stored.survivors,
            sums=fitted.stored.rounds,
        )
        return fitted, report

    def _good_enough(self, fitted: _Fitted, local: TrainedModel | None) -> bool | None:
        judge = self._own.judge
        if judge is None or local is None:
            return None
        models = ServedItems(fitted.model), ServedItems(local)
        run = fitted.stored.round_id
        return judge.good_enough(run, *models, self._config.acceptance.quality_margin)

    def _is_first(self) -> bool:
        """Tell whether no model learnt with others has ever served since the last time none was left."""
        if not self._config.acceptance.confirm_first:
            return False
        accepted = any(one.verdict == "accepted" for one in sums.records(self._context.engine))
        served = any(
            record.kind == "federated" and record.state in ("ready", "current")
            for record in model_records.models(self._context.engine)
        )
        return not (accepted or served)

    # -- keeping --------------------------------------------------------------------------------------------

    def _keep(
        self, fitted: _Fitted, *, report: Mapping[str, Any], state: model_records.State = "ready"
    ) -> ModelRecord:
        record = self._writer.keep(
            fitted.model,
            kind="federated",
            stored=fitted.stored,
            report=report,
            state=state,
            quality=self._measured(fitted.model),
        )
        if state == "ready":
            self._published = why_not_published(self._config, fitted.stored.privacy)
            if not self._published:
                self._published = self._writer.publish(record, fitted.others)
        return record


def why_not_published(config: Config, privacy: SumPrivacy) -> str:
    """Return why vectors of videos may not be made public from a sum on these terms; empty where they may.

    They may when the admin wants it, every member agreed to it in the proposal, and the noise is at least the
    default level's.
    """
    least = PROTECTION[Level.DEFAULT]
    if not config.privacy.publish_vectors:
        return "privacy.publish_vectors is off"
    if not privacy.publish:
        return "the sum was proposed without it; the next one asks for it"
    if privacy.counts_noise < least.counts_noise or privacy.pairs_noise < least.pairs_noise:
        return "the sum carries less noise than the default level; the next one may do"
    return ""


def items_within(memory_mb: int) -> int:
    """Return how many items a model may have so that training it stays within so many MiB."""
    return int(((memory_mb - _WITHOUT_ITEMS_MB) * 2**20 / _BYTES_PER_PAIR) ** 0.5)


def recipe_of(config: Config) -> Recipe:
    """Return how this instance trains."""
    return Recipe(
        rank=config.model.rank,
        max_items=items_within(job_memory(config.limits.job_memory_mb)),
        seed=config.model.seed,
        threads=config.model.threads or os.cpu_count() or 1,
    )
