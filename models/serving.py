"""A finished model at work: related videos, recommendations and their reasons, in milliseconds.

Arrays may be mapped from a file; only the pages that a request needs are read. Imports numpy only, because
this runs in the process that serves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.content import KINDS, PROFILE_TERMS, Content, FeatureKind, Profile, Profiler, ProfileWeights
from models.explain import SHOWN_TERMS, SHOWN_VIDEOS, Explanation, Kind, Reason, share, total, weightiest
from models.item_scores import Factorized, ItemScores, Sparse
from models.labels import Label, Labels, Texts
from models.ranking import (
    OWN_POPULARITY,
    RESERVED,
    ListRules,
    arrange,
    best,
    fill,
    history_weight,
    mix,
    only_allowed,
)
from models.related_order import (
    NOTHING,
    POPULARITY_WEIGHTS,
    ContentLists,
    Discovery,
    ItemLists,
    LeftOut,
    Related,
    related_to,
)
from models.visibility import Mask, Visibility
from models.words import named

_RELATED: Final = ("videos", "near", "broad", "content", "users")
_OF_FEATURES: Final[Mapping[FeatureKind, Kind]] = {
    "tag": "tags",
    "word": "words",
    "channel": "channel",
    "category": "category",
    "language": "language",
}
_SEED_TERMS = 12  # weightiest tags and words of a seed that new videos are looked up by


@dataclass(frozen=True)
class Suggestion:
    """One place in a list: a catalogue position, and why it is there."""

    video: int
    reason: Reason


class ServedModel:
    """Answers from the arrays of one model.

    Attributes:
        labels: names of the videos, in catalogue order.
        manifest: the model's description: format, recipe, sizes, ridge, provenance.
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
        self._audience: NDArray[np.int32] = arrays["audience"]
        self.scoring: ItemScores = Factorized(arrays["U"], arrays["V"])
        if not arrays["U"].shape[1]:
            self.scoring = Sparse(*(arrays[f"weights.{part}"] for part in ("offsets", "items", "values")))
        self._content_lists = ContentLists(arrays["content.videos"], arrays["content.scores"])
        self._related = ItemLists(**{part: arrays[f"related.{part}"] for part in _RELATED})
        self._published: NDArray[np.float64] = arrays["published"]
        self._channel: NDArray[np.int32] = arrays["channel"]
        self._category: NDArray[np.int32] = arrays["category"]
        self._language: NDArray[np.int32] = arrays["language"]
        self._content_weight = float(scalars["content_weight"])
        self._tag_names = Texts(arrays["tag_names.offsets"], arrays["tag_names.data"])
        self._word_hashes: NDArray[np.int64] = arrays["word_hashes"]
        self.content = Content(
            *(arrays[f"features.{part}"] for part in ("offsets", "ids", "weights", "starts"))
        )
        self._profiles = ProfileWeights(
            *(arrays[f"profiles.{part}"] for part in ("offsets", "ids", "weights"))
        )
        self._new_offsets, self._new_videos = arrays["new.offsets"], arrays["new.videos"]
        # Row of each video among the items, -1 where it is none.
        self._row = np.full(len(labels), -1, np.int32)
        self._row[self._items] = np.arange(len(self._items), dtype=np.int32)
        self._popularity: NDArray[np.float32] = arrays["popularity"]
        self._own_popularity = float(scalars["own_popularity"])
        self._near_content = float(scalars["near_content"])
        self._popular: NDArray[np.int32] = arrays["popular"]
        self._is_popular = np.zeros(len(labels), np.bool_)
        self._is_popular[self._popular] = True
        self.visibility = Visibility(labels, self._channel)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def items(self) -> NDArray[np.int32]:
        """Catalogue positions of the items, (m,), in the order of `scoring`."""
        return self._items

    @property
    def counts(self) -> NDArray[np.int32]:
        """Viewers of each item, (m,), as released: of the whole cohort where the others summed it."""
        return self._counts

    @property
    def popularity(self) -> NDArray[np.float32]:
        """How much is watched, (videos,), by released numbers and public counters: `models.popularity`."""
        return self._popularity

    @property
    def by_viewers(self) -> NDArray[np.int32]:
        """Catalogue positions of the items, (m,), those with the most viewers first."""
        return self._items[np.argsort(-self._counts, kind="stable")]

    @cached_property
    def _profiler(self) -> Profiler:
        return Profiler(self.content, self._row, self._profiles)

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
            channel=_named(self.labels.channels, self._channel[video]),
            category=_named(self.labels.categories, self._category[video]),
            language=_named(self.labels.languages, self._language[video]),
            published=None if np.isnan(published) else published,
            nsfw=bool(self.labels.nsfw[video]),
        )

    def item(self, video: int) -> int | None:
        """Row of a video among the items, None where nobody is known to have engaged with it."""
        row = int(self._row[video])
        return row if row >= 0 else None

    def tags(self, video: int) -> list[str]:
        """Tags of a video."""
        ids = self.content.row(video)[0]
        return [self._tag_names[tag] for tag in ids[ids < len(self._tag_names)].tolist()]

    def related(
        self,
        video: int,
        *,
        limit: int = 30,
        exclude: Collection[int] = (),
        nsfw: bool = False,
        language: int = -1,
        discovery: Discovery | None = None,
        leave_out: LeftOut = NOTHING,
    ) -> list[Suggestion]:
        """Videos related to one video, a catalogue position, within what its owner wants beside it.

        At most `limit`; positions in `exclude` are neither shown nor named in a reason, `nsfw` says whether
        videos not safe for work may appear, `language` is preferred, -1 for the seed's, `discovery` is what
        the viewer chose, None for the rule of this model. `leave_out` shows what the list were without a part
        of the scores. Raises IndexError where there is no such position.
        """
        if not 0 <= video < len(self):
            raise IndexError(video)
        discovery = discovery or self.rules.discovery
        allowed = self.visibility.allowed(exclude={video, *exclude}, nsfw=nsfw, beside=video)
        listed = self.listed(video, discovery, leave_out)
        places = {other: place for place, other in enumerate(listed.videos.tolist())}
        familiar = only_allowed(list(places), allowed)
        new = self._new_for_seed(video, allowed)
        newest = None if self.visibility.same(video) is None else self._published
        fill(familiar, new, self._popular, newest, allowed, limit)
        chosen, reserved = arrange(
            familiar,
            new,
            limit=limit,
            per_ten=self._reserved(discovery)[0],
            rules=self.rules,
            channel=self._channel,
            host=self.labels.host,
            language=self._language,
            wanted_language=language if language >= 0 else int(self._language[video]),
            allowed=allowed,
        )
        via = () if video in exclude else (video,)
        return [
            Suggestion(
                other,
                self._new_reason(self.content.shared(video, other), other, via)
                if other in reserved
                else self._related_reason(listed, video, other, places.get(other), via),
            )
            for other in chosen
        ]

    def listed(self, video: int, discovery: Discovery, leave_out: LeftOut = NOTHING) -> Related:
        """Candidates beside a video with the parts of their scores, before any rule about lists."""
        return related_to(
            self._related,
            self._content_lists,
            int(self._row[video]),
            video,
            self._popularity,
            content_weight=self._content_weight,
            near_content=self._near_content,
            popularity_weight=POPULARITY_WEIGHTS[discovery],
            leave_out=leave_out,
        )

    def recommend(
        self,
        history: Sequence[int],
        *,
        limit: int = 30,
        exclude: Collection[int] = (),
        nsfw: bool = False,
        beside: int | None = None,
        language: int = -1,
        discovery: Discovery | None = None,
    ) -> list[Suggestion]:
        """Next videos for a viewer known by a history only; nothing about the viewer is kept.

        `history` are catalogue positions of what the viewer engaged with, never part of the list; `beside` is
        the video that the list is shown next to, whose owner's wishes are kept; `language` is preferred, -1
        for the one most of the history is in. The others are as in `related`, and so is IndexError.
        """
        past = self._checked(history)
        discovery = discovery or self.rules.discovery
        allowed = self.visibility.allowed(exclude={*past, *exclude}, nsfw=nsfw, beside=beside)
        profile = self._profiler.profile(past)
        rows = self._rows(past)
        familiar, boost = self._familiar(past, profile, limit + 50, allowed, discovery)
        new = self._new_for_profile(profile, allowed, limit)
        # Where items are few, what fits comes before what is popular.
        familiar += new
        fill(familiar, new, self._popular, None, allowed, limit)
        chosen, reserved = arrange(
            familiar,
            new,
            limit=limit,
            per_ten=self._reserved(discovery)[1],
            rules=self.rules,
            channel=self._channel,
            host=self.labels.host,
            language=self._language,
            wanted_language=language if language >= 0 else self._usual_language(past),
            allowed=allowed,
        )
        hidden = [video for video in past if not self.visibility.shown[video]]
        return self._own_suggestions(rows, profile, chosen, reserved, {*exclude, *hidden}, boost)

    def mixed(
        self,
        video: int,
        history: Sequence[int],
        *,
        limit: int = 30,
        exclude: Collection[int] = (),
        nsfw: bool = False,
        language: int = -1,
        discovery: Discovery | None = None,
    ) -> list[Suggestion]:
        """Videos like the one that is watched and videos that suit the viewer, in turns.

        Args and errors as for `related` and `recommend`. Nothing of the history is listed. A viewer about
        whom nothing is known gets what everybody gets beside this video.
        """
        past = self._checked(history)
        language = language if language >= 0 else self._usual_language(past)
        near = self.related(
            video,
            limit=limit,
            exclude={*exclude, *past},
            nsfw=nsfw,
            language=language,
            discovery=discovery,
        )
        if not past:
            return near
        own = self.recommend(
            past,
            limit=limit,
            exclude={*exclude, video},
            nsfw=nsfw,
            beside=video,
            language=language,
            discovery=discovery,
        )
        own = [item for item in own if item.reason.kind != "popular"]
        chosen, suited = mix(
            [item.video for item in near],
            [item.video for item in own],
            limit=limit,
            rules=self.rules,
            channel=self._channel,
            host=self.labels.host,
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
            weights = self.scoring.parts(rows, self._row[[video]])[:, 0]
            parts.update(zip(self._items[rows].tolist(), weights.tolist(), strict=True))
            boost = self._boost(self._scores(past), len(past), self.rules.discovery)
            popularity = boost * float(self._popularity[video])
            score = total([*parts.values(), popularity])
            return Explanation(video, score, tuple(parts.items()), popularity=popularity)
        return self._explain_content(past, video)

    def _explain_content(self, past: list[int], video: int) -> Explanation:
        here = np.array([video])
        parts = [float(self._profiler.profile([other]).scores(here)[0]) for other in past]
        by_feature = tuple(
            ((self.content.kind(feature), self.feature_name(feature, video)), part)
            for feature, part in self._profiler.profile(past).parts(video)
            if part
        )
        return Explanation(video, total(parts), tuple(zip(past, parts, strict=True)), by_feature)

    def feature_name(self, feature: int, video: int) -> str:
        """Name of a feature that a video has."""
        kind = self.content.kind(feature)
        if kind == "tag":
            return self._tag_names[feature]
        if kind == "word":
            return next(iter(self._terms([feature], video)[1]), "")
        names = {"channel": self.labels.channels, "category": self.labels.categories}
        number = feature - int(self.content.starts[KINDS.index(kind)])
        return names.get(kind, self.labels.languages)[number]

    def _checked(self, videos: Iterable[int]) -> list[int]:
        distinct = list(dict.fromkeys(int(video) for video in videos))
        if distinct and not 0 <= min(distinct) <= max(distinct) < len(self):
            raise IndexError("a video is not in this model's catalogue")
        return distinct

    def _rows(self, past: list[int]) -> NDArray[np.int32]:
        rows = self._row[past] if past else self._row[:0]
        return rows[rows >= 0]

    def _reserved(self, discovery: Discovery) -> tuple[int, int]:
        return RESERVED[discovery] if self.rules.reserve else (0, 0)

    def _familiar(
        self, past: list[int], profile: Profile, k: int, allowed: Mask, discovery: Discovery
    ) -> tuple[list[int], float]:
        """Return the best of what people engaged with, and what popularity 1 adds to a score there."""
        if self._rows(past).size:
            candidates, scores = self._items, self._scores(past)
        elif not profile.empty:
            candidates = self._popular
            scores = np.maximum(profile.scores(candidates.astype(np.int64)), 0.0).astype(np.float32)
        else:
            return only_allowed(self._popular.tolist(), allowed)[:k], 1.0
        boost = self._boost(scores, len(past), discovery)
        scores = scores + np.float32(boost) * self._popularity[candidates]
        scores[~allowed[candidates]] = -np.inf
        found: list[int] = candidates[best(scores, k)].tolist()
        return found, boost

    def _scores(self, past: list[int]) -> NDArray[np.float32]:
        """Scores of all items for a history; what is in it says nothing about itself."""
        rows = self._rows(past)
        found = self.scoring.scores(rows)
        found[rows] = 0.0
        return found

    def _boost(self, scores: NDArray[np.float32], known: int, discovery: Discovery) -> float:
        """Weight of popularity beside scores, in their unit; where none speaks for anything, it decides."""
        most = float(scores.max(initial=0.0))
        weight = self._own_popularity + float(history_weight(np.array(known)))
        return (weight + OWN_POPULARITY[discovery]) * (most if most > 0 else 1.0)

    def _new_for_profile(self, profile: Profile, allowed: Mask, k: int) -> list[int]:
        weights = profile.weights[: self.content.terms]
        fitting = np.flatnonzero(weights > 0)
        terms = fitting[best(weights[fitting], PROFILE_TERMS)]
        candidates = self._new_with(terms.tolist(), allowed)
        scores = profile.scores(candidates)
        chosen = best(np.where(scores > 0, scores, -np.inf).astype(np.float32), k)
        return [int(video) for video in candidates[chosen]]

    def _new_for_seed(self, video: int, allowed: Mask) -> list[int]:
        ids, weights = self.content.row(video)
        terms = np.flatnonzero(ids < self.content.terms)
        heaviest = terms[np.argsort(-weights[terms], kind="stable")[:_SEED_TERMS]]
        candidates = self._new_with(ids[heaviest].tolist(), allowed)
        if candidates.size == 0:
            return []
        chosen = best(self.content.similarity(video, candidates).astype(np.float32), 10)
        found: list[int] = candidates[chosen].tolist()
        return found

    def _new_with(self, terms: list[int], allowed: Mask) -> NDArray[np.int64]:
        lists = [self._new_videos[self._new_offsets[term] : self._new_offsets[term + 1]] for term in terms]
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
        reserved: Collection[int],
        exclude: Collection[int],
        boost: float,
    ) -> list[Suggestion]:
        known = [video for video in chosen if self._row[video] >= 0 and rows.size]
        parts = dict(zip(known, self.scoring.parts(rows, self._row[known]).T, strict=True)) if known else {}
        seeds = self._items[rows].tolist()
        suggestions = []
        for video in chosen:
            if video in parts:
                of_history = dict(zip(seeds, parts[video].tolist(), strict=True))
                reason = self._history_reason(of_history, boost * float(self._popularity[video]), exclude)
                suggestions.append(Suggestion(video, reason or self._popular_reason(video)))
            else:
                reason = self._fitting_reason(profile, video, reserved=video in reserved)
                suggestions.append(Suggestion(video, reason))
        return suggestions

    @staticmethod
    def _history_reason(
        parts: Mapping[int, float], popularity: float, exclude: Collection[int]
    ) -> Reason | None:
        """Name the videos of a history that speak most for something; None where its popularity says more."""
        via = weightiest(parts, SHOWN_VIDEOS, without=exclude)
        liked = sum(part for part in parts.values() if part > 0)
        if not via or liked < popularity:
            return None
        whole = liked + max(popularity, 0.0)
        return Reason("history", share=share(sum(parts[video] for video in via), whole), via=via)

    def _related_reason(
        self, listed: Related, seed: int, video: int, place: int | None, via: tuple[int, ...]
    ) -> Reason:
        """Name the largest part of what speaks for a video beside another; a new one is new."""
        if place is None:
            if self._is_popular[video]:
                return self._popular_reason(video)
            return self._new_reason(self.content.shared(seed, video), video, via)
        together, alike, popularity = (
            float(part[place]) for part in (listed.together, listed.content, listed.popularity)
        )
        whole = together + alike + popularity
        if together > 0 and together >= alike:
            users = int(listed.users[place]) or None
            return Reason("co-engagement", users=users, share=share(together, whole), via=via)
        if alike > 0:
            return self._content_reason(self.content.shared(seed, video), video, share(alike, whole), via)
        return self._popular_reason(video)

    def _content_reason(
        self, features: Sequence[int], video: int, part: float, via: tuple[int, ...] = ()
    ) -> Reason:
        """Say what features of a video, weightiest first, speak for it; that it is popular, where none do."""
        if not features:
            return self._popular_reason(video)
        kind = _OF_FEATURES[self.content.kind(features[0])]
        tags, words = self._terms(features, video) if kind in ("tags", "words") else ((), ())
        return Reason(kind, tags=tags, words=words, share=part, via=via)

    def _new_reason(self, features: Sequence[int], video: int, via: tuple[int, ...] = ()) -> Reason:
        """Say that a video is new here, and by what it is here at all."""
        tags, words = self._terms(features, video)
        return Reason("new", tags=tags, words=words, via=via if tags or words else ())

    def _terms(self, features: Sequence[int], video: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the first tags or, where a word comes first, title words: a reason is one sentence."""
        first_word, end = len(self._tag_names), self.content.terms
        terms = [feature for feature in features if feature < end]
        if not terms:
            return (), ()
        if terms[0] < first_word:
            tags = [feature for feature in terms if feature < first_word][:SHOWN_TERMS]
            return tuple(self._tag_names[tag] for tag in tags), ()
        # Read off the title, which is dear, only where a word is named, and once.
        hashes = [int(self._word_hashes[feature - first_word]) for feature in terms if feature >= first_word]
        return (), named(self.labels.title[video], hashes)[:SHOWN_TERMS]

    def _fitting_reason(self, profile: Profile, video: int, *, reserved: bool) -> Reason:
        """Say what of a viewer's profile a video fits; that it is popular, where it fits nothing."""
        parts = dict(profile.parts(video))
        fitting = weightiest(parts, len(parts))
        if reserved or (fitting and not self._is_popular[video]):
            return self._new_reason(fitting, video)
        whole = sum(part for part in parts.values() if part > 0)
        return self._content_reason(fitting, video, share(parts[fitting[0]], whole) if fitting else 1.0)

    def _popular_reason(self, video: int) -> Reason:
        row = int(self._row[video])
        users = int(self._audience[row]) if row >= 0 else 0
        return Reason("popular", users=users or None) if self._is_popular[video] else Reason("new")


def _named(names: Texts, number: int | np.integer[Any]) -> str:
    return names[int(number)] if number >= 0 else ""
