"""`python -m tests.bench [--only NAME] [--json]`: run the benchmarks; fail if a limit is missed."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import pkgutil
import sys
from collections.abc import Sized
from typing import Any

from rich.console import Console
from rich.table import Table

import tests.bench
from tests.bench import LONG, TARGETS


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when every limit that was measured is kept, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="one benchmark, such as secure_sum")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    names = [name for _, name, _ in pkgutil.iter_modules(tests.bench.__path__) if name != "__main__"]
    if options.only and options.only not in names:
        parser.error(f"there is no benchmark {options.only}; there are {', '.join(sorted(names))}")
    measured: dict[str, Any] = {}
    for name in [options.only] if options.only else sorted({*names} - LONG):
        module = importlib.import_module(f"tests.bench.{name}")
        if hasattr(module, "run"):
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            # What a benchmark prints on its way is not the result.
            with contextlib.redirect_stdout(sys.stderr):
                result = module.run()
            measured |= {f"{name}.{key}": value for key, value in result.items()}
    missed = [name for name, value in measured.items() if name in TARGETS and _size(value) > TARGETS[name]]
    if options.json:
        print(json.dumps({"measured": measured, "targets": TARGETS, "missed": missed}))
    else:
        _print(measured, missed)
    return 1 if missed else 0


def _size(value: Any) -> float:
    return float(len(value)) if isinstance(value, Sized) else float(value)


def _print(measured: dict[str, Any], missed: list[str]) -> None:
    table = Table("measured", "value", "at most", "")
    for name, value in measured.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        target = TARGETS.get(name)
        verdict = "" if target is None else "MISSED" if name in missed else "ok"
        table.add_row(name, shown, "" if target is None else f"{target:.4g}", verdict)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
