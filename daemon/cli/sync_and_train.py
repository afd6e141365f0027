"""`shoal sync` and `shoal train`: a job in a child process, with a progress bar for whoever waits."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from daemon.cli.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    Output,
    OutputOption,
    out,
    progress_bar,
    result,
)
from daemon.errors import JobError, ShoalError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.process.job_context import JobOutcome


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("sync")(sync)
    app.command("train")(train)


def sync(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Read the instance's videos and engagements anew; what is stored is replaced as a whole."""
    outcome = job("sync", config)
    r = outcome.result

    def show() -> None:
        out.print(
            f"Stored {r['videos']:,} videos with {r['tags']:,} tags, and {r['engagements']:,} engagements "
            f"of {r['viewers']:,} viewers, in {outcome.seconds:.1f} s."
        )
        if r["skipped"]:
            out.print(f"Left out {r['skipped']:,} rows: listed twice, or about videos that are not public.")

    result(output, {**r, "seconds": outcome.seconds}, show)


def train(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Train from what is stored; the running daemon serves the new model a second later."""
    outcome = job("train", config)
    r = outcome.result

    def show() -> None:
        out.print(
            f"Trained the {r['kind']} model {r['model']} over {r['videos']:,} videos "
            f"in {outcome.seconds:.1f} s."
        )
        if "held_out_ndcg10" in r["quality"]:
            out.print(
                f"NDCG@10 on held-out engagements of this instance: {r['quality']['held_out_ndcg10']:.3f}"
            )
        if "sum_not_used" in r:
            out.print(f"The stored sum was not used: {r['sum_not_used']}.")
        if "vectors" in r:
            out.print(f"Vectors for browsers: {r['vectors']}.")

    result(output, {**r, "seconds": outcome.seconds}, show)


def job(
    name: str, config_file: Path, settings: "Config | None" = None, arguments: Mapping[str, str] | None = None
) -> "JobOutcome":
    """Run a job to its end.

    Raises:
        ShoalError: it failed; code, message, advice and exit status are the job's.
    """
    from daemon.config import load
    from daemon.jobs.run import run_job

    settings = settings or load(config_file)
    limit = settings.limits.job_time.total_seconds()
    with progress_bar(name) as progress:
        outcome = asyncio.run(
            run_job(name, config_file, time_limit=limit, on_progress=progress, arguments=arguments)
        )
    if not outcome.ok:
        raise failed(outcome)
    return outcome


def failed(outcome: "JobOutcome") -> ShoalError:
    """Return the error of a job that ran in another process as one of this process."""
    error: Any = JobError(outcome.message, advice=outcome.advice)
    error.code, error.exit_code = outcome.code, outcome.exit_code
    return error  # type: ignore[no-any-return]
