"""Handovers from earlier keys of this instance to the present one, kept until every peer has that pinned.

`daemon.rounds.rotate_key` makes the new key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from daemon.config import Config
from daemon.process.daemon_lock import replace_file
from federation.hello import MAX_ROTATIONS, Rotation
from federation.identity import PublicIdentity, format_key, parse_key

FILE_NAME: Final = "rotations.json"


def pending(config: Config, public: PublicIdentity) -> tuple[Rotation, ...]:
    """Return the handovers to the present key that some peer still needs, oldest first."""
    chain: list[Rotation] = []
    key = public.key
    for rotation in reversed(_read(config, public.host)[0]):
        # The last one may never have been finished; those before it lead to the present key all the same.
        if rotation.new == key:
            chain.append(rotation)
            key = rotation.old
    return tuple(reversed(chain))[-MAX_ROTATIONS:]


def acknowledge(config: Config, public: PublicIdentity, hosts: set[str], approved: set[str]) -> set[str]:
    """Save which peers have the present key pinned; return the approved ones that do not.

    When none is left, the handovers are deleted.
    """
    rotations, known = _read(config, public.host)
    if not rotations:
        return set()
    known |= hosts
    missing = approved - known
    if missing:
        _write(config, rotations, known & approved)
    else:
        (config.data_dir / FILE_NAME).unlink(missing_ok=True)
    return missing


def hand_over(config: Config, rotations: Sequence[Rotation]) -> None:
    """Send these handovers, oldest first, to every peer from now on."""
    _write(config, rotations, set())


def _read(config: Config, host: str) -> tuple[list[Rotation], set[str]]:
    try:
        content: Any = json.loads((config.data_dir / FILE_NAME).read_text("utf-8"))
        rotations = [
            Rotation(host, parse_key(r["old"]), parse_key(r["new"]), r["date"], bytes.fromhex(r["signature"]))
            for r in content["rotations"]
        ]
        return rotations, set(content["acknowledged"])
    except FileNotFoundError:
        return [], set()
    except (ValueError, KeyError, TypeError):
        # Without the file, the peers' admins have to approve the new key again.
        return [], set()


def _write(config: Config, rotations: Sequence[Rotation], acknowledged: set[str]) -> None:
    content = {
        "rotations": [
            {
                "old": format_key(r.old),
                "new": format_key(r.new),
                "date": r.date,
                "signature": r.signature.hex(),
            }
            for r in rotations
        ],
        "acknowledged": sorted(acknowledged),
    }
    replace_file(config.data_dir / FILE_NAME, json.dumps(content, indent=1).encode())
