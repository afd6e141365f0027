"""The child process of one job: `python -m daemon.jobs NAME --config FILE`. Its stdout is JSON lines."""

import argparse
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import log
from daemon.config import Config, load
from daemon.errors import DiskFullError, JobBusyError, JobError, ShoalError
from daemon.jobs.registry import JOBS, RECORDED_ONCE, UNRECORDED
from daemon.maintenance import database_loss
from daemon.own_packages import require_own_packages
from daemon.process import limits
from daemon.process.events import EventWriter, claim_stdout
from daemon.process.full_disk import disk_full, is_full
from daemon.process.job_context import LOCKS, WAITS, JobContext, JobFunction
from daemon.store import engine as store
from daemon.store.activity import JobRecord, save_job
from daemon.store.tables import SCHEMA

logger = logging.getLogger(__name__)


def main(argv: list[str], jobs: Mapping[str, JobFunction] = JOBS) -> int:
    """Run one of these jobs and return its exit status."""
    require_own_packages()
    parser = argparse.ArgumentParser(prog="python -m daemon.jobs", description=__doc__)
    parser.add_argument("name", choices=sorted(jobs))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--parent", type=int, default=0, help="end when this process ends")
    parser.add_argument("--argument", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--quiet", action="store_true", help="log errors only")
    options = parser.parse_args(argv)
    if options.parent:
        limits.end_with(options.parent)
    events = EventWriter(claim_stdout())
    try:
        config = load(options.config)
        log.configure(config, level="error" if options.quiet else "")
        arguments = dict(item.split("=", 1) for item in options.argument)
        result, seconds = _run(options.name, jobs[options.name], config, events, arguments)
    except ShoalError as error:
        events.send("failed", **error.as_json())
        return error.exit_code
    except MemoryError:
        events.send("failed", **_out_of_memory().as_json())
        return JobError.exit_code
    except Exception as error:
        if is_full(error):
            events.send("failed", **disk_full().as_json())
            return DiskFullError.exit_code
        logger.exception("job crashed", extra={"job": options.name})
        message = f"the job stopped with an unexpected {type(error).__name__}"
        advice = "The model in service is not affected. The log has the details: please report them."
        events.send("failed", code="bug", message=message, advice=advice)
        return 1
    events.send("done", seconds=round(seconds, 3), result=result)
    return 0


def _run(
    name: str, job: JobFunction, config: Config, events: EventWriter, arguments: dict[str, str]
) -> tuple[dict[str, Any], float]:
    """Run one job under the data directory's job lock; its outcome is recorded."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    limits.be_modest(limits.job_memory(config.limits.job_memory_mb))
    with _job_lock(
        config.data_dir / LOCKS.get(name, "job.lock"), events, WAITS.get(name, limits.LOCK_WAIT_SECONDS)
    ):
        engine = _opened(config, events, thorough=name == "migrate")
        started = time.time()
        context = JobContext(config, engine, events.progress, time.time, arguments)
        try:
            result = job(context)
        except Exception as error:
            if name not in UNRECORDED:
                _record_failure(engine, name, started, error)
            if "allocate memory" in str(error):
                raise _out_of_memory() from error
            raise
        ended = time.time()
        if name not in UNRECORDED:
            record = JobRecord(name, started, ended, "done", "", result)
            save_job(engine, record, only=name in RECORDED_ONCE)
        return result, ended - started


def _record_failure(engine: Engine, name: str, started: float, error: Exception) -> None:
    """Put a failure on record; where that fails, too, the job's own failure is the one to tell of."""
    told = disk_full() if is_full(error) else error
    code, why = "bug", {"message": "", "advice": ""}
    if isinstance(told, ShoalError):
        # What a bug has to say is for the log: nobody knows what is in it.
        code, why = told.code, {"message": told.message, "advice": told.advice}
    record = JobRecord(name, started, time.time(), "failed", code, why)
    try:
        save_job(engine, record, only=name in RECORDED_ONCE)
    except (ShoalError, SQLAlchemyError, OSError) as unsaved:
        kind = unsaved.code if isinstance(unsaved, ShoalError) else type(unsaved).__name__
        logger.error("a failure could not be put on record", extra={"job": name, "code": kind})


def _opened(config: Config, events: EventWriter, *, thorough: bool) -> Engine:
    """Open the database at the newest schema; one that was lost is begun anew, with every peer paused."""
    database_loss.look(config, time.time(), thorough=thorough)
    database = config.database
    if not database.exists() or store.schema_version(probe := store.connect(database)) != SCHEMA:
        from daemon.store.migrate import migrate

        events.progress("migrating the database", 0.0)
        migrate(database)
    else:
        probe.dispose()
    engine = store.open_checked(database)
    database_loss.take_over(config, engine, time.time())
    return engine


def _job_lock(path: Path, events: EventWriter, patience: float) -> AbstractContextManager[object]:
    if path.is_dir():
        return nullcontext()
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        events.progress("waiting for another job", 0.0)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise JobBusyError(
                "another job is working on this data directory",
                advice="Wait until it has ended, then try again.",
            ) from None
    return lock


def _out_of_memory() -> JobError:
    return JobError(
        "the job needs more memory than its limit",
        advice="Raise limits.job_memory_mb, or lower model.max_head.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
