"""What import-linter cannot see of the rooms: modules named in strings, cycles of files, what serving loads.

The contracts between rooms are in pyproject.toml; `make check` holds them.
"""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

from tests import ROOT

PACKAGES: Final = ("models", "federation", "policies", "daemon")
MODULES: Final = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
}
MAX_LINES: Final = 600
NAMED: Final = re.compile(r"((?:daemon|federation|models|policies)(?:\.\w+)+)(?::(\w+))?")
NO_MODULES: Final = frozenset({"daemon.json", "daemon.log"})
"""Names of files that look like names of modules."""


def rooms() -> list[str]:
    """Return the rooms of the daemon, top floor first, as the contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = contracts[0]["layers"]
    return [name.strip() for layer in layers for name in layer.split("|")]


def strings(path: Path) -> Iterator[re.Match[str]]:
    """Yield the strings of a file that name a module, or something in one."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in NO_MODULES:
            found = NAMED.fullmatch(node.value)
            if found:
                yield found


def test_every_module_that_a_string_names_exists() -> None:
    seen = 0
    for path in MODULES.values():
        for found in strings(path):
            module, name = found.groups()
            assert importlib.util.find_spec(module), f"{path}: {module}"
            assert not name or hasattr(importlib.import_module(module), name), f"{path}: {module}:{name}"
            seen += 1
    assert seen > 10


def test_no_string_names_a_room_above_its_own() -> None:
    order = rooms()
    for name, path in MODULES.items():
        if name.count(".") and name.startswith("daemon."):
            here = order.index(name.split(".")[1])
            for found in strings(path):
                if found[1].startswith("daemon."):
                    assert order.index(found[1].split(".")[1]) >= here, f"{name} names {found[0]}"


def test_files_import_one_another_without_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        found: set[str] = set()
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively"
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (full & MODULES.keys()) or ({str(node.module)} & MODULES.keys())
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names} & MODULES.keys()
        graph[name] = found - {name}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_every_module_can_be_imported() -> None:
    names = [name for name in MODULES if not name.endswith("__main__")]
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *names], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_module_is_long() -> None:
    long = {
        name: n
        for name, path in MODULES.items()
        if (n := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


HEAVY: Final = frozenset({"torch", "scipy", "flwr", "alembic", "dp_accounting", "typer", "click", "rich"})


WITHOUT_AN_ADMIN: Final = frozenset({"access", "mount", "notice_watcher", "page", "store_metrics", "token"})
"""Of `daemon.serve.admin`, what a daemon needs that no admin has asked anything."""


@pytest.mark.parametrize("module", ["daemon.serve.server", "daemon.serve.federation_app"])
def test_the_serving_process_imports_nothing_heavy_and_nothing_for_admins(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert {name.split(".")[0] for name in loaded} & HEAVY == set()
    admin = "daemon.serve.admin."
    assert {name.removeprefix(admin) for name in loaded if name.startswith(admin)} <= WITHOUT_AN_ADMIN
