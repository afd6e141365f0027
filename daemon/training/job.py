"""Trains the instance's models from what is stored, and puts the best one that may serve into service."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from daemon.config import Config
from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.store import content_arrays, model_records, sums
from daemon.store.model_inputs import features, interactions, labels, noise_of, statistic
from daemon.store.model_records import ModelRecord
from daemon.store.sums import StoredSum, SumPrivacy, SumRecord
from daemon.training import deploy, sum_selection
from daemon.training.acceptance.judge import Check, Report, judge
from daemon.training.acceptance.reference_models import month_old_model
from daemon.training.model_writer import ModelWriter
from models import statistics
from models.errors import ModelError, TooLittleDataError
from models.noise import NO_NOISE, SumNoise
from models.statistics import Statistic
from models.trained import TrainedModel
from models.training import Recipe, TrainingData, train
from policies.privacy import PROTECTION, Level


def run(context: JobContext) -> dict[str, Any]:
    """Train a local model, and a federated one where there is a sum that may be learnt from.

    A sum that is new is judged first (`daemon.training.acceptance`). The local model stays ready beside the
    federated one, so that leaving a federation takes no training.

    Raises:
        JobError: there is nothing to train from.
    """
    return _Training(context).run()


@dataclass(frozen=True)
class _Fitted:
    """A model learnt with others, not in service yet."""

    model: TrainedModel
    stored: StoredSum
    head: Statistic
    noise: SumNoise


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
    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._config = config = context.config
        config.models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        context.progress("reading the store", 0.0)
        self._catalogue, engagements = content_arrays.read(context.engine)
        if not len(self._catalogue):
            raise JobError("there are no videos to train on", advice="Run `shoal sync` first.")
        limit = config.sharing.max_videos_per_user
        self._own = interactions(engagements, len(self._catalogue), limit=limit)
        self._features = features(self._catalogue)
        self._labels = labels(self._catalogue)
        self._book = repository.read(context.engine, config)
        self._identity = open_identity(config.identity_file, config.instance.host)
        self._writer = ModelWriter(context, self._labels, self._identity)

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
            fitted = self._fit(found, accepted)
            served = self._keep(fitted, report=accepted[0].report)
        if served is None:
            raise JobError(
                f"no model could be trained: {refused}",
                advice="Wait for more viewers, or look at `shoal models list`.",
            )
        trained_from = [one.session_id for one in accepted] if served.kind == "federated" else []
        deploy.put_into_service(self._context.engine, self._config, served.id, trained_from=trained_from)
        self._context.progress("in service", 1.0)
        summary |= {"model": served.id, "kind": served.kind, "quality": served.quality}
        if self._config.privacy.publish_vectors and accepted:
            summary["vectors"] = self._published or "published"
        return summary | ({"sum_not_used": refused} if refused else {})

    # -- what may be learnt from ----------------------------------------------------------------------------

    _published = ""

    def _eligible(self) -> sum_selection.SelectedSums:
        if not self._config.federates:
            return sum_selection.SelectedSums((), (), "", frozenset())
        return sum_selection.choose(sums.records(self._context.engine), self._book)

    def _local(self, *, part: float, needed: bool) -> tuple[TrainedModel | None, ModelRecord | None]:
        def progress(stage: str, done: float) -> None:
            self._context.progress(stage, done * part)

        try:
            model = self._train(None, NO_NOISE, progress)
        except JobError as error:
            # A new instance has too little of its own; that is what the others are for.
            if needed or not isinstance(error.__cause__, TooLittleDataError):
                raise
            return None, None
        return model, self._writer.keep(model, kind="local")

    def _fit(self, found: sum_selection.SelectedSums, records: Sequence[SumRecord]) -> _Fitted:
        ids = [one.session_id for one in records]
        stored = sums.load(self._context.engine, self._config.sums_dir, ids)
        head, noise = statistic(stored, self._catalogue), noise_of(stored)
        if not found.complete(records) or len(records) < len(_siblings(found, records)):
            counts = statistics.counts(self._own)
            least = stored.privacy.min_users
            head = sum_selection.restricted(head, lambda places: counts[places], min_users=least)
        model = self._train(head, noise, lambda stage, part: self._context.progress(stage, 0.5 + part / 2))
        return _Fitted(model, stored, head, noise)

    def _train(
        self, others: Statistic | None, noise: SumNoise, progress: Callable[[str, float], None]
    ) -> TrainedModel:
        kind = "local" if others is None else "federated"
        try:
            if others is not None:
                others.check(noise)
            data = TrainingData(self._features, self._own, others, noise)
            return train(data, recipe_of(self._config), progress)
        except ModelError as error:
            raise JobError(
                f"no {kind} model could be trained: {error}",
                advice="What is served now stays; train again after the next sync.",
            ) from error

    # -- acceptance -----------------------------------------------------------------------------------------

    def _judge(self, found: sum_selection.SelectedSums, local: TrainedModel | None) -> _Judged:
        """Judge a new sum, whole, then with each of its sums left out; keep what comes of it."""
        fitted, report = self._judged(found, found.fresh, local)
        records, bad = found.fresh, report
        if not report.ok:
            for fewer in sum_selection.without_one(found.fresh):
                other, second = self._judged(found, fewer, local)
                if second.ok:
                    fitted, report, records = other, second, fewer
                    break
        verdict: sums.Verdict = "quarantined"
        if report.ok:
            verdict = "awaiting" if self._is_first() else "accepted"
        told = {**report.as_json(), "verdict": verdict}
        left_out = [one.session_id for one in found.fresh if one not in records]
        engine = self._context.engine
        if left_out:
            sums.set_verdict(engine, left_out, "quarantined", {**bad.as_json(), "verdict": "quarantined"})
        sums.set_verdict(engine, [one.session_id for one in records], verdict, told)
        record = None if fitted is None else self._keep(fitted, report=told, state=_STATES[verdict])
        failed = [check for check in bad.checks if not check.ok]
        details = {
            "verdict": verdict,
            "sums": [one.session_id for one in records],
            "left_out": left_out,
            "survivors": sorted(host for one in records for host in one.survivors),
            "failed": [check.id for check in failed],
        }
        subject = records[0].run if record is None else record.id
        append(engine, self._identity, Kind.ACCEPTANCE, subject, details, now=self._context.clock())
        sentence = bad.sentence if failed else "it waits for you: shoal models list"
        return _Judged(verdict, records, record, sentence)

    def _judged(
        self, found: sum_selection.SelectedSums, records: Sequence[SumRecord], local: TrainedModel | None
    ) -> tuple[_Fitted | None, Report]:
        try:
            fitted = self._fit(found, records)
        except JobError as error:
            # No model comes of such a sum, and none will when it is tried again.
            impossible = Check("trainable", ok=False, sentence=f"{error.message}.", value=nan, bound=nan)
            hosts = sorted(host for one in records for host in one.survivors)
            at, ids = self._context.clock(), tuple(one.session_id for one in records)
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
            others=fitted.head,
            noise=fitted.noise,
            declared=declared,
            max_videos_per_user=fitted.stored.privacy.max_videos_per_user,
            labels=self._labels,
            settings=config.acceptance,
            seed=config.model.seed,
            at=self._context.clock(),
            survivors=fitted.stored.survivors,
            sums=fitted.stored.sessions,
        )
        return fitted, report

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
            fitted.model, kind="federated", stored=fitted.stored, report=report, state=state
        )
        if state == "ready":
            self._published = why_not_published(self._config, fitted.stored.privacy)
            if not self._published:
                self._published = self._writer.publish(record, fitted.head, fitted.noise)
        return record


def _siblings(found: sum_selection.SelectedSums, records: Sequence[SumRecord]) -> tuple[SumRecord, ...]:
    """Return the sums that would be summed together with these if none were left out."""
    for group in (found.fresh, found.accepted):
        if group and records and group[0].run == records[0].run:
            return group
    return tuple(records)


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


def recipe_of(config: Config) -> Recipe:
    """Return how this instance trains."""
    return Recipe(
        rank=config.model.rank,
        min_users=config.sharing.min_users,
        min_pair_users=config.sharing.min_users,
        max_head=config.model.max_head,
        seed=config.model.seed,
        threads=config.model.threads or os.cpu_count() or 1,
    )
