"""What people see of groups: words to compare, requests, members, how things stand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from daemon.cli.instance import confirm
from daemon.cli.prose import heading, paragraph
from daemon.cli.terminal import Output, ago, out, table

if TYPE_CHECKING:
    from daemon.group.membership.key_verification import KeyEvidence

_RECOGNISED = {"yes": "yes", "no": "no", "other-key": "OTHER KEY"}


def compare(seen: KeyEvidence, words: str, *, yes: bool, output: Output) -> None:
    """Have the admin compare the words of a key, or compare those that were given.

    Raises:
        PolicyRefusedError: other words were given. RequestError: nobody is there to compare.

    """
    from daemon.errors import PolicyRefusedError
    from daemon.peers.commands import words_of
    from federation.key_words import same

    known = words_of(seen.key)
    if words:
        if not same(words, " ".join(known)):
            raise PolicyRefusedError(
                f"that is not the key that {seen.host} shows",
                advice="Ask its admin again, over another channel; if it stays so, somebody is in between.",
            )
        return
    if output is Output.HUMAN:
        show_key(seen, known)
    confirm(
        f"Are these the words that the admin of {seen.host} sees?",
        yes=yes,
        output=output,
        advice="Give what its admin told you with --words, or accept what is shown with --yes.",
    )


def show_key(seen: KeyEvidence, known: Sequence[str]) -> None:
    """Print the words of a key, and who vouches for it."""
    heading(f"The words of {seen.host}'s key")
    show_words(known)
    out.print()
    paragraph(voucher(seen))
    if seen.voucher != "book":
        paragraph("Its admin sees the same words with: shoal identity show")


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


def show_words(words: Sequence[str]) -> None:
    """Print eight words in two lines."""
    for four in (words[:4], words[4:]):
        out.print("    " + "  ".join(f"{word:<8}" for word in four).rstrip())


def show_requests(waiting: Sequence[Mapping[str, Any]]) -> None:
    """Print who asks."""
    if not waiting:
        paragraph("Nobody asks to join.", indent=0)
        return
    now = time.time()
    rows = [
        (one["host"], ago(now - one["since"]), _RECOGNISED[one["peer"]], " ".join(one["words"]))
        for one in waiting
    ]
    table(["HOST", "ASKED", "PEER", "WORDS OF ITS KEY"], rows)
    out.print()
    paragraph("Compare the words with its admin, then: shoal group approve HOST", indent=0)


def show_members(found: Sequence[Mapping[str, Any]], state: str | None = "member") -> None:
    """Print the members, as this instance stands to their group."""
    if found and state != "member":
        paragraph("This instance is not in the group: these are its members as it was last told.", indent=0)
        out.print()
    if not found:
        paragraph("This instance is in no group, or knows no members yet. See: shoal group status", indent=0)
        return
    rows = [
        (
            one["host"] + (" (you)" if one["me"] else ""),
            "host" if one["role"] == "host" else one["state"],
            "-" if one["me"] else _RECOGNISED[one["recognised"]],
            one["part"] or "",
            " ".join(one["words"]),
        )
        for one in found
    ]
    table(["HOST", "", "RECOGNISED", "PART", "WORDS OF ITS KEY"], rows, right=("PART",))
    if state == "member" and any(one["recognised"] != "yes" and one["state"] == "member" for one in found):
        out.print()
        paragraph("Recognise those whose words you compared: shoal group recognise HOST", indent=0)


def show_offer(offer: Mapping[str, Any]) -> None:
    """Print a group as its host shows it, before anything binds."""
    members = offer["members"]
    heading(f"The group {offer['group']} of {offer['host']['host']}")
    count = "1 member" if len(members) == 1 else f"{len(members)} members"
    paragraph(f"It has {count}:")
    out.print()
    rows = [(one["host"], _RECOGNISED[one["recognised"]], " ".join(one["words"])) for one in members]
    table(["HOST", "RECOGNISED", "WORDS OF ITS KEY"], rows)
    paragraph("Joining approves the host as a peer, and nobody else: the others you recognise yourself.")


def show_status(found: Mapping[str, Any]) -> None:
    """Print how things stand."""
    paragraph(found["sentence"], indent=0)
    for sentence in found["sentences"]:
        paragraph(sentence, indent=0)
    if not found.get("group"):
        return
    rows = [("Host", found["host"]), ("State", found["state"])]
    if found["next_at"]:
        rows.append(("Next sum", moment(found["next_at"])))
    rows.append(("Connected", _connected(found)))
    if found["polled"]:
        rows.append(("Host heard", ago(time.time() - found["polled"])))
    if found["epoch"]:
        epoch = found["epoch"]
        part = "in no part yet" if epoch["mine"] is None else f"part {epoch['mine']} of {epoch['parts']}"
        rows.append(("Epoch", f"{epoch['number']}, since {moment(epoch['opened_at'])}, {part}"))
    counted = found["counted"]
    rows.append(("Recognised", f"{counted['recognised']} of {counted['of']}, {counted['needed']} needed"))
    if found["published"]:
        rows.append(("Newest sum", " ".join(found["published"]["words"]) or found["published"]["batch"]))
    out.print()
    table(["", ""], rows)
    if found["published"]:
        paragraph("Another member that was given the same newest sum sees the same words.", indent=0)


def _connected(found: Mapping[str, Any]) -> str:
    if not found["running"]:
        return "no, the daemon does not run"
    if found["connected"]:
        return "yes"
    return "no, only for sums" if found["state"] == "member" else "no"


def moment(at: float) -> str:
    """Return a time as people here write it."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M %Z")
