"""`shoal ledger`: what happened here, whether anybody changed the record, and the record as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, InstanceOption
from daemon.cli.terminal import count, facts, line, prose, result, table, utc
from daemon.errors import RequestError, StoreError
from daemon.ledger import bring_back, chain, manifests, second_copy
from daemon.ledger.canonical import as_json
from daemon.ledger.chain import Kind
from daemon.ledger.messages import in_english
from daemon.store import ledger_rows, loss, model_records

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from daemon.ledger.bring_back import Lacking
    from daemon.ledger.chain import Verification
    from daemon.store.ledger_rows import Row

app = Commands()


@app.command()
def show(
    instance: InstanceOption = HERE,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries before this number.")] = None,
    kind: Annotated[str, typer.Option(help='Only entries of this kind, such as "round".')] = "",
    details: Annotated[bool, typer.Option("--details", help="Show everything that an entry holds.")] = False,
) -> None:
    """Show what happened, newest first."""
    kinds = [known.value for known in Kind]
    if kind and kind not in kinds:
        raise RequestError(f'"{kind}" is not a kind of entry', advice=f"Kinds are {', '.join(kinds)}.")
    found = chain.newest(instance.store, limit, before, kind)

    def show() -> None:
        if not found:
            line("No entry yet." if before is None and not kind else "There is no such entry.")
            return
        shown = [(entry.seq, utc(entry.at), in_english(entry)) for entry in found]
        if details:
            for row, entry in zip(shown, found, strict=True):
                table(["", "", ""], [row])
                facts([("   ", f"{name}: {value}") for name, value in _rest(entry)])
            return
        table(["", "WHEN", "WHAT"], shown, right=("",))
        if found[-1].seq > 1 and not kind:
            line(f"Earlier: shoal ledger show --before {found[-1].seq}")

    result([{**as_json(entry), "sentence": in_english(entry)} for entry in found], show)


@app.command()
def verify(
    instance: InstanceOption = HERE,
    *,
    expect: Annotated[
        str, typer.Option(metavar="HASH", help="Head that you noted before: the ledger must contain it.")
    ] = "",
) -> None:
    """Check every entry and the manifest of every model. The exit status is 6 if anything was changed."""
    wanted = _hash(expect)
    store, public = instance.store, instance.public
    found = chain.verify(store, public)
    at = chain.contains(store, wanted) if wanted else None
    known = [instance.config.models_dir / model.directory for model in model_records.models(store)]
    folders = [folder for folder in known if folder.is_dir()]
    unsigned = [f.name for f in folders if manifests.read(f) is None and not _recorded(store, f.name)]
    broken = manifests.check(store, public.host, found, [f for f in folders if f.name not in unsigned])
    lost_entry = next(iter(chain.newest(store, 1, kind=Kind.DATABASE_LOST.value)), None)
    lack = bring_back.lacking(store, public)
    ok = found.ok and not broken and not lack.any
    ok = ok and (not wanted or (at is not None and at <= found.head.seq))
    value: dict[str, Any] = {
        "ok": ok,
        "entries": found.entries,
        "problem": found.problem,
        "broken": found.broken,
        "head": found.head.hash.hex(),
        "expected_at": at,
        "lost": lost.at if (lost := loss.recorded(store)) is not None else None,
        "lost_entry": None if lost_entry is None else in_english(lost_entry),
        "lacking": [entry.seq for entry in (*lack.entries, *lack.apart)],
        "models": len(folders) - len(unsigned) - len(broken),
        "models_unsigned": unsigned,
        "models_broken": dict(broken),
    }

    def show() -> None:
        _show_entries(found, store, lost_entry, lack)
        if wanted and at is not None:
            line(f"The head that you noted is entry {at}.")
        elif wanted:
            prose("The head that you noted is not in the ledger: entries were removed or replaced.")
        if value["models"]:
            line(f"Signed by this instance, at a place in this ledger: {count(value['models'], 'model')}.")
        for name in unsigned:
            line(f"{name}: not signed, because it is older than the ledger.")
        for name, problem in broken:
            line(f"{name}: {problem}.", style="bold red")
        if found.broken is not None:
            entry = next(iter(chain.entries(store, found.broken - 1, 1)), None)
            if entry is not None and entry.seq == found.broken:
                line(f"As it stands: {json.dumps(as_json(entry), ensure_ascii=False)}")

    result(value, show)
    if not ok:
        raise typer.Exit(StoreError.exit_code)


@app.command()
def export(
    destination: Annotated[Path, typer.Argument(help="New file: one entry per line, as JSON.")],
    instance: InstanceOption = HERE,
) -> None:
    """Write the ledger to a file that can be checked without Shoal. See docs/ledger.md."""
    if destination.exists():
        raise RequestError(f"{destination} exists already", advice="Give a new file.")
    head = chain.head(instance.store)
    with destination.open("xb") as file:
        written = sum(map(file.write, chain.export(instance.store, instance.config.instance.host)))

    def show() -> None:
        line(f"Wrote {count(head.seq, 'entry')} ({written / 1e3:.1f} kB) to {destination}.")
        line(f"Head: {head.hash.hex()}")

    result({"file": str(destination), "entries": head.seq, "head": head.hash.hex()}, show)


def _show_entries(found: Verification, store: Engine, lost: Row | None, lack: Lacking) -> None:
    if lost is not None:
        line(f"{utc(lost.at)}: {in_english(lost)}")
    if lack.any:
        missing = [*lack.entries, *lack.apart]
        numbers = f"{missing[0].seq} to {missing[-1].seq}" if len(missing) > 1 else str(missing[0].seq)
        prose(
            f"{count(len(missing), 'entry')} ({numbers}) of the second copy, {second_copy.NAME}, are missing "
            "from the database. The next start brings them back: shoal run"
        )
    if found.problem:
        line(f"Broken: {found.problem}.", style="bold red")
        line(f"In order before it: {count(found.entries, 'entry')}.")
        return
    if not found.entries:
        line("No entry yet.")
        return
    first, last = chain.entries(store, 0, 1)[0], chain.newest(store, 1)[0]
    line(f"In order: {count(found.entries, 'entry')}, {utc(first.at)} to {utc(last.at)}.")
    line(f"Head: {found.head.hash.hex()}")
    prose(
        "Note the head elsewhere. With --expect HEAD, a later check also finds out whether entries were "
        "removed from the end."
    )


def _rest(entry: Row) -> list[tuple[str, Any]]:
    about = [("kind", entry.kind), ("subject", entry.subject)]
    return [*about, *entry.details.items(), ("hash", entry.hash.hex())]


def _recorded(store: Engine, model: str) -> bool:
    """Tell whether the ledger speaks of a model: then its manifest was signed once."""
    return bool(ledger_rows.newest(store, limit=1, kinds=(Kind.MODEL.value,), subject=model))


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b"?"
    if len(found) not in (0, 32):
        raise RequestError("that is not the hash of an entry", advice="A head has 64 hexadecimal digits.")
    return found
