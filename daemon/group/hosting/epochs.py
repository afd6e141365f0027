"""The host's side of epochs: which members are in the group's sums, and in which sub-cohort, for how long.

An epoch holds for `cohort.epoch`; members refuse another one before it is over. Members that join or leave in
between are added to, or marked in, a new edition of the same document.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from daemon.config import Config
from daemon.errors import JobError, PolicyRefusedError
from daemon.rounds.broadcast import Answers, ask_all
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
from policies.cohort import sub_cohorts_for

log = logging.getLogger(__name__)

_EPOCH: Final = "epoch"
_LIST: Final = "list"
_MILLISECONDS: Final = 1_000


@dataclass(frozen=True)
class Opened:
    """The epoch of a round, and why some members are not in it."""

    document: EpochDocument
    raw: bytes
    problems: Mapping[str, str]
    new: bool


class Epochs:
    """Opens epochs and stores their documents; `clock` gives Unix seconds."""

    def __init__(self, config: Config, identity: Identity, group: str, clock: Callable[[], float]) -> None:
        self._config, self._identity, self._group, self._clock = config, identity, group, clock
        self._journal = FileJournal(config.group_dir / "host" / "epochs")
        # Each group has its own: the members of another one did not agree to it.
        self._key = hashlib.sha256(group.encode()).digest()

    @property
    def least(self) -> int:
        """The smallest sub-cohort: the host itself does not count, since it cannot protect from itself."""
        return self._config.cohort.min_cohort + 1

    def known(self) -> EpochDocument | None:
        """Return the document of the present epoch.

        Raises:
            PolicyRefusedError: it is signed with a key that was replaced.

        """
        raw = self._journal.read(self._key, _EPOCH)
        try:
            return None if raw is None else self._read(raw)
        except Refusal as refusal:
            # A new key is no reason to draw sub-cohorts anew: a host could replace its key at will.
            raise PolicyRefusedError(
                f"the group's epoch is not signed with this instance's present key ({refusal})",
                advice="Members accept no other epoch before this one is over. Close the group (shoal group "
                "close), and host one with another name that they join.",
            ) from None

    async def ensure(
        self, members: Sequence[PublicIdentity], giving: frozenset[str], carrier: Carrier
    ) -> Opened:
        """Return the epoch for these members: the present one, its next edition, or a new one.

        Only members that are `giving` are put into a sub-cohort. One that gives no more stays in its
        sub-cohort, and is missing from the sums.

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

    def wait(self, opened: Opened, waiting: Iterable[str]) -> Opened:
        """Return the next edition, in which exactly these members wait."""
        document = opened.document
        edition = replace(document, waiting=tuple(sorted(waiting)), serial=document.serial + 1)
        raw = edition.seal(self._identity)
        self._journal.write(self._key, _EPOCH, raw)
        return replace(opened, document=edition, raw=raw, new=True)

    def _edition(
        self, document: EpochDocument, members: Sequence[PublicIdentity], giving: frozenset[str]
    ) -> EpochDocument:
        """Return the document with members that joined added, and those that left marked."""
        present = {member.host: member for member in members}
        gone = {host for host, known in document.members.items() if present.get(host) != known}
        late = [one for one in members if one.host in giving and one.host not in document.members]
        # A host that was gone once waits for the next epoch, whatever its key.
        after = replace(
            document,
            late=(*document.late, *late),
            gone=tuple(sorted(gone | set(document.gone))),
            waiting=tuple(sorted(set(document.waiting) - gone)),
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

        found = await ask_all(carrier, requests, max_answer=MAX_SMALL, read=read)
        self._require_enough(found)
        document = EpochDocument(self._identity.public, raw_list, found.answers)
        raw = document.seal(self._identity)
        self._journal.write(self._key, _EPOCH, raw)
        self._journal.erase(self._key, _LIST)
        return Opened(document, raw, {**problems, **found.problems}, new=True)

    def _begun(self, number: int) -> MembershipList | None:
        """Return the list of a gathering that was interrupted: members let another one wait for a day."""
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
        by_host = {member.host: member for member in members}
        committed: dict[str, Listed] = {}

        def read(host: str, raw: bytes) -> None:
            message = envelope.parse(raw, max_size=MAX_SMALL)
            answer = read_commitment(message, by_host[host], self._identity.host, gather)
            committed[host] = Listed(host, by_host[host].key, answer.commitment)

        requests = {host: gather.seal(self._identity, host) for host in by_host}
        found = await ask_all(carrier, requests, max_answer=MAX_SMALL, read=read)
        self._require_enough(found)
        cohort = self._config.cohort
        sub_cohorts = sub_cohorts_for(
            len(found.answers),
            divided_from=cohort.sub_cohorts_from + 1,
            least=self.least,
            size=cohort.members_per_sub_cohort,
        )
        entries = tuple(committed[host] for host in sorted(found.answers))
        listed = MembershipList(self._group, number, gather.opened, sub_cohorts, self.least, entries)
        return listed, found.problems

    def _require_enough(self, found: Answers) -> None:
        if len(found.answers) >= self.least:
            return
        why = "; ".join(f"{host}: {problem}" for host, problem in sorted(found.problems.items()))
        raise JobError(
            f"{len(found.answers)} members of the group answered, {self.least} are needed ({why})",
            advice="Their daemons have to run at the announced time. The next round tries again.",
        )

    def _read(self, raw: bytes) -> EpochDocument:
        return read_epoch(envelope.parse(raw, max_size=MAX_EPOCH), self._identity.public)
