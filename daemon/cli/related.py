"""`shoal related` and `shoal explain`: what viewers would see, and why."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from daemon.cli.command import Commands, printable
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.models import model_folder
from daemon.cli.terminal import line, out, result, table
from daemon.errors import NotRunningError, RequestError, UnknownVideoError
from daemon.process.daemon_lock import find
from daemon.serve.api import suggestions
from daemon.serve.model_loader import arrange, is_exact
from daemon.store import source_state
from models.artefact import load as load_model
from models.related_order import DISCOVERY, Discovery
from models.serving import ServedModel

app = Commands()

MAX_MATCHES = 8
_SHOWN = 10
Video = Annotated[str, typer.Argument(metavar="VIDEO", help="UUID, address, or part of the title.")]


@app.command()
def related(
    video: Video,
    instance: InstanceOption = HERE,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many videos.")] = 10,
    nsfw: Annotated[bool, typer.Option("--nsfw", help="Include videos that are not safe for work.")] = False,
    discovery: Annotated[
        str | None,
        typer.Option(
            click_type=click.Choice(list(DISCOVERY)),
            help="How far the list leads away from what everybody watches. Without it, as you set it; a "
            "comparison has all three.",
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show familiar, balanced and explore side by side.")
    ] = False,
    models: Annotated[
        list[str], typer.Option("--model", metavar="MODEL", help="Compare with a stored model; repeat it.")
    ] = [],  # noqa: B006
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the comparison to a page.", dir_okay=False)
    ] = None,
) -> None:
    """List the videos that are suggested beside a video.

    The running daemon answers. Without one, or to compare, models are read from disk.
    """
    model, name = _open(instance)
    seed = resolve(model, video)
    if compare or models or html is not None:
        # Only here: most lists need no second model.
        from daemon.cli import related_compare

        others = [(one, _open(instance, one)[0]) for one in models]
        lists = related_compare.side_by_side(model, seed, others, limit=limit, nsfw=nsfw)
        if html is not None:
            _write(html, related_compare.as_page(lists))
        result(lists.as_json(), lambda: related_compare.show(lists, html))
        return
    chosen: Discovery | None = next((one for one in DISCOVERY if one == discovery), None)
    parameters: dict[str, Any] = {"video": model.labels.uuid[seed], "limit": limit, "nsfw": int(nsfw)}
    if chosen is not None:
        parameters["discovery"] = chosen
    answer = _ask(instance, "/v1/related", parameters)
    if answer is None:
        found = model.related(seed, limit=limit, nsfw=nsfw, discovery=chosen)
        answer = {"model": name, "exact": is_exact(model), "videos": suggestions.suggestions(model, found)}

    def show() -> None:
        line(f"Related to {_title(model, seed)} (model {answer['model']})")
        out.print()
        rows = [
            (str(n), _title(model, model.index(item["uuid"])), item["reason"]["text"])
            for n, item in enumerate(answer["videos"], 1)
        ]
        table(["", "VIDEO", "WHY"], rows, right=("",))

    result({"video": model.labels.uuid[seed], "title": model.labels.title[seed], **answer}, show)


@app.command()
def explain(
    video: Video,
    history: Annotated[
        list[str],
        typer.Option(metavar="VIDEO", help="A video that the viewer engaged with; repeat for several."),
    ],
    instance: InstanceOption = HERE,
    *,
    without: Annotated[
        list[str],
        typer.Option(metavar="VIDEO|TAG", help="Show how the viewer's list changes without it; repeat it."),
    ] = [],  # noqa: B006
) -> None:
    """Explain why a video is suggested to a viewer, exactly.

    Shares are of all that speaks for the video. What is negative speaks against it.
    """
    model, name = _open(instance)
    position = resolve(model, video)
    past = [resolve(model, item) for item in history]
    parameters = {"video": model.labels.uuid[position], "history": [model.labels.uuid[p] for p in past]}
    answer = _ask(instance, "/v1/explain", parameters)
    if answer is None:
        answer = {"model": name, **suggestions.explanation(model, model.explain(past, position))}
    changes = _without(model, past, without) if without else []

    def show() -> None:
        line(f"Why {_title(model, position)} (model {answer['model']})")
        out.print()
        line(_in_words(model, answer))
        out.print()
        because = sorted(answer["by_video"], key=lambda part: -abs(part["share"]))
        rows = [(_title(model, model.index(part["uuid"])), _percent(part["share"])) for part in because]
        if answer["popularity"]:
            rows.append(("(watched by many)", _percent(answer["popularity"])))
        table(["BECAUSE OF", "SHARE"], rows, right=("SHARE",))
        if answer["by_feature"]:
            parts = sorted(answer["by_feature"], key=lambda part: -abs(part["share"]))
            out.print()
            rows = [(f"{part['kind']} {part['name']}", _percent(part["share"])) for part in parts]
            table(["IN COMMON", "SHARE"], rows, right=("SHARE",))
        for change in changes:
            out.print()
            line(f"Without {change['without']}")
            out.print()
            moved = [
                (_title(model, model.index(row["uuid"])), row["before"] or "–", row["after"] or "–")
                for row in change["videos"]
            ]
            table(["VIDEO", "PLACE BEFORE", "AFTER"], moved, right=("PLACE BEFORE", "AFTER"))

    result({**answer, **({"without": changes} if without else {})}, show)


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, "utf-8")
    except OSError as error:
        raise RequestError(
            f"{file} cannot be written: {error.strerror}", advice="Name a file in a folder that is there."
        ) from None


def _in_words(model: ServedModel, answer: dict[str, Any]) -> str:
    """Say what most of it comes from."""
    parts = [(part["share"], _title(model, model.index(part["uuid"]))) for part in answer["by_video"]]
    share, name = max([*parts, (answer["popularity"], "that many watch it")], default=(0.0, ""))
    if share <= 0:
        return "Nothing in the history speaks for it."
    how = "Most of it" if share > 0.5 else "The largest part of it"
    return f"{how} because of {name}." if name != "that many watch it" else f"{how}: {name}."


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _without(model: ServedModel, past: list[int], leave_out: list[str]) -> list[dict[str, Any]]:
    """Return how a viewer's list of ten changes without a video of the history, or all videos of a tag."""
    before = [item.video for item in model.recommend(past, limit=_SHOWN)]
    changes = []
    for text in leave_out:
        tagged = {video for video in past if text.casefold() in (tag.casefold() for tag in model.tags(video))}
        left_out = tagged or {video for video in past if text.casefold() in _names(model, video)}
        if not tagged and len(left_out) > 1:
            raise RequestError(
                f"{len(left_out)} titles match in the history: {printable(text)}",
                advice="Type more of the title, or give a UUID.",
            )
        if not left_out:
            raise RequestError(
                f"nothing in the history is {printable(text)} or has that tag",
                advice="Give a UUID, an address or the title of a video of the history, or a tag.",
            )
        left = [video for video in past if video not in left_out]
        after = [item.video for item in model.recommend(left, limit=_SHOWN, exclude=left_out)]
        videos = [
            {
                "uuid": model.labels.uuid[video],
                "before": before.index(video) + 1 if video in before else None,
                "after": after.index(video) + 1 if video in after else None,
            }
            for video in dict.fromkeys([*after, *before])
        ]
        changes.append({"without": text, "videos": videos})
    return changes


