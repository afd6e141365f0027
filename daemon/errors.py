"""What can go wrong for an admin or a caller, as errors whose message says what to do next.

Bugs of ours stay plain Python exceptions. Everything here has a stable `code`, a sentence about what happened
and an `advice`: the API turns it into JSON, the command line into two lines and an exit status.
"""

from typing_extensions import TypedDict


class Problem(TypedDict):
    """What went wrong and what to do about it: the same three fields everywhere."""

    code: str
    message: str
    advice: str


class ShoalError(Exception):
    """An error that is not a bug of this program: its message and advice are meant for people.

    Attributes:
        code: stable, lower-case, for machines.
        advice: what to do next, one sentence.
        status: the HTTP status when the local API has to answer with it.
        exit_code: the exit status when a command ends with it.
    """

    code = "error"
    status = 500
    exit_code = 1

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def as_json(self) -> Problem:
        """Return what is answered."""
        return {"code": self.code, "message": self.message, "advice": self.advice}


class ConfigError(ShoalError):
    """The configuration is unusable; one line per problem, without the values of secrets."""

    code = "bad-configuration"
    exit_code = 2

    def __init__(self, problems: tuple[str, ...], *, where: str = "shoal.toml", advice: str = "") -> None:
        super().__init__("\n".join(problems), advice=advice or f"Correct {where}, then try again.")
        self.problems = problems


class StoreError(ShoalError):
    """What is kept in the data folder cannot be used: missing, damaged, older or newer than this program."""

    code = "store"
    status = 503
    exit_code = 6


class DiskFullError(StoreError):
    """The disk takes nothing any more; what was on it before is whole."""

    code = "disk-full"
    status = 507


class DatabaseMissingError(StoreError):
    """There is no database, or an empty file where it was."""

    code = "database-missing"


class DatabaseDamagedError(StoreError):
    """The file of the database is damaged, or is none."""

    code = "database-damaged"


class SourceError(ShoalError):
    """The instance's content could not be read."""

    code = "source"
    exit_code = 5


class JobError(ShoalError):
    """A job ended without its result; what was there before is untouched."""

    code = "job-failed"
    exit_code = 5


class JobBusyError(JobError):
    """Another job holds the data directory."""

    code = "job-busy"


class PolicyRefusedError(ShoalError):
    """A rule of this instance's admin forbids the request."""

    code = "refused"
    status = 403
    exit_code = 3


class NotRunningError(ShoalError):
    """No daemon serves this data directory."""

    code = "not-running"
    status = 503
    exit_code = 4


class AlreadyRunningError(ShoalError):
    """Another daemon serves this data directory."""

    code = "already-running"
    exit_code = 4


class NoModelError(ShoalError):
    """There is no model to answer from, yet."""

    code = "no-model"
    status = 503
    exit_code = 4


class RequestError(ShoalError):
    """A request to the local API that cannot be answered as it stands."""

    code = "bad-request"
    status = 400
    exit_code = 2


class UnknownVideoError(RequestError):
    """The video is not in the model's catalogue."""

    code = "unknown-video"
    status = 404
