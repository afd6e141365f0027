"""Showing that a peer's learning is gone: every row and every file that could hold it is looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from daemon.config import Config
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.ledger import manifests
from daemon.peers import repository
from daemon.revert.artifacts import artifacts_of
from daemon.revert.out_of_service import open_rounds_with
from daemon.store import activity, current_model, model_records
from daemon.store.engine import reads
from daemon.store.tables import Sum
from models import artefact
from models.errors import ModelError

_SHOWN = 12
"""Digits of a hash in a sentence."""


@dataclass(frozen=True)
class Proof:
    """What was found: one sentence; `problems` is empty where it holds.

    Attributes:
        model: the model in service, None where none serves.
        model_sha256: of its file `model.safetensors`.
        manifest_sha256: of its manifest, as the ledger has it.
        sums: the sums it was trained from, by round.
        hosts: the instances whose viewers are in those sums.
    """

    host: str
    sentence: str
    problems: tuple[str, ...]
    model: str | None
    model_sha256: str
    manifest_sha256: str
    sums: tuple[str, ...]
    hosts: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Tell whether nothing of the host was found."""
        return not self.problems


def prove(engine: Engine, config: Config, host: str) -> Proof:
    """Look at everything that is stored, and say what the served model was trained from."""
    problems = [*_stored(engine, config, host), *_stray_files(engine, config)]
    served = current_model.read(config.models_dir)
    directory = None if served is None else config.models_dir / served
    provenance: dict[str, Any] = {}
    sha256 = manifest_sha256 = ""
    if directory is not None:
        try:
            # Loading checks every file of the model against its manifest.
            artefact.load(directory)
            manifest = artefact.read_manifest(directory)
        except (ModelError, OSError) as error:
            problems.append(f"the served model {served} cannot be checked: {error}")
        else:
            provenance = manifest["provenance"]
            sha256 = str(manifest["files"][artefact.MODEL]["sha256"])
            manifest_sha256 = _sha256(directory / artefact.MANIFEST)
            problems += _recorded(engine, config, directory, manifest_sha256)
    rounds = provenance.get("rounds") or [provenance.get("round")]
    trained = tuple(str(round_) for round_ in rounds if round_)
    hosts = tuple(sorted(str(name) for name in provenance.get("survivors", ())))
    summed = activity.survivors_by_round(engine)
    for round_ in trained:
        if host in summed.get(round_, ()):
            problems.append(
                f"the served model was trained from the sum {round_[:_SHOWN]}, which holds {host}"
            )
    sentence = _sentence(host, problems, served, sha256, trained, hosts)
    return Proof(host, sentence, tuple(problems), served, sha256, manifest_sha256, trained, hosts)


def _stored(engine: Engine, config: Config, host: str) -> list[str]:
    held = artifacts_of(engine, config, host)
    peer = repository.read(engine, config).find(host)
    problems = [f"the sum {name[:_SHOWN]} holds {host}" for name in held.sums]
    problems += [f"the model {name} holds {host}" for name in held.models]
    problems += [f"the folder {name} of a model holds {host}, or nobody knows" for name in held.folders]
    problems += [
        f"the open sum {signed.round_id.hex()[:_SHOWN]} has {host} in its roster"
        for signed in open_rounds_with(config, host)
    ]
    if peer is not None and peer.state != "reverted":
        problems.append(f"{host} is {peer.state}, so its learning may come back")
    return problems


def _stray_files(engine: Engine, config: Config) -> list[str]:
    """Return files of sums that no row vouches for, or that are not what their row says."""
    with reads(engine) as connection:
        query = select(Sum.triangle_file, Sum.triangle_sha256)
        rows = {name: str(sha256) for name, sha256 in connection.execute(query)}
    if not config.sums_dir.is_dir():
        return []
    return [
        f"the file sums/{path.name} belongs to no stored sum"
        for path in sorted(config.sums_dir.iterdir())
        if path.name not in rows or _sha256(path) != rows[path.name]
    ]


def _recorded(engine: Engine, config: Config, directory: Path, manifest_sha256: str) -> list[str]:
    """Return what speaks against the manifest of the served model: the record, the ledger, its signature."""
    name, record = directory.name, model_records.model(engine, directory.name)
    if record is None:
        return [f"there is no record of the served model {name}"]
    if record.manifest_sha256 != manifest_sha256:
        return [f"the manifest of the served model {name} is not the one on record"]
    public = open_identity(config.identity_file, config.instance.host).public
    history = ledger.verify(engine, public)
    problems = [] if history.ok else [f"the ledger is not in order: {history.problem}"]
    # Models of before there were signatures have none.
    signed = [directory] if (directory / manifests.SIGNATURE).exists() else []
    found = manifests.check(engine, public.host, history, signed)
    return problems + [f"the served model {model}: {problem}" for model, problem in found]


def _sentence(
    host: str,
    problems: list[str],
    served: str | None,
    sha256: str,
    sums: tuple[str, ...],
    hosts: tuple[str, ...],
) -> str:
    if problems:
        return f"not proven: {'; '.join(problems)}"
    gone = f"proof: no stored sum or model names {host}"
    if served is None:
        return f"{gone}; no model serves"
    origin = "own viewers alone"
    if hosts:
        origin = f"own viewers and sums {_listed(name[:_SHOWN] for name in sums)} of {_listed(hosts)}"
    return f"{gone}; served model {served} sha256 {sha256[:_SHOWN]} was trained from {origin}"


def _listed(names: Any) -> str:
    return f"[{', '.join(names)}]"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
