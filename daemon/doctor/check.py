"""What one check found, and what all of them together say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNCHECKED = "unchecked"


@dataclass(frozen=True)
class Result:
    """What a check found: one sentence, and the next step where there is something to do.

    Attributes:
        check: the name of the check; several results may carry the same.

    Raises:
        ValueError: a result that is not ok says nothing of what to do.
    """

    check: str
    outcome: Outcome
    sentence: str
    next_step: str = ""

    def __post_init__(self) -> None:
        if self.outcome is not Outcome.OK and not self.next_step:
            raise ValueError(f"{self.check}: what is to be done?")


def ok(check: str, sentence: str) -> Result:
    """Return that all is well."""
    return Result(check, Outcome.OK, sentence)


def warning(check: str, sentence: str, next_step: str) -> Result:
    """Return that something deserves a look."""
    return Result(check, Outcome.WARNING, sentence, next_step)


def failure(check: str, sentence: str, next_step: str) -> Result:
    """Return that something is wrong."""
    return Result(check, Outcome.FAILURE, sentence, next_step)


def unchecked(check: str, sentence: str, next_step: str) -> Result:
    """Return that nothing is known, because something else is missing."""
    return Result(check, Outcome.UNCHECKED, sentence, next_step)


def sentence(words: str) -> str:
    """Return what an error says as a sentence: with a capital letter and a full stop."""
    first, space, rest = words.rstrip(".").partition(" ")
    # Names of files and hosts keep their spelling.
    begin = first if "." in first else f"{first[:1].upper()}{first[1:]}"
    return f"{begin}{space}{rest}."


@dataclass(frozen=True)
class Report:
    """All results, in the order of the chain: what comes first is what the rest depends on."""

    results: tuple[Result, ...]

    @classmethod
    def of(cls, results: Iterable[Result]) -> Report:
        """Return the report on some results."""
        return cls(tuple(results))

    def count(self, outcome: Outcome) -> int:
        """Return how many checks ended so."""
        return sum(result.outcome is outcome for result in self.results)

    @property
    def wrong(self) -> int:
        """How many things are wrong."""
        return self.count(Outcome.FAILURE)

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        wrong, looks, unknown = (
            self.count(one) for one in (Outcome.FAILURE, Outcome.WARNING, Outcome.UNCHECKED)
        )
        if not wrong and not looks and not unknown:
            return "Everything is fine."
        parts = [
            f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong" if wrong else "Nothing is wrong"
        ]
        parts += [f"{looks} {'deserves' if looks == 1 else 'deserve'} a look" if looks else ""]
        parts += [f"{unknown} could not be checked" if unknown else ""]
        return f"{', '.join(filter(None, parts))}."

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "fine": not self.wrong,
            "sentence": self.sentence,
            "wrong": self.wrong,
            "checks": [asdict(result) for result in self.results],
        }
