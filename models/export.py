"""Writes a model as a folder that others can use without Shoal: documented arrays, names as JSON lines."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from models import artefact
from models.serving import ServedModel

VIDEOS = "videos.jsonl"

# ruff: noqa: E501 (tables of Markdown have long lines)

_README = """# A recommendation model for videos

Learnt by Shoal from what {items:,} videos have in common by the people who engaged with them, in a catalogue of
{videos:,}. No person is in it: rows and columns are videos.

| file | holds |
| --- | --- |
| `{model}` | the arrays below, [safetensors](https://github.com/huggingface/safetensors) |
| `{listing}` | one JSON object per video, in catalogue order: `position`, `item` (row among the items, null if none), `uuid`, `url`, `title`, `channel`, `category`, `language`, `published` (Unix seconds), `nsfw`, `tags` |
| `{manifest}` | where the model comes from: recipe, provenance, SHA-256 of the files it was stored in |

| array | type | shape | meaning |
| --- | --- | --- | --- |
{rows}

A viewer's scores are `x @ B` over items, where `x` is 1 for each item that the viewer engaged with and 0 elsewhere; leave
out what the viewer knows. `B` is stored in one of two forms: as `U @ V.T`, or, where `U` and `V` have no columns, as a
sparse matrix in `weights.*`, row by row. Popularity is added in the unit of the best score, `own_popularity` times, and
more the fewer videos are known of the viewer. Beside an item, Shoal lists its candidates in turns: the best by
`related.near`, the best left by `related.broad`, and so on, each plus `content_weight` times `related.content`, that
`near_content` times for what is near, and a little for popularity. Beside any other video it lists the nearest ones by
content. These weights are in `{manifest}`. For example:

```python
import json
import numpy as np
from safetensors.numpy import load_file

model = load_file("{model}")
weight = json.load(open("{manifest}", encoding="utf-8"))["scalars"]
videos = [json.loads(line) for line in open("{listing}", encoding="utf-8")]
items = model["items"]  # catalogue positions
if model["U"].shape[1]:
    B = model["U"] @ model["V"].T
else:
    B = np.zeros((len(items), len(items)), np.float32)
    rows = np.repeat(np.arange(len(items)), np.diff(model["weights.offsets"]))
    B[rows, model["weights.items"]] = model["weights.values"]
x = np.zeros(len(items), np.float32)
x[:2] = 1  # somebody who likes the first two items
scores = x @ B
scores[x > 0] = 0
known = weight["own_popularity"] + min(1.5, max(0, 2 / x.sum() - 0.1))
scores += known * scores.max() * model["popularity"][items]
best = items[np.argsort(-np.where(x > 0, -np.inf, scores))[:5]]
print("next:", [videos[position]["url"] for position in best])
listed = model["related.videos"][0]  # beside the first item
near = weight["near_content"] * weight["content_weight"] * model["related.content"][0]
near += model["related.near"][0] + 0.1 * model["popularity"][listed]
related = listed[np.argsort(-np.where(listed < 0, -np.inf, near))[:5]]
print("related:", [videos[position]["url"] for position in related[related >= 0]])
```

Features are numbered one after the other: tags, words of titles, channels, categories, languages; `features.starts` says
where each kind begins, and where the last one ends. The dot product of two videos' features is their content similarity.
"""

_MEANING = {
    "items": "catalogue positions of the items: the videos that are known by the people who engaged with them",
    "counts": "viewers who engaged with each item, noise included",
    "audience": "the same, at least about so many; 0 where the noise leaves it open",
    "U": "history side of `B`; without columns where `B` is in `weights.*`",
    "V": "recommended side of `B`; likewise",
    "weights.offsets": "where the row of `B` of each item starts in `weights.items` and `weights.values`; all 0 where `B` is `U @ V.T`",
    "weights.items": "columns of `B`, rows of the items that a weight speaks for, ascending within a row",
    "weights.values": "the weights",
    "content.videos": "catalogue positions of the nearest videos by content, best first, -1 where there are no more",
    "content.scores": "their content similarity",
    "related.videos": "per item: catalogue positions of candidates for its list, -1 where there are no more",
    "related.near": "per item: how often people engaged with both, corrected for popularity; 1 for the best partner",
    "related.broad": "per item: the same, corrected less, so that it favours what is liked broadly",
    "related.content": "per item: content similarity",
    "related.users": "per item: viewers who engaged with both, at least about so many; 0 where the noise leaves it open",
    "features.offsets": "where the features of each video start in `features.ids` and `features.weights`",
    "features.ids": "feature numbers, ascending within a video",
    "features.weights": "their weights; of tags and words together, rows of length 1 but for words that no other title has",
    "features.starts": "where tags, words, channels, categories and languages start among the features, and where they end",
    "word_hashes": "for each word among the features, CRC-32 of its UTF-8; the words themselves are in the titles",
    "profiles.offsets": "where the weights of each item start in `profiles.ids` and `profiles.weights`",
    "profiles.ids": "feature numbers, ascending within an item",
    "profiles.weights": "what engaging with the item says about a feature; summed over a history, times the features of a video without an item, it is that video's score",
    "channel": "channel numbers, -1 unknown",
    "category": "category numbers, -1 unknown",
    "language": "language numbers, -1 unknown",
    "published": "Unix seconds, nan unknown",
    "popularity": "share of the most popular video, by viewers and public views; 1 for one that leads in both",
    "popular": "catalogue positions, most popular first",
    "tag_names.offsets": "where the name of each tag starts in `tag_names.data`",
    "tag_names.data": "names of the tags, UTF-8",
    "new.offsets": "where the videos of each tag and word start in `new.videos`",
    "new.videos": "catalogue positions of videos without an item, newest first within a tag or word",
}


def export(directory: Path, out: Path) -> None:
    """Write a stored model for use without Shoal.

    Args:
        directory: a stored model.
        out: the new folder; its parent must exist.

    Raises:
        ModelFileError: the stored model cannot be used.
        FileExistsError: the new folder exists already.
    """
    if out.exists():
        raise FileExistsError(out.name)
    model = artefact.load(directory)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        shutil.copyfile(directory / artefact.MODEL, scratch / artefact.MODEL)
        shutil.copyfile(directory / artefact.MANIFEST, scratch / artefact.MANIFEST)
        _write_videos(model, scratch / VIDEOS)
        (scratch / "README.md").write_text(_readme(model), encoding="utf-8")
        scratch.chmod(0o755)
        scratch.rename(out)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _write_videos(model: ServedModel, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for position in range(len(model)):
            label = model.label(position)
            line = {
                "position": position,
                "item": model.item(position),
                "uuid": label.uuid,
                "url": label.url,
                "title": label.title,
                "channel": label.channel,
                "category": label.category,
                "language": label.language,
                "published": label.published,
                "nsfw": label.nsfw,
                "tags": model.tags(position),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _readme(model: ServedModel) -> str:
    sizes = model.manifest["sizes"]
    rows = "\n".join(
        f"| `{name}` | {spec.dtype} | ({', '.join(spec.shape)}) | {_MEANING[name]} |"
        for name, spec in artefact.MODEL_SCHEMA.items()
    )
    return _README.format(
        items=sizes["items"],
        videos=sizes["videos"],
        model=artefact.MODEL,
        listing=VIDEOS,
        manifest=artefact.MANIFEST,
        rows=rows,
    )
