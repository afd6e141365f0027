"""`shoal init`: a folder with a commented configuration and a key of its own, paired with PeerTube."""

from __future__ import annotations

import getpass
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from daemon.cli.command import Commands
from daemon.cli.new_folder import new_folder
from daemon.cli.terminal import count, line, prose, result, say
from daemon.config import FILE_NAME, Config, PeerTubeSource, load
from daemon.config.schema import DATABASE
from daemon.config.template import render
from daemon.errors import ConfigError, RequestError, SourceError
from daemon.identity import open_identity
from daemon.process.daemon_lock import replace_file
from federation.identity import format_key

if TYPE_CHECKING:
    from daemon.source.pairing_code import Pairing
    from daemon.source.plugin_probe import Probe

app = Commands()
_FLAGS: Final = {
    "instance.host": "--host",
    "source.path": "--data",
    "source.url": "--peertube",
}
"""The option that a setting comes from."""
_MOST_TYPED: Final = 10_000
"""Characters that are read of a code on standard input."""


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="New folder for the configuration and data.")],
    *,
    pair: Annotated[
        str,
        typer.Option(
            metavar="CODE",
            help="Pairing code from the plugin's settings page; - reads it from standard input. Without it "
            "you are asked, and no list of processes shows it.",
        ),
    ] = "",
    peertube: Annotated[
        str,
        typer.Option(metavar="URL", help="PeerTube as this machine reaches it, if not as the code says."),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Read from a data set in this folder instead.", exists=True, file_okay=False),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Host name of an instance with a data set; PeerTube tells its own.")
    ] = "",
) -> None:
    """Write shoal.toml and create the key of a new instance.

    The plugin is asked first, so that what is written works. The file lists every setting with its reason.
    """
    _require_free(directory)
    if host or data is not None:
        if pair or peertube:
            option = "--pair" if pair else "--peertube"
            raise RequestError(
                f"{option} excludes --host and --data",
                advice="PeerTube tells its own host name; a data set is not paired.",
            )
        chosen = _with_data_set(host, data)
    else:
        chosen = _with_peertube(_pairing(pair), peertube)
    path = directory / FILE_NAME
    with new_folder(directory, last=FILE_NAME) as draft:
        replace_file(draft / FILE_NAME, render(chosen.values).encode())
        config = load(draft / FILE_NAME, {})
        public = open_identity(config.identity_file, config.instance.host).public

    def show() -> None:
        for text in chosen.said:
            prose(text)
        line(f"Wrote {path}, with every setting and its reason.")
        line(f"This instance is {public.host}, and peers know it by this key:")
        line(f"  {format_key(public.key)}")
        for text in chosen.after:
            prose(text)
        line(f"Next: shoal run -c {directory}")

    found = {"config": str(path), "host": public.host, "key": format_key(public.key), **chosen.told}
    result(found, show)


@dataclass(frozen=True)
class _Chosen:
    """What goes into the file, what programs are told, and what people read before and after the key."""

    values: dict[str, dict[str, Any]]
    told: dict[str, Any]
    said: tuple[str, ...]
    after: tuple[str, ...]


def _require_free(directory: Path) -> None:
    """Refuse a folder that holds an instance, or what is left of one. Raises RequestError."""
    if (path := directory / FILE_NAME).exists():
        raise RequestError(
            f"{path} exists already", advice="That instance is set up: edit the file, or give another folder."
        )
    if (path := directory / DATABASE).exists():
        raise RequestError(
            f"{path} is there, but no {FILE_NAME}",
            advice=f"Restore {FILE_NAME} from a backup, or give another folder.",
        )
    if directory.exists() and not directory.is_dir():
        raise RequestError(f"{directory} is a file", advice="Give another folder.")


def _with_data_set(host: str, data: Path | None) -> _Chosen:
    if not host and not sys.stdin.isatty():
        raise RequestError(
            "the host name of the instance is missing",
            advice="Give --host, such as --host video.example.org. It cannot change later.",
        )
    name = host or str(typer.prompt("Host name of the instance (it cannot change later)", err=True))
    source = {"path": str(data.resolve()) if data else "dataset"}
    values = {"instance": {"host": name}, "source": source}
    _checked(values)
    after = () if data else (f"Set source.path in {FILE_NAME} to the folder of a data set.",)
    return _Chosen(values, {}, (), after)


