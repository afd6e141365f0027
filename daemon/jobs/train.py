"""Trains the instance's models from what is stored, and puts the best one into service."""

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from daemon import pointer
from daemon.config import Config
from daemon.errors import JobError
from daemon.jobs.registry import JobContext
from daemon.jobs.training_data import features, interactions, labels, noise_of, statistic
from daemon.store import model_records, reading, sums
from models import artefact, vector_file, vectors
from models.errors import ModelError, TooLittleDataError
from models.features import Features
from models.interactions import Interactions
from models.labels import Labels
from models.noise import SumNoise
from models.statistics import Statistic
from models.training import Recipe, TrainingData, train
from policies.privacy import PROTECTION, Level


def run(context: JobContext) -> dict[str, Any]:
    """Train a local model, and a federated one when there is a sum to learn from; switch to the latter.

    The local model stays ready beside the federated one, so that leaving a federation takes no training.

    Raises:
        JobError: there is nothing to train from.
    """
    config = context.config
    config.models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    context.progress("reading the store", 0.0)
    catalogue, engagements = reading.read(context.engine)
    if not len(catalogue):
        raise JobError("there are no videos to train on", advice="Run `shoal sync` first.")
    own = interactions(engagements, len(catalogue), limit=config.sharing.max_videos_per_user)
    trainer = _Trainer(context, features(catalogue), own, labels(catalogue))
    others, refused = _newest_sum(context)
    not_published = ""
    halfway = 0.5 if others is not None else 1.0
    model = None
    try:
        model = trainer.train(None, {}, lambda stage, part: context.progress(stage, part * halfway))
    except JobError as error:
        # A new instance has too little of its own; that is what the others are for.
        if others is None or not isinstance(error.__cause__, TooLittleDataError):
            raise
    if others is not None:
        head = statistic(others, catalogue)
        about = {
            "session": others.session_id,
            "survivors": list(others.survivors),
            "privacy": others.privacy,
        }
        noise = noise_of(others)
        model = trainer.train(head, about, lambda stage, part: context.progress(stage, 0.5 + part / 2), noise)
        not_published = why_not_published(config, others.privacy)
        if not not_published:
            not_published = trainer.publish(model, head, noise)
    assert model is not None  # noqa: S101 (one of the two was trained, or an error raised)
    pointer.write(config.models_dir, model.directory)
    model_records.make_current(context.engine, model.id)
    context.progress("in service", 1.0)
    summary = {"model": model.id, "kind": model.kind, "videos": len(catalogue), "quality": model.quality}
    if config.privacy.publish_vectors and others is not None:
        summary["vectors"] = not_published or "published"
    return summary | ({"sum_not_used": refused} if refused else {})


def _newest_sum(context: JobContext) -> tuple[sums.StoredSum | None, str]:
    """Return the sum to learn from, and why there is none where a stored one must not be used."""
    if context.config.mode not in {"consume", "contribute"}:
        return None, ""
    found = sums.newest(context.engine, context.config.sums_dir)
    if found is None:
        return None, ""
    strangers = sorted(set(found.survivors) - {peer.host for peer in context.config.peers})
    if strangers:
        return None, f"it contains {', '.join(strangers)}, which [[peers]] does not name any more"
    return found, ""


def why_not_published(config: Config, privacy: Mapping[str, Any]) -> str:
    """Return why vectors of videos may not be made public from a sum on these terms; empty where they may.

    They may when the admin wants it, every member agreed to it in the proposal, and the noise is at least the
    default level's.
    """
    least = PROTECTION[Level.DEFAULT]
    if not config.privacy.publish_vectors:
        return "privacy.publish_vectors is off"
    if not privacy.get("publish"):
        return "the sum was proposed without it; the next one asks for it"
    if (
        privacy.get("counts_noise", 0) < least.counts_noise
        or privacy.get("pairs_noise", 0) < least.pairs_noise
    ):
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


class _Trainer:
    def __init__(self, context: JobContext, features: Features, own: Interactions, labels: Labels) -> None:
        self._context, self._features, self._own, self._labels = context, features, own, labels

    def train(
        self,
        others: Statistic | None,
        about: dict[str, Any],
        progress: Callable[[str, float], None],
        noise: SumNoise = SumNoise(),  # noqa: B008 (frozen)
    ) -> model_records.ModelRecord:
        """Train, store and record one model; it is not in service yet."""
        config, now = self._context.config, self._context.clock()
        recipe = recipe_of(config)
        kind: model_records.Kind = "local" if others is None else "federated"
        try:
            if others is not None:
                others.check(noise)
            trained = train(TrainingData(self._features, self._own, others, noise), recipe, progress)
        except ModelError as error:
            raise JobError(
                f"no {kind} model could be trained: {error}",
                advice="What is served now stays; train again after the next sync.",
            ) from error
        created = datetime.fromtimestamp(now, UTC)
        name = f"{created:%Y%m%d-%H%M%S}-{kind}-{secrets.token_hex(3)}"
        directory = config.models_dir / name
        provenance = {"host": config.instance.host, "kind": kind, **about}
        artefact.save(trained, directory, labels=self._labels, provenance=provenance, created=created)
        digest = hashlib.sha256((directory / artefact.MANIFEST).read_bytes()).hexdigest()
        quality = {"lambda": trained.chosen_lambda, "alpha": trained.chosen_alpha, **_best(trained.quality)}
        record = model_records.ModelRecord(
            id=name,
            created=now,
            kind=kind,
            session_id=about.get("session"),
            directory=name,
            manifest_sha256=digest,
            quality=quality,
        )
        model_records.save(self._context.engine, record)
        return record

    def publish(self, model: model_records.ModelRecord, others: Statistic, noise: SumNoise) -> str:
        """Put beside a model what browsers may rank from, made of the others' noisy sum alone.

        Returns why there is nothing, or an empty text.
        """
        created = datetime.fromtimestamp(model.created, UTC)
        try:
            made = vectors.build(others, noise, self._labels.uuid, created=created)
        except TooLittleDataError as error:
            # The model is none the worse for it.
            return str(error)
        vector_file.save(made, self._context.config.models_dir / model.directory)
        return ""


def _best(quality: dict[str, float]) -> dict[str, float]:
    """Return the NDCG@10 on the held-out part of the recipe that was chosen; nothing where none was tried."""
    values = [value for value in quality.values() if np.isfinite(value)]
    return {"held_out_ndcg10": round(max(values), 4)} if values else {}
