"""What a rule says to people: a code with parameters. Whoever shows it has the words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from typing_extensions import TypedDict

Parameter: TypeAlias = "str | int | float | Sequence[str] | Sentence"


class Sentence(TypedDict):
    """One sentence for people: `code` names its words, `params` fill their gaps."""

    code: str
    params: dict[str, Any]


def sentence(code: str, **params: Parameter) -> Sentence:
    """Return a sentence; a test holds every code and its parameters to the daemon's catalogue."""
    return {"code": code, "params": params}
