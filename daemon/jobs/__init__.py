"""Work that takes time: each job runs in a child process, so that the serving one stays small and quick."""

from daemon.jobs.registry import JOBS, lazy
from daemon.process.job_context import JobContext, JobFunction

__all__ = ["JOBS", "JobContext", "JobFunction", "lazy"]
