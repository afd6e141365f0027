"""An instance's own release: noisy counts and pairs of its viewers, and how many they are.

Whatever others can see of own viewers rests on it: lists, scores, reasons, and the head of the first round.
It is one more release of the year, with a window and a full draw of noise of its own: never the share that
went into a sum, which carries only a part of it. The clock alone ends its window. When somebody in it
withdraws it is void, and drawn anew by the next training, a week after it was drawn at the earliest.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from daemon.config import Config
from daemon.process.job_context import JobContext
from daemon.rounds import head_history, round_config, yearly_budget
from daemon.rounds.asked import Asked
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.contribution_log import Question, note_question, question_of
from daemon.rounds.data_windows import DataWindows, StoredWindow
from daemon.rounds.head_history import ReleasedCounts
from daemon.rounds.own_likes import HELD_OUT, held_out, may_judge
from daemon.rounds.own_statistics import OwnStatistics, over, own_viewers, public_vocabulary
from daemon.rounds.viewer_digests import viewer_tags
from daemon.store import releases
from daemon.store.model_inputs import placed
from daemon.store.releases import OWN, ReleaseRecord
from daemon.store.viewers import viewer_states
from federation.errors import Refusal
from federation.masks import RING
from models import counting
from models import head as heads
from models.noise import SumNoise
from models.released import Released
from models.weights import UNIT
from policies.neighbour_relations import Release
from policies.privacy import PROTECTION, Level

log = logging.getLogger(__name__)

_ASKED: Final = Asked(OWN, terms=b"own release", proposal=b"own release", ring=RING, redraws=True)


@dataclass(frozen=True)
class OwnRelease:
    """What was released of own viewers in a window; entries as in `models.statistics`.

    Attributes:
        window: its name.
        drawn: when it was drawn, `ends` when the next one may be, Unix seconds.
        question: the videos that it is about.
        counts: (v,) int64 entries over the vocabulary, with noise.
        triangle: (h(h-1)/2,) int64 entries over the head, with noise.
        viewers: noisy number of viewers, not negative.
        noise: the variances, in viewers squared.
    """

    window: str
    drawn: float
    ends: float
    question: Question
    counts: NDArray[np.int64]
    triangle: NDArray[np.int64]
    viewers: float
    noise: SumNoise

    def counts_over(self, vocabulary: Sequence[str]) -> NDArray[np.float64]:
        """Return the counts over another vocabulary, (v,) float64 viewers; 0 where it has no video."""
        place = {url: at for at, url in enumerate(self.question.vocabulary)}
        places = np.array([place.get(url, -1) for url in vocabulary], np.int64)
        return np.where(places >= 0, self.counts[places] / UNIT, 0.0)

    def released(self, catalogue: Sequence[str]) -> Released:
        """Return the statistic over a catalogue, by url; videos that are gone drop out."""
        counts = self.counts[self.question.head]
        found = placed(self.question.head_videos, counts, self.triangle, catalogue)
        return Released(found, self.noise, self.viewers)


def current(context: JobContext) -> OwnRelease | None:
    """Return the release of the present window; draw it where there is none yet, or the one before is over.

    None where nothing may be released now: after a withdrawal, a restored backup, or a spent budget.

    Raises:
        StoreError: what was released cannot be read.
    """
    config = context.config
    windows = windows_of(context, least_changed=0)
    before = windows.read(OWN)
    own = own_viewers(context.engine, config, now=context.clock())
    vocabulary = public_vocabulary(own.catalogue, config.sharing.max_vocabulary)
    head = _head(config, own, vocabulary)
    level, videos = round_config.protection(config), round_config.videos_per_user(config)
    new = Release(level.counts_noise, level.pairs_noise, videos, head.size, viewers=True)

    def draw(kept: StoredWindow) -> NDArray[np.int64]:
        yearly_budget.require(context, new, OWN, windows)
        return _draw(config, own, kept, windows, Question(vocabulary, head, config.privacy.level))

    try:
        with yearly_budget.turn(config):
            windows.give(_ASKED, own, draw, yearly_budget.stretch(context, new, OWN, windows))
        # Whoever left while this was counted is in it, and was not known to be when they left.
        stored = viewer_states(context.engine)
        windows.withdraw(lambda key: viewer_tags(key, stored), aggregator=OWN)
        found = known(config, windows)
        if found is None:
            return None
        releases.save(context.engine, _record(config, found, windows), windows.directory)
        windows.used(_ASKED)
    except Refusal as refusal:
        log.info("no own release: %s", refusal)
        return None
    if before is None or before.id != found.window:
        name = hashlib.sha256(found.window.encode()).hexdigest()
        released = ReleasedCounts(name, int(found.drawn), (), found.question.vocabulary, found.counts)
        head_history.of_own(config).add(released)
    return found


def known(config: Config, windows: DataWindows) -> OwnRelease | None:
    """Return the release of the present window, None where there is none or it is void."""
    kept, raw = windows.read(OWN), windows.frozen(OWN)
    question = None if kept is None else question_of(config, OWN, kept.id)
    if kept is None or raw is None or question is None:
        return None
    level = PROTECTION[Level(question.level)]
    vector = np.frombuffer(raw, f"<i{RING // 8}").astype(np.int64)
    counts, triangle, viewers = np.split(vector, [len(question.vocabulary), vector.size - 1])
    return OwnRelease(
        window=kept.id,
        drawn=kept.window.opened,
        ends=kept.window.ends,
        question=question,
        counts=counts,
        triangle=triangle,
        viewers=max(0.0, float(viewers[0]) / UNIT),
        noise=SumNoise(level.counts_noise, level.pairs_noise),
    )


def _draw(
    config: Config, own: OwnStatistics, kept: StoredWindow, windows: DataWindows, question: Question
) -> NDArray[np.int64]:
    """Count own viewers with the noise of a window: counts, pairs, and how many they are."""
    before, level = known(config, windows), round_config.protection(config)
    judged = before is not None and may_judge(before.viewers)
    users = own.limited(own.most)
    if judged:
        users = users.where(~held_out(own, users, kept.key(HELD_OUT)))
    users = over(question.vocabulary, own.catalogue, users)
    note_question(config, OWN, kept.id, replace(question, held_out=judged))
    plain = counting.contribution(users, question.head)
    number = np.array([UNIT * np.count_nonzero(np.diff(users.matrix.indptr))], np.int64)
    variances = (level.counts_noise, level.pairs_noise, level.counts_noise)
    parts = (*np.split(plain, [len(question.vocabulary)]), number)
    return np.concatenate(
        [
            part + kept.noise(segment, Fraction(variance * UNIT**2), part.size)
            for segment, (part, variance) in enumerate(zip(parts, variances, strict=True))
        ]
    )


def _head(config: Config, own: OwnStatistics, vocabulary: tuple[str, ...]) -> NDArray[np.int64]:
    """Return whose pairs are released, (h,) positions: by earlier releases and public counters alone."""
    place = {url: at for at, url in enumerate(own.catalogue.urls)}
    places = np.array([place[url] for url in vocabulary], np.int64)
    return heads.own_head(
        own.catalogue.views[places],
        own.catalogue.likes[places],
        head_history.of_own(config).aligned(vocabulary)[::-1],
        variance=round_config.protection(config).counts_noise,
        min_users=config.sharing.min_users,
        max_head=config.model.max_head,
    )


def _record(config: Config, found: OwnRelease, windows: DataWindows) -> ReleaseRecord:
    raw = windows.frozen(OWN) or b""
    return ReleaseRecord(
        window=found.window,
        at=found.drawn,
        aggregator=OWN,
        round_id="",
        counts_noise=found.noise.counts,
        pairs_noise=found.noise.pairs,
        share=1.0,
        max_videos_per_user=round_config.videos_per_user(config),
        vocabulary=len(found.question.vocabulary),
        head=len(found.question.head),
        vector_sha256=hashlib.sha256(raw).hexdigest(),
        bytes=len(raw),
        viewers=True,
    )
