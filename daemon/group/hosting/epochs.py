"""The host's side of epochs: who is in the group's sums, and in which part, for how long.

An epoch is opened once and stays for `cohort.epoch`; members refuse another one before. In between, who joins
is added and who leaves is missing, in a new edition of the same document.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from daemon.config import Config
from daemon.errors import JobError, PolicyRefusedError
from daemon.group.broadcast import Answers, ask_all
from federation import envelope
from federation.carrier import Carrier
from federation.errors import Refusal
from federation.group.epoch_document import MAX_EPOCH, EpochDocument, read_epoch
from federation.group.epoch_opening import (
    GATHERING,
    MAX_LIST,
    MAX_SMALL,
    Gather,
    Listed,
    MembershipList,
    read_commitment,
    read_list,
    read_reveal,
)
from federation.identity import Identity, PublicIdentity
from federation.journal import FileJournal
from policies.group import parts_for

log = logging.getLogger(__name__)

_EPOCH: Final = "epoch"
_LIST: Final = "list"
_MILLISECONDS: Final = 1_000


@dataclass(frozen=True)
class Opened:
    """The epoch of a session, and why members are not in it."""

    document: EpochDocument
    raw: bytes
    problems: Mapping[str, str]
    new: bool


class Epochs:
    """Opens epochs and keeps their document; `clock` gives Unix seconds."""

    def __init__(self, config: Config, identity: Identity, group: str, clock: Callable[[], float]) -> None:
        self._config, self._identity, self._group, self._clock = config, identity, group, clock
        self._journal = FileJournal(config.group_dir / "host" / "epochs")
        # Of each group its own: another one is other people's agreement.
        self._key = hashlib.sha256(group.encode()).digest()

    @property
    def least(self) -> int:
        """Members of a part, at least: the host's own instance counts for nobody's protection."""
        return self._config.cohort.min_cohort + 1

    def known(self) -> EpochDocument | None:
        """Return the document of the present epoch.

        Raises:
            PolicyRefusedError: it is signed with a key that was replaced since.

        """
        raw = self._journal.read(self._key, _EPOCH)
        try:
            return None if raw is None else self._read(raw)
        except Refusal as refusal:
            # Members do not have their parts drawn anew because of a key: a host could replace it at will.
            raise PolicyRefusedError(
                f"the group's members hold to parts that are not signed with this instance's key ({refusal})",
                advice="Close the group, and host one of another name that they join: shoal group close",
            ) from None

    async def ensure(
        self, members: Sequence[PublicIdentity], giving: frozenset[str], carrier: Carrier
    ) -> Opened:
        """Return the epoch for these members: the present one, its next edition, or a new one.

        Who is not `giving` is in no part. Who was in one and gives no more stays in it, and is missing.

        Raises:
            JobError: too few members answer for an epoch to begin.

        """
        document = self.known()
        length = self._config.cohort.epoch.total_seconds()
        if document is None or self._clock() >= document.opened_at + length:
            counted = [member for member in members if member.host in giving]
            return await self._open(document, counted, carrier)
        edition = self._edition(document, members, giving)
        if edition is document:
            return self.present(document)
        raw = edition.seal(self._identity)
        self._journal.write(self._key, _EPOCH, raw)
        return Opened(edition, raw, {}, new=True)

    def present(self, document: EpochDocument) -> Opened:
        """Return the known document as it was signed."""
        return Opened(document, self._journal.read(self._key, _EPOCH) or b"", {}, new=False)

    def _edition(
        self, document: EpochDocument, members: Sequence[PublicIdentity], giving: frozenset[str]
    ) -> EpochDocument:
        """Return the document with who joined and without who left since."""
        present = {member.host: member for member in members}
        gone = {host for host, known in document.members.items() if present.get(host) != known}
        late = [one for one in members if one.host in giving and one.host not in document.members]
        # Who was gone once waits for the next epoch, under whatever key.
        after = replace(
            document,
            late=(*document.late, *late),
            gone=tuple(sorted(gone | set(document.gone))),
            serial=document.serial + 1,
        )
        return document if (after.late, after.gone) == (document.late, document.gone) else after

    async def _open(
        self, before: EpochDocument | None, members: Sequence[PublicIdentity], carrier: Carrier
    ) -> Opened:
        number = 1 if before is None else before.number + 1
        listed = self._begun(number)
        problems: dict[str, str] = {}
        if listed is None:
            listed, problems = await self._gather(number, members, carrier)
            self._journal.write(self._key, _LIST, listed.seal(self._identity))
        raw_list = self._journal.read(self._key, _LIST) or b""
        requests = {member.host: raw_list for member in listed.members}

        def read(_host: str, raw: bytes) -> None:
            read_reveal(envelope.parse(raw, max_size=MAX_SMALL), listed, self._identity.host)

        heard = await ask_all(carrier, requests, max_answer=MAX_SMALL, read=read)
        self._require(heard)
        document = EpochDocument(self._identity.public, raw_list, heard.answers)
        raw = document.seal(self._identity)
        self._journal.write(self._key, _EPOCH, raw)
        self._journal.erase(self._key, _LIST)
        return Opened(document, raw, {**problems, **heard.problems}, new=True)

    def _begun(self, number: int) -> MembershipList | None:
        """Return the list of a gathering that was interrupted: another one would have to wait."""
        raw = self._journal.read(self._key, _LIST)
        if raw is None:
            return None
        try:
            listed = read_list(envelope.parse(raw, max_size=MAX_LIST), self._identity.public)
        except Refusal:
            return None
        young = self._clock() < listed.opened_at + GATHERING
        return listed if young and listed.number == number and listed.group == self._group else None

    async def _gather(
        self, number: int, members: Sequence[PublicIdentity], carrier: Carrier
    ) -> tuple[MembershipList, dict[str, str]]:
        gather = Gather(self._group, number, int(self._clock() * _MILLISECONDS))
        asked = {member.host: member for member in members}
        said: dict[str, Listed] = {}

        def read(host: str, raw: bytes) -> None:
            message = envelope.parse(raw, max_size=MAX_SMALL)
            answer = read_commitment(message, asked[host], self._identity.host, gather)
            said[host] = Listed(host, asked[host].key, answer.commitment)

        requests = {host: gather.seal(self._identity, host) for host in asked}
        heard = await ask_all(carrier, requests, max_answer=MAX_SMALL, read=read)
        self._require(heard)
        parts = parts_for(
            len(heard.answers),
            subcohorts_from=self._config.cohort.subcohorts_from,
            least=self.least,
            per_part=self._config.group.members_per_part,
        )
        entries = tuple(said[host] for host in sorted(heard.answers))
        return MembershipList(self._group, number, gather.opened, parts, self.least, entries), heard.problems

    def _require(self, heard: Answers) -> None:
        if len(heard.answers) >= self.least:
            return
        why = "; ".join(f"{host}: {problem}" for host, problem in sorted(heard.problems.items()))
        raise JobError(
            f"{len(heard.answers)} members of the group answered, {self.least} are needed ({why})",
            advice="Their daemons have to run at the announced time. The next session tries again.",
        )

    def _read(self, raw: bytes) -> EpochDocument:
        return read_epoch(envelope.parse(raw, max_size=MAX_EPOCH), self._identity.public)
