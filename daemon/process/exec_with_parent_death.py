"""Runs a program that ends when its parent ends, however that dies.

`python -m daemon.process.exec_with_parent_death PARENT PROGRAM ...`

The kernel keeps the promise across exec (prctl(2), PR_SET_PDEATHSIG), so the program needs no change.
"""

import os
import sys

from daemon.process.limits import end_with


def main(argv: list[str]) -> None:
    """Become the program. Raises OSError if it cannot be run."""
    end_with(int(argv[0]))
    if argv[1] != sys.executable:
        # It led to this module, and is not for other programs.
        os.environ.pop("PYTHONPATH", None)
    os.execv(argv[1], argv[1:])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
