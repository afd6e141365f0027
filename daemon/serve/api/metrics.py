"""Numbers for Prometheus. No label is a viewer, a video, a host or an address.

How many requests, jobs, rounds and peers there are tells what viewers, peers and the admin do, so without a
credential there are only the numbers about the model and the process.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.process.job_context import JobOutcome

BUCKETS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All metrics of one daemon. Labels are route names, status codes, job names and refusal codes only.

    Attributes:
        public: what anybody may read.
        private: what the admin may read as well.
    """

    def __init__(self, refusals: Callable[[], Mapping[str, int]] = dict) -> None:
        self.public, self.private = CollectorRegistry(), CollectorRegistry()
        self.requests = Counter(
            "shoal_requests", "Requests to the local API.", ["route", "status"], registry=self.private
        )
        self.latency = Histogram(
            "shoal_request_seconds",
            "Seconds to answer a request to the local API.",
            ["route"],
            buckets=BUCKETS,
            registry=self.private,
        )
        self.model_loaded = Gauge("shoal_model_loaded", "1 while a model serves.", registry=self.public)
        self.model_since = Gauge(
            "shoal_model_in_service_timestamp_seconds",
            "When the model in service began to serve, Unix time; 0 before the first.",
            registry=self.public,
        )
        self.model_trained = Gauge(
            "shoal_model_trained_timestamp_seconds",
            "When the model in service was made, Unix time; 0 before the first.",
            registry=self.public,
        )
        self.model_videos = Gauge(
            "shoal_model_videos", "Videos that the model in service covers.", registry=self.public
        )
        self.model_failures = Gauge(
            "shoal_model_load_failures",
            "Models that did not load since the start, and were left out of service.",
            registry=self.public,
        )
        self.jobs = Counter(
            "shoal_jobs",
            "Jobs that ended since the start, by error code, or ok.",
            ["name", "code"],
            registry=self.private,
        )
        self.job_seconds = Gauge(
            "shoal_job_seconds",
            "Seconds that the last run that ended well took.",
            ["name"],
            registry=self.private,
        )
        ProcessCollector(registry=self.public)
        self.private.register(_Refusals(refusals))

    def job_ended(self, outcome: JobOutcome) -> None:
        """Count a job by how it ended."""
        self.jobs.labels(outcome.name, outcome.code or "ok").inc()
        if outcome.ok:
            self.job_seconds.labels(outcome.name).set(outcome.seconds)

    def render(self, *, private: bool) -> bytes:
        """Return the text format of Prometheus, with what only the admin may read or without."""
        return generate_latest(self.public) + (generate_latest(self.private) if private else b"")


class _Refusals(Collector):
    """Reads the stored counters when asked: they survive restarts and count other processes' refusals too."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "shoal_refusals",
            "Messages and requests of others that were refused, by error code.",
            labels=["code"],
        )
        for code, count in sorted(self._read().items()):
            family.add_metric([code], count)
        yield family
