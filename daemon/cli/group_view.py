"""What people see of groups: keys to compare, invitations, requests, members, and how a group stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from daemon.cli.command import human
from daemon.cli.key_words import confirm_words, matching_key, show_words
from daemon.cli.terminal import ago, count, facts, heading, line, out, paragraph, prose, say, table
from daemon.group.commands import Invitation, JoinRequest
from daemon.group.membership.join_and_leave import GroupOffer
from daemon.group.membership.key_verification import KeyEvidence
from daemon.group.status import Member, Standing, Status
from daemon.peers.listing import words_of

_APPROVED = {"yes": "yes", "no": "no", "other-key": "OTHER KEY"}


def compare(seen: KeyEvidence, words: str, *, yes: bool) -> None:
    """Check the words that were given, or have the admin compare those of the key.

    Raises:
        PolicyRefusedError: other words were given. RequestError: there is nobody to compare.

    """
    known = words_of(seen.key)
    if words:
        matching_key(seen.host, {seen.key: known}, words=words)
        return
    if human():
        heading(f"The words of {seen.host}'s key")
        show_words(known)
        out.print()
        paragraph(voucher(seen))
        if seen.voucher != "book":
            paragraph("Its admin sees the same words with: shoal identity show")
    confirm_words(seen.host, yes=yes)


def voucher(seen: KeyEvidence) -> str:
    """Say who vouches for a key."""
    return {
        "domain": f"The domain {seen.host} vouches for this key: its ActivityPub actor signed it.",
        "card": "It shows this key itself, but no ActivityPub actor signed it: compare the words.",
        "book": f"{seen.host} is an approved peer here, by this very key.",
        "unread": (
            f"Its own domain could not be asked ({seen.why}), so nothing but these words tells that the key "
            "is theirs. Compare them."
        ),
    }[seen.voucher]


def show_hosted(made: Invitation) -> None:
    """Print a new group, and how others get into it."""
    prose(f"This instance hosts the group {made['group']}, and is its first member.")
    heading("Invite others")
    paragraph("Send their admins this line:")
    out.print()
    line(f"    {made['command']}")
    out.print()
    paragraph("Tell them the words of this instance's key by telephone, so that they know it is you:")
    out.print()
    show_words(made["words"])
    heading("What happens next")
    for text in (
        "The daemon, if it runs, starts Flower's SuperLink here, and a TLS listener in front of it.",
        "List the instances that ask to join: shoal group requests. Admit each: shoal group admit HOST.",
        "With enough members, the daemon announces sums. To choose a time: shoal group start --at TIME.",
    ):
        paragraph(f"- {text}", hanging=2)
    if not made["public"]:
        say(
            "Members on other machines cannot reach the listener yet: set group.listen_host, or "
            "group.public_url if something forwards connections to it."
        )


def show_requests(waiting: Sequence[JoinRequest]) -> None:
    """Print who asks."""
    if not waiting:
        prose("No instance asks to join.")
        return
    now = time.time()
    rows = [
        (one["host"], ago(now - one["since"]), _APPROVED[one["peer"]], " ".join(one["words"]))
        for one in waiting
    ]
    table(["HOST", "ASKED", "PEER", "WORDS OF ITS KEY"], rows)
    out.print()
    prose("Compare the words with its admin, then: shoal group admit HOST")


def show_members(found: Sequence[Member], state: str | None = "member") -> None:
    """Print the members, as this instance stands to their group."""
    if found and state != "member":
        prose("This instance is not in the group. These are its members, as last listed.")
        out.print()
    if not found:
        prose("This instance is in no group, or knows no members yet. See: shoal group status")
        return
    rows = [
        (
            one["host"] + (" (you)" if one["me"] else ""),
            "host" if one["role"] == "host" else one["state"],
            "-" if one["me"] else _APPROVED[one["approved"]],
            "waits" if one["waits"] else one["part"] or "",
            " ".join(one["words"]),
        )
        for one in found
    ]
    table(["HOST", "", "APPROVED", "PART", "WORDS OF ITS KEY"], rows, right=("PART",))
    if state == "member" and any(one["approved"] != "yes" and one["state"] == "member" for one in found):
        out.print()
        prose("Approve the members whose words you compared: shoal group approve HOST")


def show_offer(offer: GroupOffer) -> None:
    """Print a group as its host shows it, before anything binds."""
    members = offer["members"]
    heading(f"The group {offer['group']} of {offer['host']['host']}")
    paragraph(f"It has {count(len(members), 'member')}:")
    out.print()
    rows = [(one["host"], _APPROVED[one["approved"]], " ".join(one["words"])) for one in members]
    table(["HOST", "APPROVED", "WORDS OF ITS KEY"], rows)
    paragraph("Joining approves the host as a peer, and no other member: approve those yourself.")


def show_status(told: Status) -> None:
    """Print how things stand."""
    for text in told["sentences"]:
        prose(text)
    found = told["standing"]
    if found is None:
        return
    rows = [("Host", found["host"]), ("State", found["state"])]
    if found["next_at"]:
        rows.append(("Next sum", local_time(found["next_at"])))
    rows.append(("Connected", _connected(found)))
    if found["polled"]:
        rows.append(("Host seen", ago(time.time() - found["polled"])))
    if found["epoch"]:
        epoch = found["epoch"]
        none = "left out for now" if found["waits"] else "in no sub-cohort yet"
        part = none if epoch["mine"] is None else f"sub-cohort {epoch['mine']} of {epoch['sub_cohorts']}"
        rows.append(("Epoch", f"{epoch['number']}, since {local_time(epoch['opened_at'])}, {part}"))
    counted = found["counted"]
    rows.append(("Approved", f"{counted['approved']} of {counted['of']}, {counted['needed']} needed"))
    if found["published"]:
        rows.append(("Newest sum", " ".join(found["published"]["words"]) or found["published"]["run"]))
    out.print()
    facts(rows)
    if found["published"]:
        prose("A member with the same newest sum sees the same words.")


def _connected(found: Standing) -> str:
    if found["live"] is None:
        return "no, the daemon does not run"
    if found["connected"]:
        return "yes"
    return "no, only for sums" if found["state"] == "member" else "no"


def local_time(at: float) -> str:
    """Write a moment in this machine's time zone, as `--at` reads it."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M %Z}"
