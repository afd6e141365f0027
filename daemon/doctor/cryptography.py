"""Check of the cryptography: fixed vectors are computed anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from daemon.doctor.check import Outcome, Result, failure, ok
from daemon.errors import ShoalError


class SelfTestError(ShoalError):
    """What this installation computes is not what every other instance computes."""

    code = "self-test"


def cryptography(failures: Callable[[], Sequence[str]]) -> Result:
    """Check that this installation computes what others compute; see `federation.self_test`."""
    found = failures()
    if found:
        return failure(
            "cryptography",
            f"This installation computes wrongly: {', '.join(found)}.",
            "Install Shoal anew in an environment of its own. If it stays so, report it with the versions of "
            "cryptography and PyNaCl (pip list) and the processor.",
        )
    return ok("cryptography", "Keys, masks, shares and signatures are computed as everywhere.")


def require(failures: Callable[[], Sequence[str]]) -> None:
    """Return if that is so.

    Raises:
        SelfTestError: it is not, and nothing may be sent to anybody.

    """
    found = cryptography(failures)
    if found.outcome is not Outcome.OK:
        raise SelfTestError(found.sentence.rstrip("."), advice=found.next_step)
