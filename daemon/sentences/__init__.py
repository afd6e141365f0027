"""What the daemon says to people, as a code with parameters, put into words where it is shown.

The words are in `en/` and `fr/`, one file for each part of the admin page, which shows the same sentences. So
they are written once in each language, and an answer holds no prose. The page does in `languages.js` what
`english` does here for the command line.

A template has gaps: `{host}` is a text as it is, `{at:day}` Unix seconds as a day, `{at:moment}` as a day and
time, `{count:number}` a number with its thousands apart, `{share:percent}` a fraction, `{hosts:list}` texts
joined as the language does, the first five of many, and `{why:sentence}` another sentence. Where the wording
depends on how many there are, it is an object with `one` and `other`, told apart by the parameter `count`.

`en/cli.json` holds what the command line alone says, which speaks English.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Final, TypeAlias

from policies.sentence import Sentence, sentence

__all__ = ["Sentence", "Template", "catalogue", "english", "gaps", "sentence"]

Template: TypeAlias = str | Mapping[str, str]

MOST_NAMED: Final = 5
"""Of a longer list, as many are named."""
_GAP: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")


def english(*said: Sentence) -> str:
    """Put sentences into English words. A code or parameter that is not known stays visible."""
    return " ".join(map(_one, said))


def _one(said: Sentence) -> str:
    params = said["params"]
    template = catalogue("en").get(said["code"], said["code"])
    if not isinstance(template, str):
        template = template["one" if params.get("count") == 1 else "other"]

    def filled(gap: re.Match[str]) -> str:
        name, form = gap.groups()
        return _written(params[name], form) if name in params else gap.group()

    return _GAP.sub(filled, template)


def gaps(template: Template) -> frozenset[str]:
    """Return the parameters that a template has gaps for, each as `name` or `name:form`."""
    texts = (template,) if isinstance(template, str) else tuple(template.values())
    return frozenset(
        f"{name}:{form}" if form else name for text in texts for name, form in _GAP.findall(text)
    )


@cache
def catalogue(language: str) -> Mapping[str, Template]:
    """Return all templates of a language by their code."""
    found: dict[str, Template] = {}
    for file in resources.files(__name__).joinpath(language).iterdir():
        if file.name.endswith(".json"):
            found |= json.loads(file.read_text("utf-8"))
    return found


def _written(value: Any, form: str | None) -> str:
    match form:
        case "day":
            return _day(value)
        case "moment":
            return f"{_day(value)} at {datetime.fromtimestamp(value, UTC):%H:%M} UTC"
        case "number":
            return f"{value:,}"
        case "percent":
            return f"{value:.1%}".replace(".0%", "%")
        case "list":
            return _listed(value)
        case "sentence":
            return english(value)
        case _:
            return str(value)


def _day(at: float) -> str:
    then = datetime.fromtimestamp(at, UTC)
    return f"{then.day} {then:%B}" + ("" if then.year == this_year() else f" {then.year}")


def this_year() -> int:
    """Return the year that is left out of dates."""
    return datetime.now(UTC).year


def _listed(texts: Sequence[str]) -> str:
    if len(texts) > MOST_NAMED + 1:
        texts = [*texts[:MOST_NAMED], english(sentence("moreNames", count=len(texts) - MOST_NAMED))]
    *first, last = texts or [""]
    return f"{', '.join(first)} and {last}" if first else last
