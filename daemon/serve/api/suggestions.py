"""From positions to what a caller can show: ids, and why a video is in the list."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from typing_extensions import TypedDict

from models.explain import Explanation, Reason
from models.serving import ServedModel, Suggestion


class WhyListed(TypedDict):
    """Why a video is in a list.

    Attributes:
        text: one English sentence.
        users: about how many it rests on, at least.
        share: the part of what speaks for the video that it explains, in [0, 1].
        via: uuids of the videos it rests on.
    """

    kind: str
    text: str
    users: int | None
    tags: list[str]
    words: list[str]
    share: float
    via: list[str]


class Suggested(TypedDict):
    """A place in a list."""

    uuid: str
    url: str
    reason: WhyListed


def suggestions(model: ServedModel, found: Iterable[Suggestion]) -> list[Suggested]:
    """Return suggestions as they are answered, best first."""
    return [
        {
            "uuid": model.labels.uuid[item.video],
            "url": model.labels.url[item.video],
            "reason": reason(model, item.reason),
        }
        for item in found
    ]


def reason(model: ServedModel, why: Reason) -> WhyListed:
    """Return a reason as data, with one English sentence."""
    return {
        "kind": why.kind,
        "text": sentence(why),
        "users": why.users,
        "tags": list(why.tags),
        "words": list(why.words),
        "share": round(why.share, 2),
        "via": [model.labels.uuid[position] for position in why.via],
    }


def sentence(why: Reason) -> str:
    """Say a reason in one English sentence.

    The plugin says the same, in the viewer's language: tests/plugin/reasons.json holds both to one wording.
    """
    tags, words = _listed(why.tags), _listed(why.words)
    users = f"About {why.users:,} or more" if why.users else ""
    match why.kind:
        case "co-engagement":
            return f"{users or 'The same'} viewers liked or watched both"
        case "history":
            return f"Fits what you liked or watched: {tags}" if tags else "Fits what you liked or watched"
        case "tags":
            return f"Shares the tag{'s' if len(why.tags) > 1 else ''} {tags}" if tags else "Shares tags"
        case "words":
            return f"Shares the word{'s' if len(why.words) > 1 else ''} {words}" if words else "Shares words"
        case "channel":
            return "From the same channel"
        case "category":
            return "In the same category"
        case "language":
            return "In the same language"
        case "new":
            about = tags or words
            return f"New here, and about {about}" if about else "New here"
        case "popular":
            return f"{users} viewers liked or watched it" if users else "Popular here"


def explanation(model: ServedModel, why: Explanation) -> dict[str, Any]:
    """Return what speaks for a video and what against it, as shares of all that speaks for it.

    What speaks for it adds up to 1, by video with `popularity`, and by feature; a list may be empty.
    """
    *by_video, popularity = shares([*(part for _, part in why.by_video), why.popularity])
    by_feature = shares([part for _, part in why.by_feature])
    return {
        "uuid": model.labels.uuid[why.video],
        "url": model.labels.url[why.video],
        "by_video": [
            {"uuid": model.labels.uuid[position], "share": part}
            for (position, _), part in zip(why.by_video, by_video, strict=True)
        ],
        "popularity": popularity,
        "by_feature": [
            {"kind": kind, "name": name, "share": part}
            for ((kind, name), _), part in zip(why.by_feature, by_feature, strict=True)
        ],
    }


def shares(parts: Sequence[float]) -> list[float]:
    """Return parts as shares of the sum of the positive ones; 0 where there is none."""
    whole = math.fsum(part for part in parts if part > 0)
    return [part / whole if whole > 0 else 0.0 for part in parts]


def _listed(words: Sequence[str]) -> str:
    if len(words) < 3:
        return " and ".join(words)
    return f"{', '.join(words[:-1])}, and {words[-1]}"
