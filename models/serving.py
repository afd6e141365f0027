"""A finished model at work: related videos, recommendations and their reasons, in milliseconds.

Arrays may be mapped from a file; only the pages that a request needs are read. Imports numpy only, because
this runs in the process that serves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.content import PROFILE_TAGS, Content, Profile, Profiler
from models.explain import SHOWN_TAGS, SHOWN_VIDEOS, Explanation, Reason, total, weightiest
from models.labels import Label, Labels, Texts
from models.ranking import ListRules, arrange, best, fill, mix, only_allowed
from models.visibility import Mask, Visibility

_FEATURES = ("channel", "category", "language")
_SEED_TAGS = 8  # weightiest tags of a seed that new videos are looked up by


@dataclass(frozen=True)
class Suggestion:
    """One place in a list. `video` is a catalogue position; scores of different reasons do not compare."""

    video: int
    score: float
    reason: Reason


class ServedModel:
    """Answers from the arrays of one model.

    Attributes:
        labels: names of the videos, in catalogue order.
        manifest: the model's description: format, recipe, sizes, quality, provenance.
        rules: how lists are arranged.
        visibility: what may be in lists; exclusions are set there.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        labels: Labels,
        manifest: Mapping[str, Any],
        rules: ListRules | None = None,
    ) -> None:
        """Take arrays as `models.artefact` describes them; nothing is copied but two small indices."""
        self.labels, self.manifest, self.rules = labels, manifest, rules or ListRules()
        scalars = manifest["scalars"]
        self._items: NDArray[np.int32] = arrays["items"]
        self._counts: NDArray[np.int32] = arrays["counts"]
        self._U: NDArray[np.float32] = arrays["U"]
        self._V: NDArray[np.float32] = arrays["V"]
        self._related: NDArray[np.int32] = arrays["related_videos"]
        self._related_scores: NDArray[np.float32] = arrays["related_scores"]
        self._coengagement: NDArray[np.float32] = arrays["related_coengagement"]
        self._related_users: NDArray[np.int32] = arrays["related_users"]
        self._published: NDArray[np.float64] = arrays["published"]
        self._channel, self._language = arrays["channel"], arrays["language"]
        self._content_weight = float(scalars["content_weight"])
        self._tag_names = Texts(arrays["tag_names.offsets"], arrays["tag_names.data"])
        self._content = Content(
            offsets=arrays["tag_offsets"],
            ids=arrays["tag_ids"],
            weights=arrays["tag_weights"],
            columns=(arrays["channel"], arrays["category"], arrays["language"]),
            same=(scalars["same_channel"], scalars["same_category"], scalars["same_language"]),
        )
        self._new_offsets, self._new_videos = arrays["new.offsets"], arrays["new.videos"]
        # Row of each video among the items, -1 where it is none.
        self._row = np.full(len(labels), -1, np.int32)
        self._row[self._items] = np.arange(len(self._items), dtype=np.int32)
        self._popular = self._items[np.argsort(-self._counts, kind="stable")]
        self.visibility = Visibility(labels, self._channel)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def factors(self) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Items (m,) as catalogue positions, U and V (m, rank): scores of a history x are x @ U @ V.T."""
        return self._items, self._U, self._V

    @property
    def counts(self) -> NDArray[np.int32]:
        """Viewers of each item, (m,), of the whole cohort in the head, own ones in the tail."""
        return self._counts

    @property
    def by_viewers(self) -> NDArray[np.int32]:
        """Catalogue positions of the items, (m,), those with the most viewers first."""
        return self._popular

    @cached_property
    def _profiler(self) -> Profiler:
        return Profiler(self._content, len(self._tag_names), self._items)

    def index(self, key: str) -> int | None:
        """Catalogue position of a video by its uuid or url, None if the model does not know it."""
        return self.labels.index(key)

    def label(self, video: int) -> Label:
        """Everything known about a video.

        Raises:
            IndexError: there is no such position.
        """
        published = float(self._published[video])
        return Label(
            uuid=self.labels.uuid[video],
            url=self.labels.url[video],
            title=self.labels.title[video],
            channel=_named(self.labels.channels, self._content.columns[0][video]),
            category=_named(self.labels.categories, self._content.columns[1][video]),
            language=_named(self.labels.languages, self._content.columns[2][video]),
            published=None if np.isnan(published) else published,
            nsfw=bool(self.labels.nsfw[video]),
        )

    def item(self, video: int) -> int | None:
        """Row of a video in `U` and `V`, None where nobody is known to have engaged with it."""
        row = int(self._row[video])
        return row if row >= 0 else None

    def tags(self, video: int) -> list[str]:
        """Tags of a video."""
        return [self._tag_names[tag] for tag in self._content.tags(video)[0].tolist()]

    def related(
        self,
        video: int,
        *,
        limit: int = 30,
        exclude: Collection[int] = (),
        nsfw: bool = False,
        language: int = -1,
    ) -> list[Suggestion]:
        """Videos related to one video, a catalogue position, within what its owner wants beside it.

        At most `limit`; positions in `exclude` are neither shown nor named in a reason, `nsfw` says whether
        videos not safe for work may appear, `language` is preferred, -1 for the seed's. Raises IndexError
        where there is no such position.
        """
        if not 0 <= video < len(self):
            raise IndexError(video)
        allowed = self.visibility.allowed(exclude={video, *exclude}, nsfw=nsfw, beside=video)
        listed = self._related[video]
        places = {int(other): place for place, other in enumerate(listed.tolist()) if other >= 0}
        familiar = only_allowed(list(places), allowed)
        new, new_scores = self._new_for_seed(video, allowed)
        newest = None if self.visibility.same(video) is None else self._published
        fill(familiar, new, self._popular, newest, allowed, limit)
        chosen = arrange(
            familiar,
            new,
            limit=limit,
            per_ten=self.rules.new_per_ten_related,
            rules=self.rules,
            channel=self._channel,
            language=self._language,
            wanted_language=language if language >= 0 else int(self._language[video]),
            allowed=allowed,
        )
        via = () if video in exclude else (video,)
        return [
            self._related_suggestion(video, other, places.get(other), new_scores.get(other), via)
            for other in chosen
        ]

    def recommend(
        self,
        history: Sequence[int],
        *,
        limit: int = 30,
        exclude: Collection[int] = (),
        nsfw: bool = False,
        beside: int | None = None,
        language: int = -1,
    ) -> list[Suggestion]:
        """Next videos for a viewer known by a history only; nothing about the viewer is kept.

        `history` are catalogue positions of what the viewer engaged with, never part of the list; `beside` is
        the video that the list is shown next to, whose owner's wishes are kept; `language` is preferred, -1
        for the one most of the history is in. The others are as in `related`, and so is IndexError.
        """
        past = self._checked(history)
        allowed = self.visibility.allowed(exclude={*past, *exclude}, nsfw=nsfw, beside=beside)
        profile = self._profiler.profile(past)
        rows = self._rows(past)
        familiar = self._familiar(rows, profile, limit + 50, allowed)
        new = self._new_for_profile(past, profile, allowed, limit)
        chosen = arrange(
            familiar,
            new,
            limit=limit,
            per_ten=self.rules.new_per_ten,
            rules=self.rules,
            channel=self._channel,
            language=self._language,
            wanted_language=language if language >= 0 else self._usual_language(past),
            allowed=allowed,
        )
        hidden = [video for video in past if not self.visibility.shown[video]]
        return self._own_suggestions(rows, profile, chosen, {*exclude, *hidden})

    def mixed(
        self,
        video: int,
        history: Sequence[int],
        *,
        limit: int = 30,
        exclude: Collection[int] = (),
        nsfw: bool = False,
        language: int = -1,
    ) -> list[Suggestion]:
        """Videos like the one that is watched and videos that suit the viewer, in turns.

        Args and errors as for `related` and `recommend`. Nothing of the history is listed. A viewer about
        whom nothing is known gets what everybody gets beside this video.
        """
        past = self._checked(history)
        language = language if language >= 0 else self._usual_language(past)
        near = self.related(video, limit=limit, exclude={*exclude, *past}, nsfw=nsfw, language=language)
        if not past:
            return near
        own = self.recommend(
            past, limit=limit, exclude={*exclude, video}, nsfw=nsfw, beside=video, language=language
        )
        own = [item for item in own if item.reason.kind != "popular"]
        chosen, suited = mix(
            [item.video for item in near],
            [item.video for item in own],
            limit=limit,
            rules=self.rules,
            channel=self._channel,
            allowed=self.visibility.allowed(exclude={video, *exclude, *past}, nsfw=nsfw, beside=video),
        )
        by_taste, by_seed = ({item.video: item for item in items} for items in (own, near))
        return [by_taste[other] if other in suited else by_seed[other] for other in chosen]

    def explain(self, history: Sequence[int], video: int) -> Explanation:
        """Split the score of a video for a viewer; the parts add up to it exactly.

        Args:
            history: catalogue positions of what the viewer engaged with.
            video: catalogue position of the video to explain.

        Raises:
            IndexError: there is no such position.
        """
        past = self._checked(history)
        self._checked([video])
        rows = self._rows(past)
        if self._row[video] >= 0 and rows.size:
            parts = dict.fromkeys(past, 0.0)
            vector = self._V[self._row[video]].astype(np.float64)
            weights = self._U[rows].astype(np.float64) @ vector
            parts.update(zip(self._items[rows].tolist(), weights.tolist(), strict=True))
            return Explanation(video, total(list(parts.values())), tuple(parts.items()))
        return self._explain_content(past, video)

    def _explain_content(self, past: list[int], video: int) -> Explanation:
        here = np.array([video])
        parts = [float(self._profiler.profile([other]).scores(here)[0]) for other in past]
        tags, others = self._profiler.profile(past).parts(video)
        names = (self.labels.channels, self.labels.categories, self.labels.languages)
        by_feature = [(("tag", self._tag_names[tag]), part) for tag, part in tags if part]
        by_feature += [
            ((_FEATURES[kind], _named(names[kind], number)), part) for kind, number, part in others if part
        ]
        return Explanation(video, total(parts), tuple(zip(past, parts, strict=True)), tuple(by_feature))

    def _checked(self, videos: Iterable[int]) -> list[int]:
        distinct = list(dict.fromkeys(int(video) for video in videos))
        if distinct and not 0 <= min(distinct) <= max(distinct) < len(self):
            raise IndexError("a video is not in this model's catalogue")
        return distinct

    def _rows(self, past: list[int]) -> NDArray[np.int32]:
        rows = self._row[past] if past else self._row[:0]
        return rows[rows >= 0]

    def _familiar(self, rows: NDArray[np.int32], profile: Profile, k: int, allowed: Mask) -> list[int]:
        if rows.size:
            scores = self._V @ self._U[rows].sum(axis=0)
        elif not profile.empty:
            scores = profile.scores(self._items.astype(np.int64)).astype(np.float32)
        else:
            return only_allowed(self._popular.tolist(), allowed)[:k]
        scores[~allowed[self._items]] = -np.inf
        found: list[int] = self._items[best(scores, k)].tolist()
        return found

    def _new_for_profile(self, past: list[int], profile: Profile, allowed: Mask, k: int) -> list[int]:
        known = {tag for video in past for tag in self._content.tags(video)[0].tolist()}
        tags = sorted(known, key=lambda tag: (-profile.tags[tag], tag))[:PROFILE_TAGS]
        candidates = self._new_with(tags, allowed)
        scores = profile.scores(candidates)
        chosen = best(np.where(scores > 0, scores, -np.inf).astype(np.float32), k)
        return [int(video) for video in candidates[chosen]]

    def _new_for_seed(self, video: int, allowed: Mask) -> tuple[list[int], dict[int, float]]:
        ids, weights = self._content.tags(video)
        tags = ids[np.argsort(-weights, kind="stable")[:_SEED_TAGS]].tolist()
        candidates = self._new_with(tags, allowed)
        if candidates.size == 0:
            return [], {}
        scores = self._content.similarity(video, candidates, len(self._tag_names)).astype(np.float32)
        chosen = best(scores, 10)
        if self._row[video] >= 0:
            scores = scores * np.float32(self._content_weight)
        videos = candidates[chosen].tolist()
        return videos, dict(zip(videos, scores[chosen].tolist(), strict=True))

    def _new_with(self, tags: list[int], allowed: Mask) -> NDArray[np.int64]:
        lists = [self._new_videos[self._new_offsets[tag] : self._new_offsets[tag + 1]] for tag in tags]
        if not lists:
            return np.zeros(0, np.int64)
        found = np.unique(np.concatenate(lists)).astype(np.int64)
        return found[allowed[found]]

    def _usual_language(self, past: list[int]) -> int:
        spoken = Counter(int(self._language[video]) for video in past)
        spoken.pop(-1, None)
        return min(spoken, key=lambda number: (-spoken[number], number)) if spoken else -1

    def _own_suggestions(
        self,
        rows: NDArray[np.int32],
        profile: Profile,
        chosen: list[int],
        exclude: Collection[int],
    ) -> list[Suggestion]:
        shown = self._row[chosen] if chosen else self._row[:0]
        # Without items there is no row to take, not even a wrong one that is not looked at.
        vectors = self._V[shown] if rows.size else self._V[:0]
        parts = self._U[rows].astype(np.float64) @ vectors.astype(np.float64).T
        seeds = self._items[rows].tolist()
        content = profile.scores(np.array(chosen, np.int64))
        suggestions = []
        for place, video in enumerate(chosen):
            if shown[place] >= 0 and rows.size:
                column = parts[:, place]
                via = weightiest(
                    dict(zip(seeds, column.tolist(), strict=True)), SHOWN_VIDEOS, without=exclude
                )
                reason = Reason("history", via=via) if via else self._popular_reason(video)
                suggestions.append(Suggestion(video, float(column.sum()), reason))
            elif profile.empty:
                suggestions.append(Suggestion(video, float(content[place]), self._popular_reason(video)))
            else:
                tags = weightiest(dict(profile.parts(video)[0]), SHOWN_TAGS)
                names = tuple(self._tag_names[tag] for tag in tags)
                reason = Reason("new" if shown[place] < 0 else "tags", tags=names)
                suggestions.append(Suggestion(video, float(content[place]), reason))
        return suggestions

    def _related_suggestion(
        self, seed: int, video: int, place: int | None, new_score: float | None, via: tuple[int, ...]
    ) -> Suggestion:
        if place is None:
            if new_score is None:
                return Suggestion(video, 0.0, self._popular_reason(video))
            return Suggestion(video, new_score, self._common_reason(seed, video, via))
        score, row = float(self._related_scores[seed, place]), int(self._row[seed])
        together = float(self._coengagement[row, place]) if row >= 0 else 0.0
        if together > 0 and together >= score / 2:
            users = int(self._related_users[row, place])
            return Suggestion(video, score, Reason("co-engagement", users=users, via=via))
        return Suggestion(video, score, self._common_reason(seed, video, via))

    def _common_reason(self, seed: int, video: int, via: tuple[int, ...]) -> Reason:
        if tags := self._content.shared_tags(seed, video)[:SHOWN_TAGS]:
            return Reason("tags", tags=tuple(self._tag_names[tag] for tag in tags), via=via)
        channel, category, language = (
            column[seed] >= 0 and column[seed] == column[video] for column in self._content.columns
        )
        if channel:
            return Reason("channel", via=via)
        if category:
            return Reason("category", via=via)
        return Reason("language", via=via) if language else self._popular_reason(video)

    def _popular_reason(self, video: int) -> Reason:
        row = int(self._row[video])
        return Reason("popular", users=int(self._counts[row])) if row >= 0 else Reason("new")


def _named(names: Texts, number: int | np.integer[Any]) -> str:
    return names[int(number)] if number >= 0 else ""
