"""`shoal related` and `shoal explain`: what viewers would see, and why."""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    Output,
    OutputOption,
    out,
    printable,
    result,
    table,
)
from daemon.errors import NotRunningError, RequestError, UnknownVideoError

if TYPE_CHECKING:
    from daemon.config import Config
    from models.serving import ServedModel

MAX_MATCHES = 8
Video = Annotated[str, typer.Argument(help="uuid, address, or part of a title.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("related")(related)
    app.command("explain")(explain)


def related(
    video: Video,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many videos.")] = 10,
    nsfw: Annotated[
        bool, typer.Option("--nsfw", help="Show videos marked as not safe for work too.")
    ] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """List videos related to one, each with its reason, from the daemon or, where none runs, the model."""
    from daemon.config import load
    from daemon.serve.api import suggestions

    settings = load(config)
    model, name = _open(settings)
    seed = resolve(model, video)
    answer = _ask(
        settings, "/v1/related", {"video": model.labels.uuid[seed], "limit": limit, "nsfw": int(nsfw)}
    )
    if answer is None:
        found = model.related(seed, limit=limit, nsfw=nsfw)
        answer = {"model": name, "videos": suggestions.suggestions(model, found)}

    def show() -> None:
        out.print(f"Related to {_title(model, seed)} (model {answer['model']})\n", markup=False)
        rows = [
            (str(n), _title(model, model.index(item["uuid"])), f"{item['score']:.3f}", item["reason"]["text"])
            for n, item in enumerate(answer["videos"], 1)
        ]
        table(["", "VIDEO", "SCORE", "WHY"], rows, right=("", "SCORE"))

    result(output, {"video": model.labels.uuid[seed], "title": model.labels.title[seed], **answer}, show)


def explain(
    video: Video,
    history: Annotated[
        list[str], typer.Option("--history", help="A video the viewer engaged with; repeat for several.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Split the score of a video for a viewer into exact parts: per video of the history, per tag."""
    from daemon.config import load
    from daemon.serve.api import suggestions

    settings = load(config)
    model, name = _open(settings)
    position = resolve(model, video)
    past = [resolve(model, item) for item in history]
    parameters = {"video": model.labels.uuid[position], "history": [model.labels.uuid[p] for p in past]}
    answer = _ask(settings, "/v1/explain", parameters)
    if answer is None:
        answer = {"model": name, **suggestions.explanation(model, model.explain(past, position))}

    def show() -> None:
        out.print(f"Why {_title(model, position)} (model {answer['model']})\n", markup=False)
        rows = [(_title(model, model.index(p["uuid"])), f"{p['part']:+.4f}") for p in answer["by_video"]]
        table(["BECAUSE OF", "PART"], [*rows, ("score", f"{answer['score']:+.4f}")], right=("PART",))
        if answer["by_feature"]:
            parts = sorted(answer["by_feature"], key=lambda p: -abs(p["part"]))
            out.print()
            rows = [(f"{p['kind']} {p['name']}", f"{p['part']:+.4f}") for p in parts]
            table(["WHICH HAVE IN COMMON", "PART"], rows, right=("PART",))

    result(output, answer, show)


def resolve(model: "ServedModel", text: str) -> int:
    """Return the position of the video that a uuid, an address or a part of a title means.

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
            "the model knows no such video", advice="Give a uuid, an address, or part of a title."
        )
    if len(closer) == 1 or len(matches) == 1:
        return (closer or matches)[0]
    shown = "; ".join(printable(model.labels.title[i]) for i in matches[:MAX_MATCHES])
    more = f"; and {len(matches) - MAX_MATCHES} more" if len(matches) > MAX_MATCHES else ""
    raise RequestError(
        f"{len(matches)} titles match: {shown}{more}", advice="Give more of the title, or a uuid."
    )


def _open(settings: "Config") -> "tuple[ServedModel, str]":
    from daemon.cli.models import find
    from daemon.store import source_state
    from daemon.store.engine import open_checked
    from models.artefact import load as load_model

    directory = find(settings.models_dir, "current")
    model = load_model(directory)
    if settings.database.exists():
        out_of_lists = source_state.exclusions(open_checked(settings.database))
        model.visibility.exclude(
            channels=out_of_lists.channels, hosts=out_of_lists.hosts, videos=out_of_lists.videos
        )
    return model, directory.name


def _title(model: "ServedModel", position: int | None) -> str:
    return "?" if position is None else printable(model.labels.title[position] or model.labels.url[position])


def _ask(settings: "Config", path: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Return the running daemon's answer, None where no daemon runs."""
    from daemon.process.daemon_lock import find

    running = find(settings.data_dir)
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
