"""What groups need beside a plain Shoal: Flower, which carries their sums. Peers need nothing."""

from __future__ import annotations

from daemon.errors import ShoalError
from federation.flower.installed import lacking


class FlowerMissingError(ShoalError):
    """Flower is not installed, or in a version that is not known here."""

    code = "flower-missing"
    status = 409
    exit_code = 2


def missing() -> FlowerMissingError | None:
    """Return the error that says what a group needs and this installation lacks; None for nothing."""
    if not (problem := lacking()):
        return None
    advice = "To be in a group, install it and restart the daemon: pip install 'shoal[group]'"
    return FlowerMissingError(problem, advice=advice)


def require(_what: object = None) -> None:
    """Return if a group's sum can be carried. Raises FlowerMissingError."""
    if error := missing():
        raise error
