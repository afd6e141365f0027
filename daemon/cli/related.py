"""`shoal related` and `shoal explain`: what viewers would see, and why."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Annotated, Any

import typer

from daemon.cli.command import Commands, printable
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.models import model_folder
from daemon.cli.terminal import line, out, result, table
from daemon.errors import NotRunningError, RequestError, UnknownVideoError
from daemon.process.daemon_lock import find
from daemon.serve.api import suggestions
from daemon.store import source_state
from models.artefact import load as load_model
from models.serving import ServedModel

app = Commands()

MAX_MATCHES = 8
Video = Annotated[str, typer.Argument(metavar="VIDEO", help="UUID, address, or part of the title.")]


@app.command()
def related(
    video: Video,
    instance: InstanceOption = HERE,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many videos.")] = 10,
    nsfw: Annotated[bool, typer.Option("--nsfw", help="Include videos that are not safe for work.")] = False,
) -> None:
    """List the videos that are suggested beside a video.

    The running daemon answers. Without one, the model in service is read from disk.
    """
    model, name = _open(instance)
    seed = resolve(model, video)
    parameters = {"video": model.labels.uuid[seed], "limit": limit, "nsfw": int(nsfw)}
    answer = _ask(instance, "/v1/related", parameters)
    if answer is None:
        found = model.related(seed, limit=limit, nsfw=nsfw)
        answer = {"model": name, "videos": suggestions.suggestions(model, found)}

    def show() -> None:
        line(f"Related to {_title(model, seed)} (model {answer['model']})")
        out.print()
        rows = [
            (str(n), _title(model, model.index(item["uuid"])), f"{item['score']:.3f}", item["reason"]["text"])
            for n, item in enumerate(answer["videos"], 1)
        ]
        table(["", "VIDEO", "SCORE", "WHY"], rows, right=("", "SCORE"))

    result({"video": model.labels.uuid[seed], "title": model.labels.title[seed], **answer}, show)


@app.command()
def explain(
    video: Video,
    history: Annotated[
        list[str],
        typer.Option(metavar="VIDEO", help="A video that the viewer engaged with; repeat for several."),
    ],
    instance: InstanceOption = HERE,
) -> None:
    """Explain why a video is suggested to a viewer.

    The score is split into exact parts, one per video of the history and one per tag.
    """
    model, name = _open(instance)
    position = resolve(model, video)
    past = [resolve(model, item) for item in history]
    parameters = {"video": model.labels.uuid[position], "history": [model.labels.uuid[p] for p in past]}
    answer = _ask(instance, "/v1/explain", parameters)
    if answer is None:
        answer = {"model": name, **suggestions.explanation(model, model.explain(past, position))}

    def show() -> None:
        line(f"Why {_title(model, position)} (model {answer['model']})")
        out.print()
        rows = [(_title(model, model.index(p["uuid"])), f"{p['part']:+.4f}") for p in answer["by_video"]]
        table(["BECAUSE OF", "PART"], [*rows, ("score", f"{answer['score']:+.4f}")], right=("PART",))
        if answer["by_feature"]:
            parts = sorted(answer["by_feature"], key=lambda p: -abs(p["part"]))
            out.print()
            rows = [(f"{p['kind']} {p['name']}", f"{p['part']:+.4f}") for p in parts]
            table(["IN COMMON", "PART"], rows, right=("PART",))

    result(answer, show)


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


def _open(instance: Instance) -> tuple[ServedModel, str]:
    directory = model_folder(instance, "current")
    model = load_model(directory)
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
