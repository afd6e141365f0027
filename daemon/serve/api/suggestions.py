"""From positions and scores to what a caller can show: ids, and why a video is in the list."""

from collections.abc import Iterable, Sequence
from typing import Any

from models.explain import Explanation, Reason
from models.serving import ServedModel, Suggestion


def suggestions(model: ServedModel, found: Iterable[Suggestion]) -> list[dict[str, Any]]:
    """Return `{uuid, url, score, reason: {kind, text, users, tags, via}}` per suggestion, best first."""
    return [
        {
            "uuid": model.labels.uuid[item.video],
            "url": model.labels.url[item.video],
            "score": round(float(item.score), 6),
            "reason": reason(model, item.reason),
        }
        for item in found
    ]


def reason(model: ServedModel, why: Reason) -> dict[str, Any]:
    """Return a reason as data, with one English sentence; `via` are uuids of the videos it rests on."""
    # From a sum with noise, numbers of people are estimates.
    estimated = any(model.manifest.get("noise", {}).values())
    return {
        "kind": why.kind,
        "text": sentence(why, estimated=estimated),
        "users": why.users,
        "estimated": estimated,
        "tags": list(why.tags),
        "via": [model.labels.uuid[position] for position in why.via],
    }


def sentence(why: Reason, *, estimated: bool) -> str:
    """Say a reason in one English sentence; `estimated` where numbers of users carry noise.

    The plugin says the same, in the viewer's language: tests/plugin/reasons.json holds both to one wording.
    """
    tags = _listed(why.tags)
    users = f"About {why.users:,}" if estimated else f"{why.users:,}" if why.users else ""
    match why.kind:
        case "co-engagement":
            return f"{users if why.users else 'The same'} viewers liked or watched both"
        case "history":
            return f"Fits what you liked or watched: {tags}" if tags else "Fits what you liked or watched"
        case "tags":
            return f"Shares the tag{'s' if len(why.tags) > 1 else ''} {tags}" if tags else "Shares tags"
        case "channel":
            return "From the same channel"
        case "category":
            return "In the same category"
        case "language":
            return "In the same language"
        case "new":
            return f"New here, and about {tags}" if tags else "New here"
        case "popular":
            return f"{users} viewers liked or watched it" if why.users else "Popular here"


def explanation(model: ServedModel, why: Explanation) -> dict[str, Any]:
    """Return a score and its parts; each of the two lists adds up to the score (a list may be empty)."""
    by_video = [{"uuid": model.labels.uuid[p], "part": part} for p, part in why.by_video]
    by_feature = [{"kind": kind, "name": name, "part": part} for (kind, name), part in why.by_feature]
    return {
        "uuid": model.labels.uuid[why.video],
        "url": model.labels.url[why.video],
        "score": why.score,
        "by_video": by_video,
        "by_feature": by_feature,
    }


def _listed(words: Sequence[str]) -> str:
    if len(words) < 3:
        return " and ".join(words)
    return f"{', '.join(words[:-1])}, and {words[-1]}"