def _pairing(pair: str) -> Pairing:
    """Read the code from where it is given. Raises RequestError."""
    from daemon.source.pairing_code import read_code

    if pair == "-":
        return read_code(sys.stdin.read(_MOST_TYPED))
    if pair:
        return read_code(pair)
    if not sys.stdin.isatty():
        raise RequestError(
            "the pairing code is missing",
            advice="Copy it from the plugin's settings page and give it on standard input: --pair - "
            "For a data set, give --host and --data.",
        )
    say("The plugin's settings page in PeerTube shows a pairing code. What you paste is not shown.")
    return read_code(getpass.getpass("Pairing code: "))


def _with_peertube(pairing: Pairing, peertube: str) -> _Chosen:
    """Ask PeerTube who it is and whom it follows.

    Raises:
        ConfigError: the address in the option cannot be used.
        SourceError: PeerTube does not answer as it has to; the error says what is wrong.

    """
    # Loads aiohttp.
    from daemon.source import peertube as source_of
    from daemon.source.plugin_probe import Outcome

    secret = pairing.secret.get_secret_value()
    if peertube:
        # The host is a placeholder, until PeerTube tells its own.
        _checked({"instance": {"host": "video.example.org"}, "source": _source(peertube, secret)})
    found = _first_that_answers(pairing, (peertube.rstrip("/"),) if peertube else pairing.addresses)
    values = {"instance": {"host": found.host}, "source": _source(found.url, secret)}
    source = _checked(values).source
    if not isinstance(source, PeerTubeSource):
        raise TypeError("the source is PeerTube, as it was written")
    try:
        with source_of.open_client(source) as client:
            follows = len(source_of.read_follows(client))
    except SourceError as error:
        raise SourceError(
            f"the list of instances that PeerTube follows cannot be read: {error.message}",
            advice="Check PeerTube's log, then try again.",
        ) from None
    if found.outcome is Outcome.CLOCK:
        say(f"{found.message[:1].upper()}{found.message[1:]}. {found.advice}")
    viewers = count(found.participants, "viewer")
    said = (
        f"PeerTube {found.peertube} answers at {found.url}, with the plugin {found.plugin}.",
        f"{found.name or found.host} follows {count(follows, 'instance')}; {viewers} take part so far.",
    )
    told = {
        "peertube": {"url": found.url, "version": found.peertube, "plugin": found.plugin, "name": found.name},
        "follows": follows,
        "participants": found.participants,
    }
    return _Chosen(
        values, told, said, ("The file holds the plugin's secret: let nobody but its owner read it.",)
    )


def _source(url: str, secret: str) -> dict[str, Any]:
    return {"kind": "peertube", "url": url, "secret": secret}


def _first_that_answers(pairing: Pairing, addresses: tuple[str, ...]) -> Probe:
    """Ask at each address, the nearest first, until PeerTube accepts the secret.

    Raises:
        SourceError: none does; it tells of the one that came furthest.

    """
    from daemon.source.plugin_probe import Outcome, probe_now

    tried: list[Probe] = []
    for address in addresses:
        found = probe_now(address, pairing.secret.get_secret_value())
        # A wrong clock is no reason to refuse what otherwise works.
        if found.outcome in {Outcome.OK, Outcome.CLOCK}:
            return found
        tried.append(found)
    best = max(tried, key=lambda found: (bool(found.plugin), bool(found.peertube)))
    error = best.error()
    if best.outcome is Outcome.SECRET_REFUSED:
        error.advice = "Copy the pairing code again: it changes when the secret is changed."
    elif not best.peertube:
        error.advice = (
            "Start PeerTube, or give its address as this machine reaches it, such as "
            "--peertube http://127.0.0.1:9000."
        )
        if len(tried) > 1:
            error.message += f"; also tried: {', '.join(one.url for one in tried if one is not best)}"
    raise error


def _checked(values: dict[str, dict[str, Any]]) -> Config:
    """Return the settings as the file would give them. Raises ConfigError that names the options."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / FILE_NAME
        replace_file(draft, render(values).encode())
        try:
            return load(draft, {})
        except ConfigError as error:
            problems = [problem.partition(":") for problem in error.problems]
    named = (f"{_FLAGS.get(setting, setting)}{colon}{rest}" for setting, colon, rest in problems)
    raise ConfigError(tuple(named), where="the command")
