"""When somebody last left who may be in own numbers: what was learnt from these before must not serve.

Of an instance's own release that is when somebody left whom it counts; of exact numbers, when anybody did.
The files lie beside the data windows, not in the database: an older database, put back, must not bring back
what was learnt from somebody who left since.
"""

from pathlib import Path

from daemon.process.daemon_lock import replace_file

_NAME = "withdrawn"
_OF_EXACT = "withdrawn-exact"
NAMES = (_NAME, _OF_EXACT)


def last(windows_dir: Path, *, exact: bool) -> float:
    """Return when, Unix seconds, for an own release, or for exact numbers; 0 where nobody did."""
    return max(_read(windows_dir / name) for name in ((_NAME, _OF_EXACT) if exact else (_NAME,)))


def note(windows_dir: Path, now: float, *, exact: bool = False) -> None:
    """Note that somebody left now, Unix seconds; `exact` where an own release need not count them."""
    windows_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(windows_dir / (_OF_EXACT if exact else _NAME), repr(now).encode())


def _read(file: Path) -> float:
    try:
        return float(file.read_text("ascii"))
    except FileNotFoundError:
        return 0.0
    except ValueError:
        # Nothing is known: no model that own viewers are in may serve.
        return float("inf")
