"""Which folder may import what, by the syntax trees; every module alone; sizes; the serving process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

PACKAGES = ("models", "federation", "policies", "daemon")
MODULES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts
)
MAX_LINES = 400

# Beside the standard library. Deeper folders come first: the first match decides.
ALLOWED = {
    "federation/http/": {"federation", "aiohttp", "cryptography", "nacl", "cbor2", "numpy"},
    # Flower's engine for simulations is an extra of it.
    "federation/flower/app/simulation.py": {
        "federation",
        "flwr",
        "ray",
        "cryptography",
        "nacl",
        "cbor2",
        "numpy",
    },
    "federation/flower/": {"federation", "flwr", "cryptography", "nacl", "cbor2", "numpy"},
    # A list of words, read when a key is shown to a person.
    "federation/key_words.py": {"federation", "mnemonic"},
    "federation/": {"federation", "cryptography", "nacl", "cbor2", "numpy"},
    "models/": {"models", "numpy", "scipy", "torch", "safetensors"},
    # The policies that compute: privacy loss from laws of noise, and whether a sum can be one of people.
    "policies/accounting.py": {"policies", "numpy", "dp_accounting"},
    "policies/acceptance.py": {"policies", "models", "numpy"},
    "policies/realisable.py": {"policies", "models", "numpy"},
    "policies/": {"policies", "models", "federation"},
}
# What a policy may know of the others: their plain types, no machinery.
PLAIN_TYPES = {
    "federation": {"errors", "identity", "noise", "proposal", "limits"},
    "models": {"noise", "statistics", "trained"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Full names of everything a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def allowed(path: Path) -> set[str] | None:
    place = path.relative_to(ROOT).as_posix()
    return next((names for folder, names in ALLOWED.items() if place.startswith(folder)), None)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_folders_import_only_what_they_may(path: Path) -> None:
    names = allowed(path)
    if names is None:
        return
    packages = {name.split(".")[0] for name in imports(path)}
    assert packages - names - set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize("path", [p for p in MODULES if "policies" in p.parts], ids=name_of)
def test_policies_know_only_plain_types(path: Path) -> None:
    for name in imports(path):
        package, *rest = name.split(".")
        if package in PLAIN_TYPES:
            assert rest[0] in PLAIN_TYPES[package], f"{name} is more than a plain type"


@pytest.mark.parametrize("path", [p for p in MODULES if "flower" not in p.parts], ids=name_of)
def test_flower_is_met_in_one_place(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)} & {"flwr", "ray"} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_every_module_imports_alone() -> None:
    names = [name_of(path) for path in MODULES if path.name != "__main__.py"]
    script = (
        "import importlib, os, sys\n"
        "import numpy, scipy.sparse, sqlalchemy.orm, aiohttp.web, pydantic, typer, rich.table, torch\n"
        "import nacl.signing, cbor2, cryptography.hazmat.primitives.ciphers.aead, prometheus_client\n"
        "import alembic.command, filelock, apscheduler.schedulers.asyncio, safetensors.numpy\n"
        "import dp_accounting.rdp, dp_accounting.pld\n"
        "running = []\n"
        "for name in sys.argv[1:]:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        try:\n"
        "            importlib.import_module(name)\n"
        "        except BaseException as error:\n"
        "            print(name, repr(error), flush=True)\n"
        "        os._exit(0)\n"
        "    running.append(child)\n"
        "    if len(running) == 2:\n"
        "        os.waitpid(running.pop(0), 0)\n"
        "for child in running:\n"
        "    os.waitpid(child, 0)\n"
    )
    # One process that has the large libraries, and a fork of it for each module: the same as alone, but
    # quick.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


FORBIDDEN = ("torch", "scipy", "flwr", "alembic", "dp_accounting", "typer", "click", "rich")


@pytest.mark.parametrize("module", ["daemon.serve.server", "daemon.serve.federation_app"])
def test_the_serving_process_imports_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & set(FORBIDDEN) == set()
