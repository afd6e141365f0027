"""The serving process, `python -m daemon.serve --config FILE`: nothing of the command line is loaded."""

import argparse
import sys
from pathlib import Path

from daemon.config import load
from daemon.errors import ShoalError
from daemon.serve.server import run


def main(argv: list[str]) -> int:
    """Serve until told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m daemon.serve", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args(argv)
    try:
        run(load(options.config), options.config)
    except ShoalError as error:
        sys.stderr.write(f"Error: {error.message}\n{error.advice}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
