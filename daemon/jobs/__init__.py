"""Work that takes time: each job runs in a child process, so that the serving one stays small and quick."""

from daemon.jobs.registry import JOBS, JobContext, JobFunction, lazy

__all__ = ["JOBS", "JobContext", "JobFunction", "lazy"]
