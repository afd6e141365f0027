"""What tests store of sums that they make up."""

from typing import Final

from daemon.store.sums import SumPrivacy

EXACT_SUM: Final = SumPrivacy(
    counts_noise=0,
    pairs_noise=0,
    counts_noise_realised=0.0,
    pairs_noise_realised=0.0,
    max_videos_per_user=200,
    min_users=5,
    sub_cohorts=1,
    members=4,
    threshold=3,
    colluders=1,
    survivors=4,
    publish=False,
)
