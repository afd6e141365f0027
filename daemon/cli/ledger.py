"""`shoal ledger`: what happened here, whether anybody changed the record, and the record as a file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result, table
from daemon.errors import RequestError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from daemon.config import Config
    from daemon.ledger.chain import Verification
    from daemon.store.ledger_rows import Row

app = typer.Typer(help="What happened here: show, verify, export.", no_args_is_help=True)


@app.command("show")
def show_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries before this number.")] = None,
    kind: Annotated[str, typer.Option(help='Only entries of a kind, such as "session".')] = "",
    details: Annotated[bool, typer.Option("--details", help="Show all that an entry holds.")] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Show what happened, newest first."""
    from daemon.ledger import chain
    from daemon.ledger.messages import sentence

    if kind and kind not in {known.value for known in chain.Kind}:
        known_kinds = ", ".join(known.value for known in chain.Kind)
        raise RequestError(f'there are no entries of the kind "{kind}"', advice=f"There are: {known_kinds}.")
    _, engine = _open(config)
    found = chain.newest(engine, limit, before, kind)

    def show() -> None:
        if not found:
            out.print("No entry yet." if before is None and not kind else "No such entry.")
            return
        rows = [(entry.seq, when(entry.at), sentence(entry)) for entry in found]
        if details:
            for row, entry in zip(rows, found, strict=True):
                table(["", "", ""], [row])
                table(["", ""], [("   ", f"{name}: {value}") for name, value in _rest(entry)])
            return
        table(["", "WHEN (UTC)", "WHAT"], rows, right=("",))
        if found[-1].seq > 1 and not kind:
            out.print(f"Earlier: shoal ledger show --before {found[-1].seq}")

    result(output, [{**chain.as_json(entry), "sentence": sentence(entry)} for entry in found], show)


@app.command("verify")
def verify(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    expect: Annotated[
        str, typer.Option(metavar="HASH", help="A head that you noted before: the ledger has to contain it.")
    ] = "",
    output: OutputOption = Output.HUMAN,
) -> None:
    """Check every entry and every model's manifest; status 6 where something was changed."""
    from daemon.identity import open_identity
    from daemon.ledger import chain, manifests
    from daemon.store import model_records

    wanted = _hash(expect)
    settings, engine = _open(config)
    public = open_identity(settings.identity_file, settings.instance.host, create=False).public
    found = chain.verify(engine, public)
    at = chain.contains(engine, wanted) if wanted else None
    known = [settings.models_dir / model.directory for model in model_records.models(engine)]
    folders = [folder for folder in known if folder.is_dir()]
    unsigned = [f.name for f in folders if manifests.read(f) is None and not _told(engine, f.name)]
    broken = manifests.check(engine, public.host, found, [f for f in folders if f.name not in unsigned])
    ok = found.ok and not broken and (not wanted or (at is not None and at <= found.head.seq))
    value: dict[str, Any] = {
        "ok": ok,
        "entries": found.entries,
        "problem": found.problem,
        "broken": found.broken,
        "head": found.head.hash.hex(),
        "expected_at": at,
        "models": len(folders) - len(unsigned) - len(broken),
        "models_unsigned": unsigned,
        "models_broken": dict(broken),
    }

    def show() -> None:
        _say_entries(engine, found)
        if wanted:
            out.print(
                f"The head that you noted is entry {at}."
                if at is not None
                else "The head that you noted is not in the ledger: it was cut off or replaced."
            )
        if value["models"]:
            out.print(
                f"Signed by this instance, at a place in this ledger: {_count(value['models'], 'model')}."
            )
        for name in unsigned:
            out.print(f"{name}: not signed; it is from before there was a ledger.", markup=False)
        for name, problem in broken:
            out.print(f"{name}: {problem}.", markup=False, style="bold red")
        if found.broken is not None:
            entry = next(iter(chain.entries(engine, found.broken - 1, 1)), None)
            if entry is not None and entry.seq == found.broken:
                out.print(
                    f"As it stands: {json.dumps(chain.as_json(entry), ensure_ascii=False)}", markup=False
                )

    result(output, value, show)
    if not ok:
        raise typer.Exit(StoreError.exit_code)


@app.command("export")
def export(
    destination: Annotated[Path, typer.Argument(help="New file: one entry per line, as JSON.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Write the ledger as a file that can be checked without Shoal; docs/ledger.md says how."""
    from daemon.ledger import chain

    if destination.exists():
        raise RequestError(f"{destination} exists already", advice="Give a new file.")
    settings, engine = _open(config)
    head = chain.head(engine)
    with destination.open("xb") as file:
        written = sum(file.write(line) for line in chain.export(engine, settings.instance.host))

    def show() -> None:
        out.print(
            f"Wrote {_count(head.seq, 'entry')} ({written / 1e3:.1f} kB) to {destination}.", markup=False
        )
        out.print(f"Head: {head.hash.hex()}")

    result(output, {"file": str(destination), "entries": head.seq, "head": head.hash.hex()}, show)


def when(at: float) -> str:
    """Write a time of an entry."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _say_entries(engine: "Engine", found: "Verification") -> None:
    from daemon.ledger import chain

    if found.problem:
        out.print(f"Broken: {found.problem}.", style="bold red", markup=False)
        out.print(f"In order before it: {_count(found.entries, 'entry')}.")
        return
    if not found.entries:
        out.print("No entry yet.")
        return
    first, last = chain.entries(engine, 0, 1)[0], chain.newest(engine, 1)[0]
    out.print(f"In order: {_count(found.entries, 'entry')}, {when(first.at)} to {when(last.at)} UTC.")
    out.print(f"Head: {found.head.hash.hex()}")
    out.print(
        "Note the head elsewhere: with --expect HEAD, a later check also sees whether entries were cut off."
    )


def _count(number: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"1 {what}" if number == 1 else f"{number:,} {plural}"


def _rest(entry: "Row") -> list[tuple[str, Any]]:
    about = [("kind", entry.kind), ("subject", entry.subject)]
    return [*about, *entry.details.items(), ("hash", entry.hash.hex())]


def _told(engine: "Engine", model: str) -> bool:
    """Tell whether the ledger speaks of a model: then its manifest was signed once."""
    from daemon.ledger.chain import Kind
    from daemon.store import ledger_rows

    return bool(ledger_rows.newest(engine, limit=1, kinds=(Kind.MODEL.value,), subject=model))


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b"?"
    if len(found) not in (0, 32):
        raise RequestError("that is no hash of an entry", advice="A head has 64 hexadecimal digits.")
    return found


def _open(config_file: Path) -> "tuple[Config, Engine]":
    from daemon.config import load
    from daemon.store.engine import open_checked

    settings = load(config_file)
    return settings, open_checked(settings.database)
