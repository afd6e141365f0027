"""One kind of data that leaves: what it is in words, and what in the code it stands for."""

from __future__ import annotations

from dataclasses import dataclass

from federation.envelope import Stage


@dataclass(frozen=True)
class Kind:
    """A kind of data.

    Attributes:
        to: who gets it.
        sentence: what is in it, and what is not.
        stages: messages between instances that carry it, with `rounds` where it depends on the round.
        fields: of these messages, as `Class.field`; parameters and blobs of a proposal as `parameters.name`
            and `blobs.name`.
        routes: that others call, of the daemon's listeners or of the plugin; or that we call, of a host's.
    """

    id: str
    name: str
    to: str
    sentence: str
    stages: tuple[Stage, ...] = ()
    rounds: tuple[int, ...] = ()
    fields: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, str]:
        """Return what the admin is shown."""
        return {"id": self.id, "name": self.name, "sentence": f"To {self.to}: {self.sentence}"}
