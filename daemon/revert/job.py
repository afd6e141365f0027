"""The job that takes a peer's learning out of the store: compare, delete, train without it, prove.

Arguments: `host`; `dry_run=1` to compare only; `seconds`, how long it took until the peer was out of service.
It goes on where an earlier run was interrupted: what it found is written down before anything is deleted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daemon.errors import ShoalError
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.process.job_context import JobContext, Progress
from daemon.revert import artifacts, changed_lists, proof, report
from daemon.revert.artifacts import Artifacts, artifacts_of
from daemon.revert.out_of_service import basis_without, choose, require_known, take_out_of_service
from daemon.rounds import crash_points
from daemon.sentences import Sentence, sentence
from daemon.store import current_model, model_records, source_state
from models import artefact
from models.errors import ModelError
from models.serving import ServedModel

COMPARED, DELETED = 0.4, 0.5
"""Parts of the whole job that are done by then."""


def run(context: JobContext) -> dict[str, Any]:
    """Report what taking a host out changes; unless it is a dry run, do it, and train without it.

    Raises:
        RequestError: nobody of that name was ever a peer.

    """
    host = context.arguments["host"]
    require_known(context.engine, context.config, host)
    if context.arguments.get("dry_run") == "1":
        return _rehearse(context, host)
    number, found = _take_out(context, host)
    found |= {"limits": [*found["limits"], *_train(context)]}
    return _prove(context, host, number, found)


def _rehearse(context: JobContext, host: str) -> dict[str, Any]:
    engine, config, now = context.engine, context.config, context.clock()
    basis = basis_without(engine, host)
    found = report.planned(engine, config, host, dry_run=True, basis=basis, now=now)
    chosen = choose(engine, config, without=host)
    names = (current_model.read(config.models_dir), None if chosen is None else chosen.id)
    found |= _compared(context, host, names, 1.0)
    return found | {"deleted": _deleted(artifacts_of(engine, config, host))}


def _take_out(context: JobContext, host: str) -> tuple[int, dict[str, Any]]:
    """Compare and delete; returns the number of the record and the report so far."""
    engine, config, now = context.engine, context.config, context.clock()
    basis = basis_without(engine, host)
    switch = take_out_of_service(engine, config, host, now)
    record = report.newest_records(engine, host, limit=1)[0]
    found = dict(record.report)
    if "changed" not in found:
        found = report.planned(engine, config, host, dry_run=False, basis=basis, now=record.at) | found
        found |= _compared(context, host, (switch.before, switch.now), COMPARED)
    if found["seconds_out_of_service"] is None:
        asked = context.arguments.get("seconds")
        found["seconds_out_of_service"] = round(float(asked) if asked else switch.seconds, 2)
    held = artifacts_of(engine, config, host)
    deleted = _deleted(held)
    found["deleted"] = {kind: sorted({*found["deleted"][kind], *names}) for kind, names in deleted.items()}
    report.change_record(engine, record.id, found)
    crash_points.pass_point("revert.planned")
    context.progress("deleting", COMPARED)
    removed = artifacts.delete(engine, config, held)
    crash_points.pass_point("revert.deleted")
    identity = open_identity(config.identity_file, config.instance.host)
    details = {
        "sums": list(found["deleted"]["sums"]),
        "models": list(found["deleted"]["models"]),
        "manifests": removed.models,
        "served_before": switch.before or "",
        "served_now": switch.now or "",
        "basis": found["basis"],
    }
    ledger.append(engine, identity, Kind.REVERT, host, details, now)
    report.change_record(engine, record.id, found | {"finished": True})
    crash_points.pass_point("revert.noted")
    return record.id, found


def _train(context: JobContext) -> list[Sentence]:
    """Train from what is left, as any training does; returns why there is no new model."""
    from daemon.maintenance import training  # here, because a dry run has no use for torch

    context.progress("training", DELETED)

    def progress(stage: str, part: float) -> None:
        context.progress(stage, DELETED + part * (1 - DELETED))

    try:
        training.run(replace(context, progress=progress))
    except ShoalError as error:
        return [sentence("limitUntrained", why=f"{error.message} {error.advice}".strip())]
    return []


def _prove(context: JobContext, host: str, number: int, found: dict[str, Any]) -> dict[str, Any]:
    engine = context.engine
    shown = proof.prove(engine, context.config, host)
    served = None if shown.model is None else model_records.model(engine, shown.model)
    found = {name: value for name, value in found.items() if name != "finished"} | {
        "served_now": shown.model,
        "quality": {**found["quality"], "after": report.quality(served)},
        "proof": shown.sentence,
    }
    report.change_record(engine, number, found | {"finished": True})
    context.progress("proven" if shown.holds else "not proven", 1.0)
    return found


def _compared(
    context: JobContext, host: str, names: tuple[str | None, str | None], until: float
) -> dict[str, Any]:
    """Return the parts of the report that compare two models, before and after."""
    progress: Progress = context.progress
    progress("comparing lists", 0.0)
    before, after = (_open(context, name) for name in names)
    change = changed_lists.changes(
        before, after, host, lambda part: progress("comparing lists", part * until)
    )
    records = [None if name is None else model_records.model(context.engine, name) for name in names]
    return {
        "served_before": names[0],
        "served_now": names[1],
        **report.compared(change),
        "quality": {"before": report.quality(records[0]), "after": report.quality(records[1])},
    }


def _open(context: JobContext, name: str | None) -> ServedModel | None:
    """Return a model as it serves, without what must not be suggested; None where it is gone or damaged."""
    if name is None:
        return None
    try:
        model = artefact.load(context.config.models_dir / name)
    except (ModelError, OSError):
        return None
    out = source_state.exclusions(context.engine)
    model.visibility.exclude(channels=out.channels, hosts=out.hosts, videos=out.videos)
    return model


def _deleted(held: Artifacts) -> dict[str, list[str]]:
    return {"sums": sorted(held.sums), "models": sorted({*held.models, *held.folders})}
