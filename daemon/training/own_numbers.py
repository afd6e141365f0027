"""What training is given of own viewers: their release, and answers of a judge, each with noise of its own.

Training can ask for no exact number of own viewers: it is handed some where the admin set `serve.exact_own`
on a closed instance, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.sentences import Sentence
from models.recommender import Recommender
from models.released import Released


@dataclass(frozen=True)
class Quality:
    """NDCG@10 on held-out likes: the mean over own viewers, and its standard error; exact, for the admin."""

    mean: float
    error: float


class Judge(Protocol):
    """Decides by likes of own viewers that are not in their release; each decision carries noise."""

    def choose(self, ridges: Sequence[float], candidate: Callable[[float], Recommender]) -> float | None:
        """Return one of the ridges; None where nothing may be decided."""

    def good_enough(self, run: str, new: Recommender, own: Recommender, margin: float) -> bool | None:
        """Tell whether a run's model is about as good as its own one; None where noise would decide.

        `margin` is the share of its own quality that it may lack.
        """

    def measure(self, model: Recommender) -> Quality | None:
        """Return the exact quality, for the admin alone; None where fewer than two viewers can be asked."""


@dataclass(frozen=True)
class OwnNumbers:
    """Own viewers, as far as training may know them.

    Attributes:
        released: their release over today's catalogue; None where there is none.
        exact: the same without noise, where lists may rest on it (`daemon.training.exact_own`).
        drawn: when what is learnt from was drawn, Unix seconds; 0 where there is nothing.
        judge: None where they are too few to decide anything by; `unjudged` then says why.
        why: why it is not what the admin expects, in sentences; empty where it is.
    """

    released: Released | None = None
    exact: Released | None = None
    drawn: float = 0.0
    judge: Judge | None = None
    unjudged: Sentence | None = None
    why: str = ""

    @property
    def learnt(self) -> Released | None:
        """What models are learnt from. All else, also what goes to browsers, rests on what was released."""
        return self.released if self.exact is None else self.exact