def _names(model: ServedModel, video: int) -> str:
    labels = model.labels
    return " ".join((labels.uuid[video], labels.url[video], labels.title[video])).casefold()


def resolve(model: ServedModel, text: str) -> int:
    """Return the position of the video that a UUID, an address or a part of a title means.

    Raises:
        UnknownVideoError: none. RequestError: several titles match, and not just one is equal or begins so.
    """
    if (position := model.index(text)) is not None:
        return position
    wanted = text.casefold()
    titles = [(i, model.labels.title[i].casefold()) for i in range(len(model.labels))]
    matches = [i for i, title in titles if wanted in title]
    closer = [i for i, title in titles if title == wanted] or [i for i, t in titles if t.startswith(wanted)]
    if not matches:
        raise UnknownVideoError(
            "the model knows no such video", advice="Give a UUID, an address, or part of a title."
        )
    if len(closer) == 1 or len(matches) == 1:
        return (closer or matches)[0]
    shown = "; ".join(printable(model.labels.title[i]) for i in matches[:MAX_MATCHES])
    more = f"; and {len(matches) - MAX_MATCHES} more" if len(matches) > MAX_MATCHES else ""
    raise RequestError(
        f"{len(matches)} titles match: {shown}{more}", advice="Type more of the title, or give a UUID."
    )


def _open(instance: Instance, name: str = "current") -> tuple[ServedModel, str]:
    directory = model_folder(instance, name)
    model = load_model(directory)
    arrange(model, instance.config.serve)
    if instance.config.database.exists():
        excluded = source_state.exclusions(instance.store)
        model.visibility.exclude(channels=excluded.channels, hosts=excluded.hosts, videos=excluded.videos)
    return model, directory.name


def _title(model: ServedModel, position: int | None) -> str:
    return "?" if position is None else printable(model.labels.title[position] or model.labels.url[position])


def _ask(instance: Instance, path: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Return the running daemon's answer, None where no daemon runs."""
    running = find(instance.config.data_dir)
    if running is None:
        return None
    query = urllib.parse.urlencode(parameters, doseq=True)
    url = f"http://{running.api}{path}?{query}"
    # No proxy: this is a call to this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer
    except urllib.error.HTTPError as error:
        body = json.loads(error.read())
        raise RequestError(body["message"], advice=body["advice"]) from None
    except OSError as error:
        raise NotRunningError(
            "the daemon does not answer", advice="Look at its log, or restart it."
        ) from error
