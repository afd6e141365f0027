"""The serving process, `python -m daemon.serve --config FILE`: nothing of the command line is loaded."""

import argparse
import importlib
import os
import sys
from pathlib import Path

from daemon.config import load
from daemon.errors import ShoalError
from daemon.own_packages import require_own_packages


def main(argv: list[str]) -> int:
    """Serve until told to stop; returns the exit status."""
    require_own_packages()
    parser = argparse.ArgumentParser(prog="python -m daemon.serve", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args(argv)
    _algebra_in_one_thread()
    from daemon.serve.server import run

    try:
        run(load(options.config), options.config)
    except ShoalError as error:
        sys.stderr.write(f"Error: {error.message}\n{error.advice}\n")
        return error.exit_code
    return 0


def _algebra_in_one_thread() -> None:
    """Load numpy with one thread: for products this small, waking others costs more than they save."""
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = before or "1"
    importlib.import_module("numpy")
    if before is None:
        # Jobs inherit the environment, and they do have large products.
        del os.environ[name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
