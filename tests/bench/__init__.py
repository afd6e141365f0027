"""Speed and memory, as numbers from one run against named limits. `python -m tests.bench` prints the table.

Every module here that has a `run()` is a benchmark; it returns names and values. `TARGETS` holds, by
`module.name`, the largest value that is good.
"""

from __future__ import annotations

TARGETS: dict[str, float] = {
    "secure_sum.client_vs_flwr_n10": 1 / 2,
    "secure_sum.client_vs_flwr_n50": 1 / 6,
    "secure_sum.client_vs_flwr_n100": 1 / 10,
    "secure_sum.client_vs_keystream_n50": 2.0,
    "secure_sum.client_vs_keystream_n100": 1.6,
    "secure_sum.aggregator_seconds": 3.0,
    "denoise.ml_latest_small_popularity_vs_denoise": 1 / 1.015,
    "denoise.anime_5k_popularity_vs_denoise": 1 / 1.015,
    "noise.seconds": 5.0,
    "noise.table_seconds_variance_1e6": 1.0,
    "revert.seconds": 5.0,
    "serving_model.related_ms_p99": 5.0,
    "serving_http.related_ms_p99": 5.0,
    "serving_http.rss_mib": 115.0,
    "serving_http.forbidden": 0,
    "peertube_lists.viewer_ms_p99": 5.0,
    "peertube_lists.rss_mib": 115.0,
    "peertube_lists.forbidden": 0,
    "peertube_sync.seconds": 25.0,
    "peertube_sync.peak_mib": 300.0,
    "peertube_sync.check_peak_mib": 300.0,
    "peertube_sync.most_requests_in_a_second": 40.0,
    "training.head_seconds": 30.0,
    "training.head_peak_mib": 2048.0,
    "training.lists_seconds": 60.0,
    "training.lists_extra_mib": 1024.0,
    "vectors.bytes": 500_000,
    "vectors.ml_latest_small_cost": 0.1,
    "vectors.anime_5k_cost": 0.1,
    "vectors.different_lists": 0,
    "vectors.chromium_cold_ms_median": 50.0,
    "vectors.chromium_ms_p95": 50.0,
    "group_host.new_proxy_cpu_vs_superlink": 0.5,
    "group_host.hosting_idle_mib": 100,
    "group_host.hosting_full_mib": 220,
    "group_host.superlink_after_mib": 250,
    "group_member.together_mib": 120.0,
    "group_member.requests_a_minute": 5.0,
    "year_of_rounds.disk_mib": 200.0,
}

LONG = frozenset({"year_of_rounds"})
"""Those that take ten minutes or more: they run where they are asked for by name."""
