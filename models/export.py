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
| `{listing}` | one JSON object per video, in catalogue order: `position`, `item` (row in `U` and `V`, null if none), `uuid`, `url`, `title`, `channel`, `category`, `language`, `published` (Unix seconds), `nsfw`, `tags` |
| `{manifest}` | where the model comes from: recipe, provenance, quality, SHA-256 of the files it was stored in |

| array | type | shape | meaning |
| --- | --- | --- | --- |
{rows}

A viewer's scores are `x @ U @ V.T` over items, where `x` is 1 for each item that the viewer engaged with and 0 elsewhere;
leave out what the viewer knows. For example:

```python
import json
import numpy as np
from safetensors.numpy import load_file

model = load_file("{model}")
videos = [json.loads(line) for line in open("{listing}", encoding="utf-8")]
liked = model["items"][:2]  # catalogue positions of two videos that have rows in U and V
x = np.isin(model["items"], liked).astype(np.float32)
scores = np.where(x > 0, -np.inf, x @ model["U"] @ model["V"].T)
best = model["items"][np.argsort(-scores)[:5]]
print("next:", [videos[position]["url"] for position in best])
related = model["related_videos"][liked[0]]
print("related:", [videos[position]["url"] for position in related[related >= 0][:5]])
```
"""

_MEANING = {
    "items": "catalogue positions of the videos in `U` and `V`, the items",
    "counts": "people who engaged with each item",
    "U": "history side of the factorization",
    "V": "recommended side of the factorization",
    "diagonal": "`(U * V).sum(axis=1)`: what an item would give itself",
    "related_videos": "catalogue positions of related videos, best first, -1 where there are no more",
    "related_scores": "scores of the related videos",
    "related_coengagement": "per item: the part of the score that comes from people who engaged with both",
    "related_users": "per item: people who engaged with both",
    "tag_offsets": "where the tags of each video start in `tag_ids` and `tag_weights`",
    "tag_ids": "tag numbers",
    "tag_weights": "weights of the tags, rows of length 1",
    "channel": "channel numbers, -1 unknown",
    "category": "category numbers, -1 unknown",
    "language": "language numbers, -1 unknown",
    "published": "Unix seconds, nan unknown",
    "tag_names.offsets": "where the name of each tag starts in `tag_names.data`",
    "tag_names.data": "names of the tags, UTF-8",
    "new.offsets": "where the videos of each tag start in `new.videos`",
    "new.videos": "catalogue positions of videos without an item, newest first within a tag",
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
